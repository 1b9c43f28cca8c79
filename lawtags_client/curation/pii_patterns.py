"""Personal data that has a form of its own: addresses of mail, pages and machines, telephones, streets."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lawtags_client.errors import MissingExtraError


@dataclass(frozen=True, slots=True)
class Finding:
    """A stretch of text that is personal data.

    Args:
        start: where it begins.
        end: behind its last character.
        entity: its kind, e.g. ``PERSON``.
    """

    start: int
    end: int
    entity: str


_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%'-]{1,64}@(?:[^\W_](?:[\w-]{0,62})\.){1,8}[^\W\d_]{2,24}(?![\w@])")

_SCHEMES = r"(?:https?|ftps?|sftp|file|ssh|git|wss?)://"
_URL = re.compile(rf"\b(?:{_SCHEMES}|www\d?\.(?=[\w-]+\.))[^\s<>\"`{{}}|\\^]+", re.IGNORECASE)
_MAILTO = re.compile(r"\bmailto:(?=\S+@)", re.IGNORECASE)
# A name of a site without scheme: only with an ending that no abbreviation or file has.
_TOP = (
    "com|org|net|edu|gov|mil|int|info|biz|eu|uk|de|fr|es|nl|ch|at|be|ie|ca|au|nz|jp|cn|us|se|no|dk|fi|pl|io"
)
_SITE = re.compile(
    rf"(?<![\w@./-])(?:[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?\.){{1,4}}(?:{_TOP})(?![\w-]|\.[a-z0-9])(?:/[^\s<>\"`]*)?"
)
_URL_TAIL = ".,;:!?'\"*_~’”»"

_IP = re.compile(
    r"(?<![\w.:/])(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4})(?![\w:]|\.\d)",
    re.IGNORECASE,
)

# At least seven digits with what stands between the digits of a telephone number.
_PHONE_LIKE = re.compile(r"(?<![\w/.])(?:\+|\(|00)?\d(?:[\s().\-–/]{0,3}\d){6,14}(?!\w)")
_PHONE_WORDS = re.compile(
    r"(?:phone|tele(?:phone)?|tel|call(?:ed|ing)?|text(?:ed)?|mobile|cell|fax|sms|whatsapp|dial|reach\s+me|number|ph)"
    r"[\s.:#]*(?:(?:me|us|him|her|them|is|was|at|on|no\.?|number)[\s.:]*){0,3}$",
    re.IGNORECASE,
)
# Behind these a number is a citation, a sum or a case.
_NO_PHONE = re.compile(
    r"(?:§+|\$|€|£|\b(?:sections?|sec|art|articles?|no|nos|case|docket|u\.?s\.?c?|isbn|usd|eur|vol|p|pp|id|rfc|"
    r"iso|doi))\.?\s*#?$",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"(?:1[5-9]|20)\d\d[-–/.](?:0?[1-9]|1[0-2])[-–/.](?:0?[1-9]|[12]\d|3[01])(?!\d)"
    r"|(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|1[0-2])[-/.](?:1[5-9]|20)\d\d"
)
_YEARS = re.compile(r"(?:1[5-9]|20)\d\d\s?[-–/]\s?(?:1[5-9]|20)\d\d")
# How acts of the European Union are numbered: 2016/679.
_ACT = re.compile(r"(?<!\d)(?:19|20)\d\d/\d{1,4}(?![\d/])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:\s?[A-Z0-9]{4}){2,7}(?:\s?[A-Z0-9]{1,4})?\b")
_SEVEN = re.compile(r"\d{3}[\s.\-–]\d{4}")
_REGIONS = ("US", "GB", "DE", "FR", "IN", "AU")

_CAPITAL = r"[A-ZÀ-ÖØ-Þ][\w'’.-]*"
_TYPES = (
    "Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way|Place|Pl|Square|Sq|Terrace|Ter|"
    "Highway|Hwy|Parkway|Pkwy|Circle|Cir|Close|Crescent|Cres|Gardens|Mews|Row|Trail|Alley|Quay|Walk"
)
_UNIT = r"(?:,?\s+(?:Apt|Apartment|Suite|Ste|Unit|Flat|Room|Floor|Fl|#)\.?\s*#?\s?[A-Za-z]?\d{1,5}[A-Za-z]?)?"
_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|"
    "OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC|ON|QC|BC|AB|MB|SK|NS|NB|NL|PE|NSW|VIC|QLD|WA|SA|TAS|ACT|NT"
)
_POSTCODE = r"(?:\d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}|[A-Z]\d[A-Z]\s?\d[A-Z]\d|\d{4})"
_TOWN = rf"(?:,?\s+{_CAPITAL}(?:\s+{_CAPITAL}){{0,2}}(?=,?\s+(?:(?:{_STATES})\b|{_POSTCODE}\b)))?"
_PLACE = rf"{_TOWN}(?:,?\s+(?:{_STATES})\b(?!\.))?(?:,?\s+{_POSTCODE}\b)?"
_ENGLISH = re.compile(
    rf"(?<![\w.,$€£§#/-])\d{{1,6}}[A-Za-z]?(?:[-/]\d{{1,4}})?,?\s+(?:[NSEW]\.?|North|South|East|West)?\s?"
    rf"((?:{_CAPITAL}|\d{{1,3}}(?:st|nd|rd|th))(?:\s+{_CAPITAL}){{0,3}}?)\s+(?:{_TYPES})\b(?:\.(?=\s*[,\w#]))?"
    rf"(?:\s+(?:[NSEW]{{1,2}}|North|South|East|West)\b\.?)?{_UNIT}{_PLACE}"
)
_GERMAN = re.compile(
    r"\b[A-ZÄÖÜ][\wäöüß-]*(?:straße|strasse|str\.|weg|platz|allee|gasse|damm|ufer)\s+\d{1,4}(?:\s?[a-z])?\b"
    r"(?:,?\s+\d{4,5}\s+[A-ZÄÖÜ][\wäöüß-]+)?"
)
_ROMANCE = re.compile(
    r"\b\d{1,4}(?:\s?bis)?,?\s+(?:rue|avenue|av\.|boulevard|bd|place|chemin|allée|impasse|quai)\s+"
    r"(?:de\s+la\s+|de\s+l['’]|des\s+|du\s+|de\s+)?[A-ZÀ-Þ][\w'’-]*(?:\s+[A-ZÀ-Þ][\w'’-]*){0,2}(?:,?\s+\d{5}\s+[A-ZÀ-Þ][\w'’-]+)?"
    r"|\b(?:[Cc]alle|[Vv]ia|[Pp]iazza|[Aa]venida|[Pp]laza)\s+(?:de(?:\s+la)?\s+|del\s+)?"
    r"[A-ZÀ-Þ][\w'’-]*(?:\s+[A-ZÀ-Þ][\w'’-]*){0,2},?\s+(?:n[.º°]\s?)?\d{1,4}\b(?:,?\s+\d{5}\s+[A-ZÀ-Þ][\w'’-]+)?"
)
_BOX = re.compile(rf"\bP\.?\s?O\.?\s+Box\s+\d{{1,6}}\b{_PLACE}")
# "9 Supreme Court justices", "3 District Court": a number before a court is no house.
_COURTS = re.compile(
    r"\b(?:Supreme|District|High|Appeals?|Appellate|Circuit|Federal|County|Crown|Magistrates?|Superior|Trial|"
    r"Family|Juvenile|Municipal|State|US|U\.S|Claims?|Probate|Bankruptcy|Tax|Small|European|International)\b"
)


def find_emails(text: str) -> Iterator[Finding]:
    """Addresses of mail, also with plus signs."""
    if "@" in text:
        for found in _EMAIL.finditer(text):
            yield Finding(found.start(), found.end(), "EMAIL_ADDRESS")


def find_urls(text: str) -> Iterator[Finding]:
    """Addresses of pages, with a scheme, with ``www.``, or the bare name of a site."""
    for found in _URL.finditer(text):
        end = _trim_url(text, found.start(), found.end())
        if end - found.start() > 8:
            yield Finding(found.start(), end, "URL")
    for found in _SITE.finditer(text):
        yield Finding(found.start(), _trim_url(text, found.start(), found.end()), "URL")


def find_ips(text: str) -> Iterator[Finding]:
    """Addresses of machines, of both versions; those that stand for no machine are passed over."""
    for found in _IP.finditer(text):
        try:
            address = ipaddress.ip_address(found.group())
        except ValueError:
            continue
        if not (address.is_loopback or address.is_unspecified):
            yield Finding(found.start(), found.end(), "IP_ADDRESS")


def find_phones(text: str) -> Iterator[Finding]:
    """Telephone numbers, national ones of six countries and international ones.

    Raises:
        MissingExtraError: phonenumbers is not installed.
    """
    blocked = [found.span() for pattern in (_IBAN, _DATE, _YEARS, _ACT) for found in pattern.finditer(text)]
    for found in _PHONE_LIKE.finditer(text):
        start, end = found.span()
        if any(begin < end and start < stop for begin, stop in blocked):
            continue
        before = text[max(0, start - 24) : start]
        announced = _PHONE_WORDS.search(before) is not None
        if not announced and (_NO_PHONE.search(before) or text[end : end + 1] == "%"):
            continue
        if _is_phone(found.group().strip(), announced):
            yield Finding(start, end, "PHONE_NUMBER")
    # Seven digits alone could be anything.
    for found in _SEVEN.finditer(text):
        if (
            _PHONE_WORDS.search(text[max(0, found.start() - 24) : found.start()])
            and not text[found.end() : found.end() + 1].isalnum()
        ):
            yield Finding(found.start(), found.end(), "PHONE_NUMBER")


def find_addresses(text: str) -> Iterator[Finding]:
    """Street addresses: a house number with a street, and the town and postcode behind it."""
    for pattern in (_ENGLISH, _GERMAN, _ROMANCE, _BOX):
        for found in pattern.finditer(text):
            if pattern is _ENGLISH and (_COURTS.search(found[1]) or "\n" in found.group()):
                continue
            yield Finding(found.start(), found.end(), "ADDRESS")


def _trim_url(text: str, start: int, end: int) -> int:
    # What ends the sentence is no part of the address, nor is a bracket that was opened before it.
    while end > start:
        last = text[end - 1]
        opening = {")": "(", "]": "["}.get(last)
        unmatched = opening is not None and text.count(last, start, end) > text.count(opening, start, end)
        if last not in _URL_TAIL and not unmatched:
            break
        end -= 1
    inner = text.find("](", start, end)
    return inner if inner > start else end


def _is_phone(text: str, announced: bool) -> bool:
    phonenumbers = _phonenumbers()
    digits = sum(letter.isdigit() for letter in text)
    formatted = text[0] in "+(" or text.startswith("00") or any(sign in text for sign in " -–.()/")
    # A bare run of digits is a number of something; only words around it make it a telephone.
    if not formatted and not announced:
        return False
    if announced and 7 <= digits <= 15:
        return True
    if text.startswith("00"):
        text = "+" + text[2:]
    for region in (None,) if text[0] == "+" else _REGIONS:
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            continue
        if region is None:
            # A plus sign and a country code are no accident, and ranges in use change.
            return bool(phonenumbers.is_possible_number(number))
        if phonenumbers.is_valid_number(number) and _grouped(text, region):
            return True
    return False


def _grouped(text: str, region: str) -> bool:
    # Countries other than the US write their trunk prefix; without it a group of numbers is not one.
    groups = [len(group) for group in re.split(r"\D+", text) if group]
    if region == "US":
        return groups in ([3, 3, 4], [1, 3, 3, 4], [3, 7])
    return text.lstrip("(").startswith("0") and len(groups) > 1


@lru_cache(maxsize=1)
def _phonenumbers() -> Any:
    try:
        import phonenumbers
    except ImportError as error:
        raise MissingExtraError("phonenumbers", "curate", "finding telephone numbers") from error
    return phonenumbers


FINDERS = {
    "EMAIL_ADDRESS": find_emails,
    "URL": find_urls,
    "IP_ADDRESS": find_ips,
    "PHONE_NUMBER": find_phones,
    "ADDRESS": find_addresses,
}
