"""Companies and products that are called after people: "a John Deere tractor", "Kowalski Plumbing LLC".

Well-known ones are listed. Of the others the words beside a name tell: a legal form, a trademark sign, or a
thing that is sold. "My neighbor John Deere" stays a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lawtags_client.curation.mask.cues import PERSONAL_TITLE_BEFORE, RELATIVES

# Names that many private people bear are left out: Edward Jones, John Lewis, Paul Smith.
EPONYMS = """
John Deere, Ben & Jerry's, Jack Daniel's, Jack Daniels, Johnnie Walker, Jim Beam, Evan Williams, Captain
Morgan, Jose Cuervo, José Cuervo, Samuel Adams, Dom Pérignon, Dom Perignon, Veuve Clicquot, Moët & Chandon,
Dr Pepper, Dr. Pepper, Dr. Martens, Dr Martens, Doc Martens, Dr. Scholl's, Mary Kay, Trader Joe's, Papa
John's, Jimmy John's, Carl's Jr, Auntie Anne's, Mrs. Fields, Mrs Fields, Ben's Original, Uncle Ben's, Aunt
Jemima, Betty Crocker, Sara Lee, Marie Callender's, Jenny Craig, Oscar Mayer, Orville Redenbacher, Newman's
Own, Chef Boyardee, Little Debbie, Famous Amos, Tim Hortons, Fannie Mae, Freddie Mac, Sallie Mae, Ginnie
Mae, Dow Jones, Hugo Boss, Calvin Klein, Ralph Lauren, Tommy Hilfiger, Louis Vuitton, Yves Saint Laurent,
Giorgio Armani, Emporio Armani, Michael Kors, Kate Spade, Tory Burch, Vera Wang, Vera Bradley, Jimmy Choo,
Marc Jacobs, Christian Dior, Christian Louboutin, Alexander McQueen, Stella McCartney, Vivienne Westwood,
Salvatore Ferragamo, Kenneth Cole, Steve Madden, Eddie Bauer, Levi Strauss, Perry Ellis, Karen Millen, Laura
Ashley, Cath Kidston, Fred Perry, Jack Wolfskin, Helly Hansen, Patek Philippe, Audemars Piguet, Estée
Lauder, Estee Lauder, Elizabeth Arden, Helena Rubinstein, Max Factor, Bobbi Brown, Charlotte Tilbury, Mary
Quant, Paul Mitchell, Yves Rocher, Jo Malone, Sherwin Williams, Benjamin Moore, Aston Martin, Alfa Romeo,
Mercedes Benz, Land Rover, Rolls Royce, Bang & Olufsen, Bowers & Wilkins, Harman Kardon, Les Paul, Dolce &
Gabbana, Procter & Gamble, Black & Decker, Abercrombie & Fitch, Barnes & Noble, Crate & Barrel, Briggs &
Stratton, Heckler & Koch, Fisher & Paykel, Ernst & Young, Baker McKenzie, Morgan & Morgan, Fortnum & Mason,
Pratt & Whitney, Dun & Bradstreet, Standard & Poor's, Raymond James, Charles Schwab, Booz Allen, Booz Allen
Hamilton, Johns Hopkins, Madame Tussauds, Victoria's Secret, Lloyd's, Ray Ban, Peter Pan, Ronald McDonald,
Colonel Sanders, Burt's Bees, Annie's Homegrown, Amy's Kitchen
"""

_WORD = r"[A-ZÀ-ÖØ-Þ][\w'’.-]*"
_NAME = rf"{_WORD}(?: {_WORD}){{0,3}}"
_JOINED = rf"{_NAME}(?:,? (?:&|and) {_NAME})?"
# In the singular: "I gave Anna Kowalski tractors" has two objects, "a John Deere tractor" has none.
_GOODS = (
    "tractor|mower|lawnmower|combine|harvester|truck|car|motorcycle|motorbike|dealer|dealership|store|"
    "outlet|showroom|logo|brand|trademark|franchise|franchisee|whiske?y|bourbon|ice cream|shoe|sneaker|"
    "boot|handbag|purse|wallet|watch|perfume|lipstick|jacket|coat|suit|dress|shirt|t-shirt|guitar|piano|"
    "amplifier|engine|warranty|restaurant|chainsaw|catalog(?:ue)?|outfit|sweater|tie|backpack|suitcase|"
    "sofa|mattress|console|plugin|firmware|model number"
)
# Only names that may be those of people matter. What "Anna Kowalski's" and "Mr. Lee" have is their own.
_TITLE = r"(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Sgt|Lt|Capt|Det|Rev|Officer|Judge)\.? "
_PERSON_LIKE = rf"(?!{_TITLE}){_WORD} (?:& )?{_WORD}(?<!['’])(?<!['’]s)"
_SOLD = re.compile(rf"\b{_PERSON_LIKE} (?:{_GOODS})\b")
_LEGAL_FORM = re.compile(
    rf"\b{_JOINED},? (?:Inc|LLC|L\.L\.C|LLP|L\.L\.P|Ltd|Limited|Corp|GmbH|PLC|plc|Pty|S\.A|S\.p\.A|"
    r"(?:&|and) (?:Co|Sons|Daughters|Brothers|Bros|Associates|Partners|Company))\b"
)
_MARKED = re.compile(rf"\b{_JOINED} ?[®™]")
_KIN_BEFORE = re.compile(
    rf"\b(?:[Mm]y|[Oo]ur|[Hh]is|[Hh]er|[Tt]heir|[Yy]our|[Tt]he) (?:[a-z]+ )?(?:{RELATIVES}),? \Z"
)
_LOOK_BACK = 60


def _listed() -> re.Pattern[str]:
    names = [" ".join(name.split()) for name in EPONYMS.split(",")]
    # The longest first, with any apostrophe, and with a hyphen or without a point as people write them.
    forms = [
        re.escape(name)
        .replace("'s", "['’]?s")
        .replace(r"\ \&\ ", " ?& ?")
        .replace(r"\.\ ", r"\.? ")
        .replace(r"\ ", "[ -]")
        for name in sorted(names, key=len, reverse=True)
    ]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(forms)})(?!\w)", re.IGNORECASE)


_LISTED = _listed()
_FORMS = (_LISTED, _SOLD, _LEGAL_FORM, _MARKED)


def find_companies(text: str) -> Iterator[tuple[int, int]]:
    """The stretches of a text that name a company or a product called after someone.

    Args:
        text: the document.
    """
    for pattern in _FORMS:
        for found in pattern.finditer(text):
            before = text[max(0, found.start() - _LOOK_BACK) : found.start()]
            if not (PERSONAL_TITLE_BEFORE.search(before) or _KIN_BEFORE.search(before)):
                yield found.span()
