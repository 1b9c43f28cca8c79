"""Decoding one row of JSON so that a value that cannot be read costs the field that it stands in alone."""

from __future__ import annotations

import json
import re
from typing import Any

from lawtags_client.curation.read.values import Unreadable, decimal_number, guess_encoding, whole_number

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_SPACE = re.compile(r"\s*")
_UNDECODED = re.compile("[\udc80-\udcff]")


def _constant(name: str) -> Unreadable:
    return Unreadable(f"holds {name}, which JSON does not have; write null")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                values[name] = Unreadable("appears twice in its row; keep one")
            seen.add(name)
    return values


DECODER = json.JSONDecoder(
    parse_constant=_constant, parse_int=whole_number, parse_float=decimal_number, object_pairs_hook=_unique
)
"""Reads JSON, with :class:`~lawtags_client.curation.read.values.Unreadable` in place of what JSON lacks."""


def element_end(text: str, begin: int) -> int | None:
    """Where the object or list that begins at a place ends, however deep it nests.

    Returns:
        None where the text ends first.
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


def salvage(text: str) -> dict[str, Any] | None:
    """The fields of an object of which some nest too deeply to be decoded; these say so.

    Returns:
        None where it is no object whose fields can be told apart.
    """
    place = _skip(text, 0)
    if text[place : place + 1] != "{":
        return None
    pairs: list[tuple[str, Any]] = []
    place = _skip(text, place + 1)
    while text[place : place + 1] != "}":
        try:
            name, place = DECODER.raw_decode(text, place)
            place = _skip(text, place)
            if not isinstance(name, str) or text[place : place + 1] != ":":
                return None
            value, place = _value(text, _skip(text, place + 1))
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
    values: dict[str, Any], raw: bytes, error: UnicodeDecodeError, where: str
) -> dict[str, Any]:
    """The fields of a row that is not UTF-8, of which those with wrong bytes say so.

    Args:
        values: decoded with ``surrogateescape``.
        raw: the row.
        error: of decoding it.
        where: the place of the first wrong byte.
    """
    wrong = Unreadable(f"is not UTF-8; {guess_encoding(raw, error)}", where)
    return {
        # The name of a field cannot be one that is looked for.
        name.encode("utf-8", "replace").decode(): wrong if _holds_undecoded(value) else value
        for name, value in values.items()
    }


def _holds_undecoded(value: Any) -> bool:
    # A list of values to look at, since a row may nest deeply.
    open_values = [value]
    while open_values:
        one = open_values.pop()
        if isinstance(one, str):
            if _UNDECODED.search(one):
                return True
        elif isinstance(one, list):
            open_values += one
        elif isinstance(one, dict):
            open_values += [*one, *one.values()]
    return False


def _value(text: str, place: int) -> tuple[Any, int]:
    try:
        value: tuple[Any, int] = DECODER.raw_decode(text, place)
    except RecursionError:
        end = element_end(text, place)
        if end is None:
            raise json.JSONDecodeError("Expecting the end of a value", text, place) from None
        return Unreadable("is nested too deeply"), end
    return value


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place
