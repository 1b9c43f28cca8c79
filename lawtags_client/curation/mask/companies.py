"""Find companies and products that are named after people: "a John Deere tractor", "Kowalski Plumbing LLC".

Well-known ones are listed. Others are recognized by the words next to the name: a legal form, a trademark
sign, or a product. "My neighbor John Deere" is still a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lawtags_client.curation.mask.cues import PERSONAL_TITLE_BEFORE, RELATIVES
from lawtags_client.curation.mask.word_lists import alternatives, read_words

_WORD = r"[A-ZÀ-ÖØ-Þ][\w'’.-]*"
_NAME = rf"{_WORD}(?: {_WORD}){{0,3}}"
_JOINED = rf"{_NAME}(?:,? (?:&|and) {_NAME})?"
_GOODS = alternatives(read_words("general/goods"))
# Only names that could be those of people matter. What "Anna Kowalski's" and "Mr. Lee" have is their own.
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
    # The longest first, with any apostrophe, and with a hyphen or without a point as people write them.
    forms = [
        re.escape(name)
        .replace("'s", "['’]?s")
        .replace(r"\ \&\ ", " ?& ?")
        .replace(r"\.\ ", r"\.? ")
        .replace(r"\ ", "[ -]")
        for name in sorted(read_words("general/eponyms"), key=len, reverse=True)
    ]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(forms)})(?!\w)", re.IGNORECASE)


_LISTED = _listed()
_FORMS = (_LISTED, _SOLD, _LEGAL_FORM, _MARKED)


def find_companies(text: str) -> Iterator[tuple[int, int]]:
    """The spans of a text that name a company or a product after someone.

    Args:
        text: the document.
    """
    for pattern in _FORMS:
        for found in pattern.finditer(text):
            before = text[max(0, found.start() - _LOOK_BACK) : found.start()]
            if not (PERSONAL_TITLE_BEFORE.search(before) or _KIN_BEFORE.search(before)):
                yield found.span()
