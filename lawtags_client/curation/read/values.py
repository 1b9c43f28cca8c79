"""Single values as other programs write them: nothing at all, numbers, whole numbers of any size, text."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation

from lawtags_client.jsonl.values import MOST_DIGITS, ExactFloat, guess_encoding

# What programs write where a value is missing, in their own spelling: pandas, NumPy and R; SQL and its dumps;
# spreadsheets; C, Go, Ruby and JavaScript. A tag "none" or a title that begins with one of them is not among
# them, since only a whole cell in exactly this spelling counts.
MISSING_TEXTS = frozenset(
    {
        "nan", "NaN", "NAN", "Nan", "-nan", "-NaN", "nan(ind)", "-nan(ind)", "1.#QNAN", "-1.#QNAN", "1.#IND",
        "-1.#IND", "NA", "N/A", "n/a", "<NA>", "<N/A>", "#N/A", "#NA", "#N/A N/A", "NaT", "None", "<None>",
        "null", "NULL", "Null", "<null>", "<NULL>", "(null)", "(NULL)", "[null]", "[NULL]", "\\N", "<nil>",
        "#NULL!", "#VALUE!", "#REF!", "#NAME?", "#DIV/0!", "#NUM!", "undefined",
    }
)  # fmt: skip

# Of these, words that a tag may be. They stand for a missing value only where they are the whole cell.
_WORDS = frozenset(("NA", "NULL", "Null", "null", "undefined"))

MOST_EXACT = 2**53
"""Whole numbers beyond it are rounded by programs that keep numbers as 64-bit floats."""

_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_THOUSANDS = {
    ",": re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII),
    ".": re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d+)?", re.ASCII),
}
_SPACED = re.compile(r"[+-]?\d{1,3}(?:[ \u00a0\u2009\u202f]\d{3})+(?:[.,]\d+)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+", re.ASCII)
# "3.0" is how a table of numbers with gaps writes the whole number 3.
_POINT_ZERO = re.compile(r"([+-]?\d+)\.0+", re.ASCII)


# A type that is not listed, such as UUID, goes by its own name.
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (str, "a string"),
    (numbers.Number, "a number"),
    (Mapping, "an object"),
    ((list, tuple), "a list"),
    (date, "a date"),
    ((bytes, bytearray, memoryview), "bytes"),
)


class ValueFormError(ValueError):
    """A value is of a form that cannot be used; the message says which, without the value."""


def missing_text(value: object) -> str | None:
    """The text by which another program says that a value is missing, where this is one.

    Example:
        >>> missing_text(" NULL "), missing_text("none"), missing_text("None of them")
        ('NULL', None, None)
    """
    # Most values are long texts, which need no look into the set.
    if not isinstance(value, str) or len(value) > 32:
        return None
    text = value.strip()
    return text if text in MISSING_TEXTS else None


def missing_element(text: str) -> str | None:
    """The text by which another program says that an element of a list is missing, where this is one.

    Example:
        >>> missing_element(" NaN"), missing_element("null"), missing_element("none")
        ('NaN', None, None)
    """
    found = missing_text(text)
    return None if found in _WORDS else found


def is_absent(value: object) -> bool:
    """Whether a value says nothing: none, blank, not a number, or a text that stands for these."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value or value.isspace() or missing_text(value) is not None
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, Decimal):
        return value.is_nan()
    # pandas has values of its own for a gap (NaT, NA); neither is equal to itself in the usual way.
    return type(value).__name__ in ("NaTType", "NAType")


def kind_of(value: object) -> str:
    """What a value is, in the words of JSON.

    Example:
        >>> kind_of(3), kind_of(["a"]), kind_of(True)
        ('a number', 'a list', 'a boolean')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    for kinds, words in _KINDS:
        if isinstance(value, kinds):
            return words
    return type(value).__name__


def read_number(value: object) -> float:
    """A number, from a number of any type or from its text.

    Args:
        value: a number of Python, NumPy or Arrow, or a text with a point or a comma before the fraction.

    Raises:
        ValueFormError: it is none, not finite, ambiguous, or beyond what is exact.

    Example:
        >>> read_number("1.234,5"), read_number("-3")
        (1234.5, -3.0)
    """
    value = plain_value(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real | Decimal | str):
        raise ValueFormError(f"must be a number, not {kind_of(value)}")
    if isinstance(value, str):
        value = _number_text(value.strip())
    try:
        found = float(value)
    except (OverflowError, ValueError, InvalidOperation):
        found = math.inf
    if not math.isfinite(found):
        raise ValueFormError("must be a finite number")
    if abs(found) > MOST_EXACT or (isinstance(value, int) and abs(value) > MOST_EXACT):
        raise ValueFormError("must be within 2^53: larger numbers lose digits")
    return found


def _number_text(text: str) -> float:
    # A typographic minus, and thousands separated by a space, which is neither a point nor a comma.
    text = text.replace("\u2212", "-")
    if _SPACED.fullmatch(text):
        text = "".join(text.split())
    if _INFINITE.fullmatch(text):
        return math.inf
    if _PLAIN.fullmatch(text):
        return float(text)
    if "," not in text and "." not in text:
        raise ValueFormError("must be a number, such as 12 or -3.5")
    for sign, pattern in _THOUSANDS.items():
        if pattern.fullmatch(text):
            # "1,234" may be a thousand or one and a fraction; with both signs, or two groups, it is clear.
            if text.count(sign) == 1 and not ({",", "."} - {sign}) & set(text):
                raise ValueFormError("is ambiguous: thousands or decimals? Write it without separators")
            return float(text.replace(sign, "").replace(",", "."))
    if _DECIMAL_COMMA.fullmatch(text):
        return float(text.replace(",", "."))
    raise ValueFormError("must be a number, such as 12 or -3.5")


def read_id(value: object) -> str:
    """An id as text, exact at any size.

    Args:
        value: a text, or a whole number of any type.

    Raises:
        ValueFormError: it is of another kind, or a float whose last digits are lost.

    Example:
        >>> read_id(612345678901234567), read_id(3.0), read_id(" q1 ")
        ('612345678901234567', '3', 'q1')
    """
    value = plain_value(value)
    if isinstance(value, str):
        return value.strip()
    if type(value).__name__ == "UUID":
        return str(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueFormError(f"must be a string or a number, not {kind_of(value)}")
    number = _exact(value)
    # Of a number with a huge exponent only the size is looked at.
    if not number.is_finite() or number.adjusted() > MOST_DIGITS or number != number.to_integral_value():
        raise ValueFormError("must be a text or a whole number")
    return str(int(number))


def whole_text(text: str) -> str:
    """A text without the ``.0`` that tables write after whole numbers.

    Example:
        >>> whole_text("3.0"), whole_text("3.5"), whole_text("007")
        ('3', '3.5', '007')
    """
    found = _POINT_ZERO.fullmatch(text)
    return found[1] if found else text


def plain_value(value: object) -> object:
    """A value of NumPy as one of Python, and bytes that are UTF-8 as text.

    Raises:
        ValueFormError: bytes are not UTF-8.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        raw = bytes(value)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueFormError(f"is not UTF-8; {guess_encoding(raw, error)}") from None
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    return value


def _exact(value: float | Decimal) -> Decimal:
    if isinstance(value, ExactFloat):
        return Decimal(value.text)
    if isinstance(value, float) and abs(value) > MOST_EXACT:
        raise ValueFormError("is a float beyond 2^53, so its last digits are lost; write ids as strings")
    return Decimal(value)
