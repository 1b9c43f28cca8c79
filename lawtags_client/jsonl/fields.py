"""Decoding JSON so that an unreadable value affects only its own field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from lawtags_client.jsonl.values import (
    Unreadable,
    constant,
    decimal_number,
    exact_number,
    guess_encoding,
    whole_number,
)

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_SPACE = re.compile(r"\s*")
_UNDECODED = re.compile("[\udc80-\udcff]")
_HALF = re.compile("[\ud800-\udfff]")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                values[name] = Unreadable("appears twice in its row; keep one")
            seen.add(name)
    return values


PLAIN = json.JSONDecoder(
    parse_constant=constant, parse_int=whole_number, parse_float=decimal_number, object_pairs_hook=_unique
)
"""Decodes JSON, with :class:`~lawtags_client.jsonl.values.Unreadable` in place of what JSON lacks."""

EXACT = json.JSONDecoder(
    parse_constant=constant, parse_int=whole_number, parse_float=exact_number, object_pairs_hook=_unique
)
"""Like ``PLAIN``; long numbers know how they were written."""


def element_end(text: str, begin: int) -> int | None:
    """Where the object or list that begins at a place ends, however deep it nests.

    Returns:
        None if the text ends first.
    """
    depth = 0
    for found in _TOKEN.finditer(text, begin):
        sign = found[0]
        if sign in "{[":
            depth += 1
        elif sign in "}]":
            depth -= 1
            if not depth:
                return found.end()
    return None


def salvage(decoder: json.JSONDecoder, text: str) -> dict[str, object] | None:
    """The fields of an object, with ``Unreadable`` for those that nest too deeply to be decoded.

    Returns:
        None if it is not an object whose fields can be separated.
    """
    place = _skip(text, 0)
    if text[place : place + 1] != "{":
        return None
    pairs: list[tuple[str, object]] = []
    place = _skip(text, place + 1)
    while text[place : place + 1] != "}":
        try:
            name, place = decoder.raw_decode(text, place)
            place = _skip(text, place)
            if not isinstance(name, str) or text[place : place + 1] != ":":
                return None
            value, place = _value(decoder, text, _skip(text, place + 1))
        except json.JSONDecodeError:
            return None
        pairs.append((name, value))
        place = _skip(text, place)
        if text[place : place + 1] == ",":
            place = _skip(text, place + 1)
        elif text[place : place + 1] != "}":
            return None
    return None if text[place + 1 :].strip() else _unique(pairs)


def undecoded_fields(
    values: dict[str, object], raw: bytes, error: UnicodeDecodeError, where: str
) -> dict[str, object]:
    """The fields of a row that is not UTF-8, with ``Unreadable`` for those with invalid bytes.

    Args:
        values: decoded with ``surrogateescape``.
        raw: the row.
        error: of decoding it.
        where: the place of the first wrong byte.
    """
    wrong = Unreadable(f"is not UTF-8; {guess_encoding(raw, error)}", where)
    return {
        # A name with invalid bytes cannot be a known field.
        name.encode("utf-8", "replace").decode(): wrong if _holds(value, _UNDECODED) else value
        for name, value in values.items()
    }


def first_unreadable(values: dict[str, object]) -> tuple[str, Unreadable] | None:
    """The first value of a row that cannot be read, with its place, such as ``messages[0].content``."""
    for name, value in values.items():
        # Most rows are flat, and naming each value within would take longer than decoding them.
        if type(value) in (str, int, float, bool):
            continue
        for place, inner in _inner(name, value):
            if type(inner) is Unreadable:
                return place, inner
    return None


def first_half(values: dict[str, object]) -> str | None:
    """The first field whose name or value contains half of a surrogate pair."""
    return next((name for name, value in values.items() if _HALF.search(name) or _holds(value, _HALF)), None)


def _inner(place: str, value: object) -> Iterator[tuple[str, object]]:
    # A list of values to look at, since a row may nest deeply.
    remaining = [(place, value)]
    while remaining:
        place, value = remaining.pop()
        yield place, value
        if isinstance(value, list):
            inner = [(f"{place}[{index}]", one) for index, one in enumerate(value)]
            remaining += reversed(inner)
        elif isinstance(value, dict):
            remaining += reversed([(f"{place}.{name}", one) for name, one in value.items()])


def _holds(value: object, pattern: re.Pattern[str]) -> bool:
    remaining = [value]
    while remaining:
        one = remaining.pop()
        if isinstance(one, str):
            if pattern.search(one):
                return True
        elif isinstance(one, list):
            remaining += one
        elif isinstance(one, dict):
            remaining += [*one, *one.values()]
    return False


def _value(decoder: json.JSONDecoder, text: str, place: int) -> tuple[object, int]:
    try:
        value: tuple[object, int] = decoder.raw_decode(text, place)
    except RecursionError:
        end = element_end(text, place)
        if end is None:
            raise json.JSONDecodeError("Expecting the end of a value", text, place) from None
        return Unreadable("is nested too deeply"), end
    return value


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place
