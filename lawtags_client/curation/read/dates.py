"""Dates in the forms in which other programs write them, as moments that sort."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from lawtags_client.curation.read.values import ValueFormError, kind_of, plain_value

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january", "february", "march", "april", "may", "june", "july", "august", "september sept",
            "october", "november", "december",
        ),
        1,
    )
    for whole in names.split()
    for name in (whole, whole[:3])
}  # fmt: skip
# Offsets in hours of zone names: those of RFC 2822, and others that mean one offset everywhere. IST, BST, AST
# and the single letters of RFC 822 do not.
_ZONES = {
    "utc": 0, "gmt": 0, "z": 0, "ut": 0, "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6,
    "pst": -8, "pdt": -7, "akst": -9, "akdt": -8, "hst": -10, "wet": 0, "west": 1, "cet": 1, "cest": 2,
    "eet": 2, "eest": 3, "jst": 9, "awst": 8, "acst": 9.5, "acdt": 10.5, "aest": 10, "aedt": 11,
    "nzst": 12, "nzdt": 13,
}  # fmt: skip
# Two digits of a year from here on belong to the last century, as in POSIX.
_PIVOT = 69

_EPOCH = re.compile(r"[+-]?\d{9,19}(?:\.\d*)?|[+-]?\d(?:\.\d+)?[eE]\+?\d{1,2}", re.ASCII)
_COMPACT = re.compile(r"(?:19|20)\d{12}", re.ASCII)
_YEAR = re.compile(r"(?:19|20)\d\d(?:-(?:0[1-9]|1[0-2]))?", re.ASCII)
# "GMT+0100", as browsers write it.
_NAMED = r"(?:GMT|UTC)[+-]\d\d?(?::?\d\d)?"
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d|\d{4}/\d\d?/\d\d?|\d{8})(?:[T ]\s*(\d\d?:?\d\d(?::?\d\d(?:[.,]\d+)?)?)"
    rf"\s*([ap]\.?m\.?)?\s*({_NAMED}|Z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?|[A-Za-z]{{1,4}})?(?:\[[\w/+-]{{1,60}}\])?)?",
    re.ASCII | re.IGNORECASE,
)
_TIME = r"(?:,?\s+(?:at\s+)?(?P<time>\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?)\s*(?P<half>[ap]\.?m\.?)?)?"
_ZONE = rf"(?:\s*(?P<zone>{_NAMED}|Z|[+-]\d\d:?\d\d|[A-Za-z]{{2,4}}))?(?:\s*\([^()]*\))?"
_DAY_NAME = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+)?"
_WORDED = tuple(
    re.compile(_DAY_NAME + form, re.ASCII | re.IGNORECASE)
    for form in (
        r"(?P<day>\d\d?)(?:st|nd|rd|th)?[ -](?P<month>[a-z]{3,9})\.?,?[ -]"
        r"(?P<year>\d{4}|['’]?\d\d)" + _TIME + _ZONE,
        r"(?P<month>[a-z]{3,9})\.?\s+(?P<day>\d\d?)(?:st|nd|rd|th)?,?\s+(?P<year>\d{4})" + _TIME + _ZONE,
        # As C writes it.
        r"(?P<month>[a-z]{3})\s+(?P<day>\d\d?)\s+(?P<time>\d\d:\d\d:\d\d)(?P<half>)"
        r"(?:\s+(?P<zone>[A-Z]{3}))?\s+(?P<year>\d{4})",
    )
)
_NUMBERED = re.compile(r"(\d\d?)([/.-])(\d\d?)\2(\d{4}|\d\d)" + _TIME + _ZONE, re.ASCII | re.IGNORECASE)

# The end of a day, which Python reads from 3.14 on only, and a leap second, which it does not read.
_DAY_END = re.compile(r"24:?00(?::?00(?:\.0+)?)?")
_LEAP = re.compile(r"(23:?59:?)60(\.\d+)?")

# The largest numbers that are seconds, milliseconds and microseconds: each is beyond the year 5000.
_UNITS = ((10**11, 1), (10**14, 10**3), (10**17, 10**6), (10**20, 10**9))
_START = datetime(1970, 1, 1, tzinfo=UTC)


class AmbiguousDateError(ValueFormError):
    """A date could be two days, such as 03/04/2021."""

    def __init__(self) -> None:
        super().__init__("is an ambiguous date: day or month first? Write it as 2021-04-03")


def read_moment(created: str | None) -> str | None:
    """A date in a form that sorts: ISO 8601 in UTC.

    Args:
        created: ISO 8601 with a blank or ``T`` before the time, with or without a time zone (without: UTC);
            seconds, milliseconds, microseconds or nanoseconds since 1970; RFC 2822; or a date with the month
            as a word, with two digits of the year only after day and month. A date of three numbers where
            the day is certain. Zones are offsets, or names that mean one offset everywhere.

    Returns:
        None where the date is missing, ambiguous or of another form.

    Example:
        >>> read_moment("2020-01-01T01:00:00+01:00")
        '2020-01-01T00:00:00+00:00'
    """
    try:
        return to_moment(created or "")
    except ValueFormError:
        return None


def to_moment(value: object) -> str:
    """As :func:`read_moment`, for values of any type, saying what is wrong with one.

    Raises:
        AmbiguousDateError: it could be two days.
        ValueFormError: it is of another form.

    Example:
        >>> to_moment("Fri, 10 Mar 2017 08:15:42 +0100")
        '2017-03-10T07:15:42+00:00'
    """
    value = plain_value(value)
    if hasattr(value, "isoformat"):
        value = value.isoformat()
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueFormError(f"must be a date, not {kind_of(value)}")
    text = str(getattr(value, "text", value)).strip()
    try:
        for form in _FORMS:
            moment = form(text)
            if moment is not None:
                return moment.astimezone(UTC).isoformat()
    except AmbiguousDateError:
        raise
    except (ValueError, OverflowError, ArithmeticError):
        pass
    raise ValueFormError("is not a date in a supported format; write ISO 8601, such as 2021-04-03T10:00:00Z")


def _compact(text: str) -> datetime | None:
    # Fourteen digits could be milliseconds of the year 2600, too; nobody asked then.
    if not _COMPACT.fullmatch(text):
        return None
    return datetime.strptime(text + "+0000", "%Y%m%d%H%M%S%z")


def _epoch(text: str) -> datetime | None:
    if not _EPOCH.fullmatch(text):
        return None
    number = Decimal(text)
    unit = next((unit for most, unit in _UNITS if abs(number) < most), None)
    if unit is None:
        raise ValueError(text)
    return _START + timedelta(microseconds=int(number * 10**6 / unit))


def _year(text: str) -> datetime | None:
    if not _YEAR.fullmatch(text):
        return None
    return datetime(int(text[:4]), int(text[5:] or 1), 1, tzinfo=UTC)


def _iso(text: str) -> datetime | None:
    found = _ISO.fullmatch(text)
    if not found:
        # Weeks and days of the year, which Python reads.
        if "W" not in text[:6]:
            return None
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    date, time, half, zone = found.groups()
    if "/" in date:
        year, month, day = map(int, date.split("/"))
        date = f"{year:04}-{month:02}-{day:02}"
    moment = datetime.fromisoformat(date)
    if time:
        moment += _clock(time, half)
    return moment.replace(tzinfo=_zone(zone))


def _worded(text: str) -> datetime | None:
    for form in _WORDED:
        if found := form.fullmatch(text):
            month = _MONTHS.get(found["month"].lower())
            if month is None:
                return None
            return _made(_full_year(found["year"]), month, int(found["day"]), found)
    return None


def _numbered(text: str) -> datetime | None:
    found = _NUMBERED.fullmatch(text)
    if not found:
        return None
    first, second, year = int(found[1]), int(found[3]), int(found[4])
    if len(found[4]) == 2 or (first <= 12 and second <= 12 and first != second):
        raise AmbiguousDateError
    month, day = (second, first) if first > 12 else (first, second)
    return _made(year, month, day, found)


_FORMS: tuple[Callable[[str], datetime | None], ...] = (_compact, _iso, _epoch, _year, _worded, _numbered)


def _full_year(digits: str) -> int:
    year = int(digits.lstrip("'’"))
    if len(digits) == 4:
        return year
    return year + (1900 if year >= _PIVOT else 2000)


def _made(year: int, month: int, day: int, found: re.Match[str]) -> datetime:
    date = datetime(year, month, day)
    if found["time"]:
        date += _clock(found["time"], found["half"])
    return date.replace(tzinfo=_zone(found["zone"]))


def _clock(text: str, half: str | None) -> timedelta:
    """The time since midnight; 24:00 is the end of the day, and a 60th second a leap second."""
    text = text.replace(",", ".")
    if ":" in text and text.index(":") == 1:
        text = f"0{text}"
    if _DAY_END.fullmatch(text) and not half:
        return timedelta(days=1)
    leap = _LEAP.fullmatch(text)
    if leap:
        text = f"{leap[1]}59{leap[2] or ''}"
    clock = datetime.fromisoformat(f"2000-01-01T{text}").time()
    hour = clock.hour
    if half:
        if not 1 <= hour <= 12:
            raise ValueError(half)
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    return timedelta(
        hours=hour,
        minutes=clock.minute,
        seconds=clock.second + (1 if leap else 0),
        microseconds=clock.microsecond,
    )


def _zone(text: str | None) -> timezone:
    if not text:
        return UTC
    sign = next((place for place, letter in enumerate(text) if letter in "+-"), None)
    if sign is not None:
        digits = text[sign + 1 :].replace(":", "")
        # "GMT+1" and "GMT+130" have one digit for the hour.
        digits = (f"0{digits}" if len(digits) % 2 else digits).ljust(6, "0")
        away = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:6]))
        return timezone(-away if text[sign] == "-" else away)
    return timezone(timedelta(hours=_ZONES[text.lower()])) if text.lower() in _ZONES else _unknown(text)


def _unknown(zone: str) -> timezone:
    raise ValueError(zone)
