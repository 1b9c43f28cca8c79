"""JSON values that programs treat differently: numbers of any size, bytes that are not UTF-8."""

from __future__ import annotations

import math
from dataclasses import dataclass

MOST_DIGITS = 400
"""Maximum digits of an integer: no id or score has more, and parsing more would take too long."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Replaces a value that cannot be read.

    Args:
        reason: why, in the same words for every such value, and without the value.
        detail: what differs from value to value.
    """

    reason: str
    detail: str | None = None


class ExactFloat(float):
    """A number with a fraction or an exponent that also keeps its original text.

    Args:
        text: as written in the file.
    """

    text: str

    def __new__(cls, text: str) -> ExactFloat:
        made = super().__new__(cls, text)
        made.text = text
        return made


def whole_number(digits: str) -> int | Unreadable:
    """An integer of JSON, exact at any sensible size."""
    if len(digits) > MOST_DIGITS:
        return Unreadable(f"holds a whole number of more than {MOST_DIGITS} digits")
    return int(digits)


def decimal_number(digits: str) -> float | Unreadable:
    """A number of JSON with a fraction or an exponent."""
    value = float(digits)
    if not math.isfinite(value):
        return Unreadable("holds a number that is not finite, such as 1e999; write null")
    return value


def exact_number(digits: str) -> float | Unreadable:
    """Like :func:`decimal_number`; a long number keeps its original text."""
    value = decimal_number(digits)
    return ExactFloat(digits) if len(digits) > 15 and isinstance(value, float) else value


def constant(name: str) -> Unreadable:
    """Constants that Python writes instead of numbers: ``NaN``, ``Infinity`` and ``-Infinity``."""
    return Unreadable(f"holds {name}, which JSON does not have; write null")


def guess_encoding(raw: bytes, error: UnicodeDecodeError) -> str:
    """A guess at the encoding of bytes that are not UTF-8."""
    if b"\x00" in raw:
        return "maybe UTF-16 or UTF-32"
    if error.reason == "unexpected end of data":
        return "its last character is cut off"
    # These are curly quotes and dashes in Windows-1252, and control characters in Latin-1.
    return "maybe Windows-1252" if 0x80 <= raw[error.start] <= 0x9F else "maybe Windows-1252 or Latin-1"
