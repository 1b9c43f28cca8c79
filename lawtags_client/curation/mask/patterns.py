"""Find personal data with a specific format: email addresses, URLs, IP addresses and phone numbers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache
from types import ModuleType

from lawtags_client.curation.mask.addresses import find_addresses
from lawtags_client.curation.mask.findings import Finding
from lawtags_client.curation.mask.spelled_mail import find_spelled_emails
from lawtags_client.errors import MissingExtraError

# A link may write the sign as "%40".
_EMAIL = re.compile(
    r"(?<![\w.+%-])[\w.+%'-]{1,64}?(?:@|%40)(?:[^\W_](?:[\w-]{0,62})\.){1,8}[^\W\d_]{2,24}(?![\w@])"
)

# Any scheme counts: what follows "://" may be a login of a database, and is not an email address.
_SCHEMES = r"(?<![a-z0-9])[a-z][a-z0-9+.-]{1,20}://"
# A password may hold signs that the rest of an address does not.
_LOGIN = r"(?:[^\s<>\"/@?#]*:[^\s<>\"/@]*@)?"
_URL = re.compile(rf"(?:{_SCHEMES}{_LOGIN}|\bwww\d?\.(?=[\w-]+\.))[^\s<>\"`{{}}|\\^]+", re.IGNORECASE)
# A login without a scheme: the port or path after the host tells it from "mail:jane@example.com".
_LOGIN_ONLY = re.compile(
    r"(?<![\w.+%@/-])[\w.+%-]{1,64}:[^\s@:/<>\"]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?::\d{1,5}\b|/)[^\s<>\"`]*"
)
# A name of a site without scheme: only with an ending that no abbreviation or file has.
_TOP = (
    "com|org|net|edu|gov|mil|int|info|biz|eu|uk|de|fr|es|nl|ch|at|be|ie|ca|au|nz|jp|cn|us|se|no|dk|fi|pl|io"
)
_SITE = re.compile(
    rf"(?<![\w@./-])(?:[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?\.){{1,4}}(?:{_TOP})(?![\w-]|\.[a-z0-9])"
    r"(?::\d{1,5}(?!\d))?(?:[/?#](?=\S)[^\s<>\"`]*)?"
)
_SITE_ENDS = tuple(f".{top}" for top in _TOP.split("|"))
_URL_TAIL = ".,;:!?'\"*_~’”»"

_IP = re.compile(
    r"(?<![\w.:/])(?:\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)|(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:]|\.\d))",
    re.IGNORECASE,
)
_DOTTED = re.compile(r"\d\.\d")
# Programs and contracts count in four numbers, too.
_COUNTED = re.compile(
    r"\b(?:versions?|ver|release|build|clauses?|cl|sect?(?:ions?)?s?|para(?:graph)?s?|ch(?:ap(?:ter)?)?s?|rules?|"
    r"fig(?:ure)?s?|tab(?:le)?s?|eq(?:uation)?s?|art(?:icle)?s?|app(?:endix)?|v)\.?\s*$",
    re.IGNORECASE,
)

# At least seven digits, with the separators of phone numbers.
_PHONE_LIKE = re.compile(r"(?<![\w/.])(?:\+|\(|00)?\d(?:[\s().\-–/]{0,3}\d){6,14}(?!\w)")
_PHONE_WORDS = re.compile(
    r"(?:phone|tele(?:phone)?|tel|call(?:ed|ing)?|text(?:ed)?|mobile|cell|fax|sms|whatsapp|dial|reach\s+me|number|ph)"
    r"[\s.:#]*(?:(?:me|us|him|her|them|is|was|at|on|no\.?|number)[\s.:]*){0,3}$",
    re.IGNORECASE,
)
# After these, a number is a citation, an amount or a case.
_NO_PHONE = re.compile(
    r"(?:§+|\$|€|£|\b(?:sections?|sec|art|articles?|no|nos|case|docket|u\.?s\.?c?|isbn|usd|eur|vol|p|pp|id|rfc|"
    r"iso|doi))\.?\s*#?$",
    re.IGNORECASE,
)
# Other kinds of numbers, which the word "number" would mark as phone numbers.
_OTHER_NUMBER = re.compile(
    r"\b(?:case|docket|file|claim|invoice|order|serial|account|policy|contract|tracking|parcel|shipment|reference|"
    r"ref|registration|patent|application|ticket|citation|badge|customer|member|membership|licen[cs]e|passport|tax|"
    r"vat|id|iban|isbn|issn|bar|roll|form|model|part|employee|student|confirmation|routing|social\s+security|"
    r"chapter|section|article|title|code|card|receipt|exhibit)\s+"
    r"(?:(?:numbers?|nos?|nrs?|id)\b)?\.?\s*(?:is|was|reads|:|#)?\s*$",
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
_NORTH_AMERICAN = re.compile(
    r"(?:1[.\-– ])?(?:\([2-9]\d\d\)[.\- ]?|[2-9]\d\d(?P<joint>[.\-–]))\d{3}(?(joint)(?P=joint)|[.\-–])\d{4}"
)
_REGIONS = ("US", "GB", "DE", "FR", "IN", "AU")


def find_emails(text: str) -> Iterator[Finding]:
    """Find email addresses, also with plus signs."""
    if "@" in text or "%40" in text:
        for found in _EMAIL.finditer(text):
            yield Finding(found.start(), found.end(), "EMAIL_ADDRESS")


def find_urls(text: str) -> Iterator[Finding]:
    """Find URLs with a scheme, ``www.`` or a login, including password and query."""
    for found in _URL.finditer(text) if "://" in text or "www" in text.lower() else ():
        end = _trim_url(text, found.start(), found.end())
        if end - found.start() > 8:
            yield Finding(found.start(), end, "URL")
    for found in _LOGIN_ONLY.finditer(text) if "@" in text else ():
        yield Finding(found.start(), _trim_url(text, found.start(), found.end()), "URL")


def find_sites(text: str) -> Iterator[Finding]:
    """Find bare host names, with the path or query after them."""
    for found in _SITE.finditer(text) if any(end in text for end in _SITE_ENDS) else ():
        yield Finding(found.start(), _trim_url(text, found.start(), found.end()), "URL")


def find_ips(text: str) -> Iterator[Finding]:
    """Find IP addresses of both versions, except those that identify no machine."""
    # Most texts hold neither numbers with dots nor groups with colons.
    for found in _IP.finditer(text) if text.count(":") > 1 or _DOTTED.search(text) else ():
        try:
            address = ipaddress.ip_address(found.group())
        except ValueError:
            continue
        counted = _COUNTED.search(text[max(0, found.start() - 12) : found.start()])
        if not (address.is_loopback or address.is_unspecified or counted):
            yield Finding(found.start(), found.end(), "IP_ADDRESS")


def find_phones(text: str) -> Iterator[Finding]:
    """Find phone numbers: national ones of six countries, and international ones.

    Raises:
        MissingExtraError: phonenumbers is not installed.
    """
    candidates = list(_PHONE_LIKE.finditer(text))
    others = (_IBAN, _DATE, _YEARS, _ACT) if candidates else ()
    blocked = [found.span() for pattern in others for found in pattern.finditer(text)]
    for found in candidates:
        start, end = found.span()
        if any(begin < end and start < stop for begin, stop in blocked):
            continue
        before = text[max(0, start - 40) : start]
        if _OTHER_NUMBER.search(before):
            continue
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


def _trim_url(text: str, start: int, end: int) -> int:
    # Punctuation at the end of a sentence is not part of the URL, nor is a bracket opened before it.
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
        if region is not None and not _grouped(text, region):
            continue
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            continue
        if region is None or (region == "US" and _NORTH_AMERICAN.fullmatch(text)):
            # A plus sign and a country code are no accident, nor are the groups of North America. Ranges in
            # use change, and the area 555 of examples is in none.
            return bool(phonenumbers.is_possible_number(number))
        if phonenumbers.is_valid_number(number):
            return True
    return False


def _grouped(text: str, region: str) -> bool:
    # Countries other than the US write their trunk prefix; without it a group of numbers is not one.
    groups = [len(group) for group in re.split(r"\D+", text) if group]
    if region == "US":
        return groups in ([3, 3, 4], [1, 3, 3, 4], [3, 7])
    return text.lstrip("(").startswith("0") and len(groups) > 1


@lru_cache(maxsize=1)
def _phonenumbers() -> ModuleType:
    try:
        import phonenumbers
    except ImportError as error:
        raise MissingExtraError("phonenumbers", "curate", "finding telephone numbers") from error
    return phonenumbers


# In this order: an apparent email address within a URL is its login, and an email address may contain the
# name of a site.
FINDERS = (find_urls, find_emails, find_spelled_emails, find_sites, find_ips, find_phones, find_addresses)
