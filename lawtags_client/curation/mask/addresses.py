"""Find street addresses of several countries: house number, street, and the town and postcode after them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from lawtags_client.curation.mask.findings import Finding

_CAPITAL = r"[A-ZÀ-ÖØ-Þ][\w'’.-]*"
_TYPES = (
    "Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way|Place|Pl|Square|Sq|Terrace|Ter|"
    "Highway|Hwy|Parkway|Pkwy|Circle|Cir|Close|Crescent|Cres|Gardens|Mews|Row|Trail|Alley|Quay|Walk|Parade|"
    "Esplanade|Grove|Hill|Rise|Vale|Wharf|Loop|Marg|Chowk|Salai|Nagar|Colony|Enclave|Vihar"
)
_UNIT = r"(?:,?\s+(?:Apt|Apartment|Suite|Ste|Unit|Flat|Room|Floor|Fl|#)\.?\s*#?\s?[A-Za-z]?\d{1,5}[A-Za-z]?)?"
_STATE_CODES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|"
    "OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC|ON|QC|BC|AB|MB|SK|NS|NB|NL|PE|NSW|VIC|QLD|WA|SA|TAS|ACT|NT"
)
_STATE_NAMES = (
    "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|"
    "Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|"
    "Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada|New Hampshire|New Jersey|New Mexico|New York|"
    "North Carolina|North Dakota|Ohio|Oklahoma|Oregon|Pennsylvania|Rhode Island|South Carolina|"
    "South Dakota|Tennessee|Texas|Utah|Vermont|West Virginia|Virginia|Washington|Wisconsin|Wyoming|"
    "Ontario|Quebec|Québec|British Columbia|Alberta|Manitoba|Saskatchewan|Nova Scotia|New Brunswick|"
    "Newfoundland|New South Wales|Victoria|Queensland|Tasmania|South Australia|Western Australia"
)
_STATES = rf"(?:{_STATE_CODES}|{_STATE_NAMES})"
_BRITISH = r"[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}"
_CANADIAN = r"[A-Z]\d[A-Z]\s?\d[A-Z]\d"
_POSTCODE = rf"(?:\d{{5}}(?:-\d{{4}})?|{_BRITISH}|{_CANADIAN}|\d{{6}}|\d{{4}})"
# A state or postcode marks the town before it; a district may come before the town.
_TOWN = (
    rf"(?:(?:,\s+{_CAPITAL}(?:\s+{_CAPITAL})?)?,?\s+{_CAPITAL}(?:\s+{_CAPITAL}){{0,2}}"
    rf"(?=,?\s+(?:{_STATES}\b|{_POSTCODE}\b)))?"
)
_PLACE = rf"{_TOWN}(?:,?\s+(?:(?:{_STATE_CODES})\b(?!\.)|(?:{_STATE_NAMES})\b))?(?:,?\s+{_POSTCODE}\b)?"
# Part of a house, or a house in a named block, before the street number.
_BEFORE = (
    r"(?:(?:Flat|Apt\.?|Apartment|Unit|Suite|Room)\s+\d{1,5}[A-Za-z]?,\s+"
    rf"(?:{_CAPITAL}(?:\s+{_CAPITAL}){{0,2}},\s+)?)?"
)
_ENGLISH = re.compile(
    rf"(?<![\w.,$€£§#/-]){_BEFORE}(?P<house>\d{{1,6}}[A-Za-z]?(?:[-/]\d{{1,4}})?),?\s+(?:[NSEW]\.?|North|South|East|West)?\s?"
    rf"(?P<name>(?:{_CAPITAL}|\d{{1,3}}(?:st|nd|rd|th))(?:\s+{_CAPITAL}){{0,3}}?)\s+(?:{_TYPES})\b(?:\.(?=\s*[,\w#]))?"
    rf"(?:\s+(?:[NSEW]{{1,2}}|North|South|East|West)\b\.?)?(?P<rest>{_UNIT}{_PLACE})"
)
# Roads whose name is a number.
_NUMBERED = re.compile(
    rf"(?<![\w.,$€£§#/-])\d{{1,6}}\s+(?:(?:County|State|Rural|Ranch|Township|US|Old)\s+)?"
    rf"(?:Road|Rd\.?|Route|Rte\.?|Highway|Hwy\.?)\s+\d{{1,4}}\b{_PLACE}"
)
# British and Canadian postcodes are unmistakable: capitalized words before them belong to the address.
_CODE = re.compile(rf"\b(?:{_BRITISH}|{_CANADIAN})\b")
_CODED = re.compile(
    rf"(?:(?:\d{{1,5}}[A-Za-z]?(?:-\d{{1,4}})?\s+)?{_CAPITAL}"
    rf"(?:\s+(?:{_CAPITAL}|\d{{1,4}}[a-z]?|of|the|du|de|des|la)){{0,4}},\s+){{1,5}}(?:{_CAPITAL}\s+){{0,3}}$"
)
_LONGEST = 120
_INDIAN = re.compile(
    rf"\b(?:H(?:ouse|\.)?|Plot|Flat|Door|Shop)\s+No\.?\s*\d{{1,5}}[A-Za-z]?(?:[/-]\w{{1,4}})*,\s+"
    rf"(?:{_CAPITAL}(?:\s+(?:{_CAPITAL}|\d{{1,3}})){{0,3}},?\s+){{1,4}}(?:-\s*)?\d{{3}}\s?\d{{3}}\b"
)
_GERMAN_TOWN = r"\d{4,5}\s+[A-ZÄÖÜ][\wäöüß-]+(?:\s+(?:am|an\s+der|im|in|ob\s+der|bei)\s+[A-ZÄÖÜ][\wäöüß-]+)?"
_GERMAN_NUMBER = r"\d{1,4}(?:\s?[a-z])?(?:\s?[-–/]\s?\d{1,4}[a-z]?)?\b"
_GERMAN = re.compile(
    r"\b(?:(?:Alte|Neue|Große|Kleine|Obere|Untere|Lange|Hohe)[rns]?\s+)?"
    r"[A-ZÄÖÜ][\wäöüß-]*"
    r"(?:[Ss]traße|[Ss]trasse|[Ss]tr\.|[Ww]eg|[Pp]latz|[Aa]llee|[Gg]asse|[Dd]amm|[Uu]fer)"
    rf"\s+{_GERMAN_NUMBER}(?:,?\s+{_GERMAN_TOWN})?"
    # If the street name is a phrase, the postcode after it is required.
    r"|\b(?:Am|Im|An|Auf|In|Unter|Hinter|Vor|Zum|Zur|Beim|Bei)\s+(?:(?:der|den|dem)\s+)?"
    r"(?:[A-ZÄÖÜ][\wäöüß-]+\s+){1,2}"
    rf"{_GERMAN_NUMBER},?\s+{_GERMAN_TOWN}"
    # The same applies to endings that are also endings of English words.
    r"|\b[A-ZÄÖÜ][\wäöüß-]+(?:ring|steig|pfad|hof|chaussee|graben|promenade|markt|wall)\s+"
    rf"{_GERMAN_NUMBER},?\s+{_GERMAN_TOWN}"
)
_ROMANCE = re.compile(
    r"\b\d{1,4}(?:\s?(?:bis|ter))?,?\s+(?:[Rr]ue|[Aa]venue|[Aa]v\.|[Bb]oulevard|[Bb]d|[Pp]lace|[Cc]hemin|[Aa]llée|"
    r"[Ii]mpasse|[Qq]uai|[Rr]oute|[Cc]ours|[Ss]quare|[Pp]assage|[Rr]ang|[Mm]ontée)\s+"
    r"(?:de\s+la\s+|de\s+l['’]|des\s+|du\s+|de\s+|d['’])?[A-ZÀ-Þ][\w'’-]*(?:\s+[A-ZÀ-Þ][\w'’-]*){0,2}"
    rf"(?:,?\s+\d{{5}}\s+[A-ZÀ-Þ][\w'’-]+|,\s+{_CAPITAL},?\s+QC(?:\s+{_CANADIAN})?)?"
    r"|\b(?:[Cc]alle|[Vv]ia|[Pp]iazza|[Aa]venida|[Pp]laza)\s+(?:de(?:\s+la)?\s+|del\s+)?"
    r"[A-ZÀ-Þ][\w'’-]*(?:\s+[A-ZÀ-Þ][\w'’-]*){0,2},?\s+(?:n[.º°]\s?)?\d{1,4}\b(?:,?\s+\d{5}\s+[A-ZÀ-Þ][\w'’-]+)?"
)
_BOX = re.compile(rf"\bP\.?\s?O\.?\s+Box\s+\d{{1,6}}\b{_PLACE}")
# "9 Supreme Court justices", "3 District Court": a number before a court is not a house number.
_COURTS = re.compile(
    r"\b(?:Supreme|District|High|Appeals?|Appellate|Circuit|Federal|County|Crown|Magistrates?|Superior|Trial|"
    r"Family|Juvenile|Municipal|State|US|U\.S|Claims?|Probate|Bankruptcy|Tax|Small|European|International)\b"
)

# "On 3 June Court hearings resume": a day and its month are not a house and a street.
_MONTH = (
    r"(?:Jan(?:uary?)?|Feb(?:ruary?)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|"
    r"Nov(?:ember)?|Dec(?:ember)?|Januar|Jänner|Februar|März|Mai|Juni|Juli|Oktober|Dezember)\b\.?"
)
_MONTH_FIRST = re.compile(rf"{_MONTH}(?!['’-])")
_MONTH_BEFORE = re.compile(rf"\b{_MONTH}\s+$")
# A house number follows these words, whatever the street is called.
_AT_HOUSE = re.compile(
    r"\b(?:at|near|outside|behind|opposite|address(?:es)?:?|(?:live[sd]?|living|reside[sd]?) (?:in|on))\s+$"
)
# "Fig. 4 Harmonic Drive" is a figure.
_LABELLED = re.compile(
    r"\b(?:fig(?:ure)?s?|tab(?:le)?s?|eq(?:n|uation)?s?|sect?(?:ion)?s?|chap(?:ter)?s?|art(?:icle)?s?|steps?|"
    r"ex(?:h|hibit)?s?|slides?|models?|versions?|schedules?|appendix)\.?\s+$",
    re.IGNORECASE,
)
_YEAR_BEFORE = re.compile(
    r"\b(?:in|since|until|till|during|before|after|by|from|of|early|late)\s+$", re.IGNORECASE
)
_YEAR = re.compile(r"(?:19|20)\d\d")
# "All 25 Members Close their accounts": people and things are counted, houses are not.
_COUNTING = re.compile(
    r"\b(?:the|these|those|all|any|some|other|another|first|last|next|only|about|over|"
    r"under|than|are|were|be|every|paid?|costs?)\s+$",
    re.IGNORECASE,
)
_PLURAL = re.compile(r"(?:\S+\s+)?(?:[A-Z][a-z]+[^s\W]s|Men|Women|People|Children)\b")
_MONEY = re.compile(
    r"(?:Dollars?|Euros?|Pounds?|Cents?|Rupees?|Francs?|Days?|Weeks?|Months?|Years?|Hours?|Minutes?)\b"
)

# Texts without any of these cannot match; most texts have none, and the check is fast.
_DIGIT = re.compile(r"\d")
_CODE_LIKE = re.compile(r"[A-Z]\d")
_HOUSE_LIKE = re.compile(r"\d[A-Za-z]?,?\s+[A-ZÀ-ÖØ-Þ\d]")
_TOWN_LIKE = re.compile(r"\d{4}\s+[A-ZÄÖÜ]")
_STREET_ENDS = (
    "traße", "trasse", "tr.", "weg", "Weg", "platz", "Platz", "llee", "gasse", "Gasse", "damm", "Damm",
    "ufer", "Ufer",
)  # fmt: skip
_FORMS: tuple[tuple[re.Pattern[str], Callable[[str], object]], ...] = (
    (_ENGLISH, _HOUSE_LIKE.search),
    (_NUMBERED, lambda text: any(word in text for word in ("Road", "Rd", "Route", "Rte", "Highway", "Hwy"))),
    (_INDIAN, re.compile(r"No\.?\s*\d").search),
    (_GERMAN, lambda text: any(word in text for word in _STREET_ENDS) or _TOWN_LIKE.search(text)),
    (_ROMANCE, _DIGIT.search),
    (_BOX, lambda text: "Box" in text),
)


def find_addresses(text: str) -> Iterator[Finding]:
    """Find street addresses: a house number with a street, and the town and postcode after it."""
    if not _DIGIT.search(text):
        return
    for code in _CODE.finditer(text) if _CODE_LIKE.search(text) else ():
        first = max(text.rfind("\n", 0, code.start()) + 1, code.start() - _LONGEST)
        if before := _CODED.search(text[first : code.start()]):
            yield Finding(first + before.start(), code.end(), "ADDRESS")
    for pattern, could_match in _FORMS:
        for found in pattern.finditer(text) if could_match(text) else ():
            if "\n" in found.group() or (pattern is _ENGLISH and not _is_house(found)):
                continue
            yield Finding(found.start(), found.end(), "ADDRESS")


def _is_house(found: re.Match[str]) -> bool:
    name, house = found["name"], found["house"]
    if _COURTS.search(name) or _MONEY.match(name):
        return False
    before = found.string[max(0, found.start() - 24) : found.start()]
    if _LABELLED.search(before):
        return False
    # A town, a flat number or a letter after the house number makes it an address.
    if found["rest"] or house[-1].isalpha():
        return True
    if int(re.split(r"\D", house)[0]) <= 31 and (_MONTH_FIRST.match(name) or _MONTH_BEFORE.search(before)):
        return _AT_HOUSE.search(before) is not None
    if _YEAR.fullmatch(house) and _YEAR_BEFORE.search(before):
        return False
    return not (_COUNTING.search(before) and _PLURAL.match(name))
