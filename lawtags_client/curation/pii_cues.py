"""Names that the words around them give away, where a model sees no person or is in doubt."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from lawtags_client.curation.pii_findings import Finding, is_free

# Latin letters with all their marks; those beyond Latin-1 stand in blocks of both cases.
_UPPER = r"[A-ZÀ-ÖØ-ÞĀ-ſḀ-ỿ]"
_LETTERS = r"[a-zß-öø-ÿĀ-ſḀ-ỿ]"
NAME_WORD = re.compile(rf"(?:[DO]['’])?{_UPPER}{_LETTERS}+(?:['’-]{_UPPER}?{_LETTERS}+)*")
_WORD = NAME_WORD.pattern
_PARTICLE = r"(?:(?:van|von|de|da|di|del|della|der|den|dos|du|la|le|al|el|bin|bint|ibn|ter|ten|zu|af)[ -])"
_NAME = rf"{_PARTICLE}{{0,2}}{_WORD}(?: (?:{_UPPER}\. )?{_PARTICLE}{{0,2}}{_WORD}){{0,2}}"

_SHORT_TITLES = "Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Sgt|Lt|Capt|Det|Messrs|Mme|Mlle|Hr|Sra|Srta"
_LONG_TITLES = (
    "Professor|Doctor|Officer|Sergeant|Lieutenant|Detective|Deputy|Inspector|Constable|Trooper|Nurse|Attorney|"
    "Frau|Herrn?|Señora?|Señorita|Monsieur|Madame|Mademoiselle|Maître|Signora?|Pastor|Rabbi|Imam"
)
_TITLES = rf"(?:(?:{_SHORT_TITLES})\b\.?|\b(?:{_LONG_TITLES}))"
_TITLED = re.compile(
    rf"\b{_TITLES} (?!General|Practitioner|Sheriff|Minister|Commissioner|Director|Constable|Client|Who\b)"
    rf"(?:{_UPPER}\. )*(?P<name>{_NAME})"
)

_RELATIVES = (
    "brother|sister|mother|father|mom|mum|dad|son|daughter|wife|husband|girlfriend|boyfriend|fiancée?|partner|spouse|"
    "uncle|aunt|cousin|nephew|niece|grandmother|grandfather|grandson|granddaughter|stepfather|stepmother|stepson|"
    "stepdaughter|godfather|godmother|ex|child|baby|twin|roommate|flatmate|housemate|friend|neighbou?r|landlord|"
    "landlady|boss|manager|supervisor|colleague|co-?worker|co-?founder|secretary|assistant|employee|lawyer|attorney|"
    "solicitor|barrister|doctor|dentist|therapist|teacher|tutor|professor|advisor|adviser|guardian|witness|accountant|"
    "broker|plumber|builder|contractor|nanny|babysitter|tenant|subtenant|lodger|client|classmate|teammate|buddy|"
    "brother-in-law|sister-in-law|mother-in-law|father-in-law|ex-wife|ex-husband|ex-girlfriend|ex-boyfriend"
)
_RELATED = re.compile(
    rf"\b(?:[Mm]y|[Oo]ur|[Hh]is|[Hh]er|[Tt]heir|[Yy]our) (?:[a-z]+ )?(?:{_RELATIVES}),? "
    rf"(?P<name>{_NAME})(?!['’]?s? (?:v|vs)\b)"
)
_INTRODUCED = re.compile(
    rf"\b(?:[Mm]y (?:full )?name is|I am called|[Ss]igned by|"
    rf"(?:[Mm]an|[Ww]oman|[Gg]uy|[Pp]erson|[Ll]ady|[Gg]irl|[Bb]oy|[Ss]omeone|[Ss]omebody) (?:named|called)) "
    rf"(?P<name>{_NAME})"
)
_NOBODY = (
    "World|All|Every|Sirs?|Madam|Folks|Guys|Team|Community|Friends|Lawyers|There|Law|Stack|Reddit|Kitty|User|"
    "Customer"
)
_GREETED = re.compile(
    rf"(?:^|[\n\"“'‘(.] ?)(?:Dear|Hello|Hi|Hey|Good (?:morning|evening)),? "
    rf"(?!{_NOBODY})(?P<name>{_NAME})(?=[,!\n])"
)
# "Best regards, Anna" or "- Anna" at the end of all.
_SIGNED = re.compile(
    rf"(?:\b(?:[Rr]egards|[Ss]incerely|[Cc]heers|[Tt]hanks|[Tt]hank you|[Yy]ours(?: truly)?|[Bb]est wishes)"
    rf"[,!.]?\s+[-–—]?\s?"
    rf"|(?:[.!?]\s+|\n)[-–—]{{1,2}}\s?)(?P<name>{_NAME})\.?\s*\Z"
)
# What somebody does to somebody; its object is a person or a company, and the latter are known to the model.
_OBJECT = re.compile(
    r"\b(?:I|[Ww]e|[Hh]e|[Ss]he) (?:(?:have|had|has|never|also|then|only|already) )?"
    r"(?:lent|told|asked|married|divorced|met|dated|trusted|loaned|warned|texted|befriended|forgave|owe|introduced|"
    rf"hugged|punched) (?P<name>{_NAME})(?! v)"
)
_TITLE_PARTS = tuple(re.sub(r".\?", "", title) for title in f"{_SHORT_TITLES}|{_LONG_TITLES}".split("|"))


def _holds_any(*parts: str) -> Callable[[str], bool]:
    return lambda text: any(part in text for part in parts)


def _ends_with_name(text: str) -> bool:
    last = text.rstrip().removesuffix(".").rpartition(" ")[2]
    return last[-1:].isalpha() and not last.islower()


# Each with what a text must hold for it to match: most hold nothing of it, and that is quickly seen.
_CUES: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = (
    (_TITLED, _holds_any(*_TITLE_PARTS)),
    (_RELATED, _holds_any("y ", "r ", "is ")),
    (_INTRODUCED, _holds_any("name is ", "called ", "named ", "igned by ")),
    (_GREETED, _holds_any("Dear", "Hello", "Hi", "Hey", "Good ")),
    (_SIGNED, _ends_with_name),
)

# What only people do or have done to them, behind a name that the model takes for a company or a place.
_HUMAN = re.compile(
    r"['’]?,? (?:(?:now|still|never|also|then|always|just|once|only|later|already|even|has|had|who|keeps) )*"
    r"(?:and (?:I|my|me|her|his|she|he)|says (?:he|she|that he|that she|I|the|we|my|his|her)|"
    r"lied|lies|owes|owed|promised|promises|married|died|moved|lent|borrowed|stole|drove|replied|replies|"
    r"fired me|hired me|told (?:me|us|my)|refuses to|refused to|wants (?:to|me|my|his|her|us|half)|"
    r"threatens|threatened|insists|insisted|apologi[sz]ed|texted|calls me|called me|calling|"
    r"rented (?:me|us|out)|sold (?:me|us|her|his)|gave (?:me|us)|bought (?:me|his|her)|hit (?:me|my|us)|"
    r"lives|lived|slept|admitted|confessed|signed|witnessed|inherited|resigned|quit|"
    r"was (?:born|arrested|drunk|fired|my|her|his)|is (?:my|our|his|her|sixteen|seventeen|eighteen))\b"
)
_COMPANY = re.compile(
    r"\b(?:Inc|LLC|Ltd|GmbH|AG|Corp|Co|Bank|Group|Holdings?|Company|Corporation|Insurance|Airlines?|Air|"
    r"Motors?|Foods?|Stores?|Services?|Systems?|Technolog(?:y|ies)|Media|Press|Times|Post|News|"
    r"Partners|Associates|Properties|Realty|Management|Union|Association|Society|Foundation|Institute|"
    r"Committee|Council|Commission|Department|Office|Ministry|Board|School|College|Church|Hospital|"
    r"Clinic|Club|Party|Police|Claims?|Resources|Security|Wireless|Mobile|Energy|Electric|Gas|Water|"
    r"Network|Online|Law|Legal|Court|Act|State|City|County|Contract|Agreement|Clause|Form|Notice|"
    r"Right|Rights)\b"
)
# Long words with an ending of this kind are German nouns, as long as they stand alone.
_GERMAN_NOUN = re.compile(
    r"(?:pflicht|ung|heit|keit|schaft|gericht|gesetz|(?<!b)recht|vertrag|frist|bescheid|ordnung|verein|verfahren|klage|"
    r"urteil|schutz|anwalt|antrag|ruf|steuer|geld|buch|amt|spruch|mieter|geber|nehmer|käufer|gläubiger|schuldner|macht|"
    r"sache|miete|kosten|zeuge|zeugnis|erlaubnis|ergebnis|verhältnis|versicherung|kasse|sitz|abgabe|behörde|beamter|"
    r"verwaltung|kündigung|abmahnung|rechnung|grundstück|eigentum|besitz|testament)(?:e[nrs]?|s|en)?$"
)
_DETERMINED = re.compile(
    r"\b(?:the|an?|my|our|your|its|this|that|these|those|each|every|no|any|some|another|der|die|das|den|dem|des|"
    r"eine?[rnms]?|le|la|les|un|une) $",
    re.IGNORECASE,
)
_FEATURE = (
    "Lake|Creek|Moor|Island|Isle|Forest|Ridge|Hollow|Meadows?|Pond|Marsh|Cove|Glen|Mountains?|River|Brook|Canyon|"
    "Woods|Fen|Bluff|Gorge|Peak|Swamp|Bog|Inlet|Lagoon|Bayou|Fell|Tarn"
)
# Towns are called like this as well, and where the model sees one it is left alone.
_TOWN_FEATURE = "Valley|Falls|Bay|Beach|Hills?|Heath|Springs?"
_LAND = re.compile(
    rf"\b(?:(?:{_WORD}(?:['’]s)? ){{1,3}}(?:{_FEATURE}|(?P<town>{_TOWN_FEATURE}))"
    rf"|(?:Lake|Mount|Mt\.|Loch|Lough|River|Isle of|Cape) {_WORD})\b(?! {_UPPER})"
)


def find_cued(text: str, doubtful: Iterable[Finding] = ()) -> Iterator[Finding]:
    """Names behind a title, a relation, a greeting or the like.

    Args:
        text: the document.
        doubtful: what a model calls a company, a place or the like.
    """
    for cue, could_match in _CUES:
        for found in cue.finditer(text) if could_match(text) else ():
            yield Finding(*found.span("name"), "PERSON")
    doubtful = tuple(doubtful)
    for found in _OBJECT.finditer(text):
        someone = Finding(*found.span("name"), "PERSON")
        if is_free(someone, doubtful) and not _COMPANY.search(found["name"]):
            yield someone


def find_doubtful_people(text: str, doubtful: Iterable[Finding]) -> Iterator[Finding]:
    """Those of a model's companies and places that do what people do.

    Args:
        text: the document.
        doubtful: what the model calls a company, a place or the like.
    """
    for one in doubtful:
        value = text[one.start : one.end]
        if re.fullmatch(_NAME, value) and not _COMPANY.search(value) and _HUMAN.match(text, one.end):
            yield Finding(one.start, one.end, "PERSON")


def find_land(text: str, places: Iterable[Finding]) -> Iterator[Finding]:
    """Lakes, hills and the like among the places of a model, found whole.

    Args:
        text: the document.
        places: what the model calls a place of whatever kind.
    """
    known = tuple(places)
    if not known:
        return
    for found in _LAND.finditer(text):
        land = Finding(*found.span(), "LOCATION")
        if any(
            not is_free(land, (place,)) and not (found["town"] and place.entity == "GPE") for place in known
        ):
            yield land


def is_common_noun(text: str, start: int, end: int) -> bool:
    """Whether a single word is a thing or an office: it has an article, or the ending of a German noun.

    Args:
        text: the document.
        start: where the word begins.
        end: behind its last letter.
    """
    word = text[start:end]
    if len(word) > 6 and _GERMAN_NOUN.search(word):
        return True
    return _DETERMINED.search(text[max(0, start - 40) : start]) is not None
