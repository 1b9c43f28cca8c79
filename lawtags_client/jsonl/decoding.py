"""Decoding the row in one line, and describing what is wrong with it."""

from __future__ import annotations

import json
import re
from typing import cast

from lawtags_client.json_value import JsonRow
from lawtags_client.jsonl.faults import JsonFault, not_an_object
from lawtags_client.jsonl.fields import (
    EXACT,
    PLAIN,
    first_half,
    first_unreadable,
    salvage,
    undecoded_fields,
)
from lawtags_client.jsonl.values import guess_encoding

_ESCAPED_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_PYTHON = re.compile(r"\s*\{\s*'")


def decode_row(raw: bytes, *, torn: bool = False) -> JsonRow | JsonFault:
    """The row in a line, if it can be decoded and encoded again.

    Args:
        raw: the line.
        torn: whether the file ends without a line end after this line.
    """
    values = _decoded(PLAIN, raw, 0, torn)
    return values if isinstance(values, JsonFault) else refuse_unreadable(values, raw)


def decode_fields(raw: bytes, *, offset: int = 0, torn: bool = False) -> dict[str, object] | JsonFault:
    """The row in a line, with ``Unreadable`` in place of each field that cannot be read.

    Halves of surrogate pairs stay, and long numbers know how they were written.

    Args:
        raw: the line.
        offset: where it begins in the file, in bytes.
        torn: as in :func:`decode_row`.
    """
    return _decoded(EXACT, raw, offset, torn)


def refuse_unreadable(values: dict[str, object], raw: bytes) -> JsonRow | JsonFault:
    """The row, if it can be encoded again, or what is wrong with it.

    Args:
        values: the row as decoded, with ``Unreadable`` in it.
        raw: its text.
    """
    if found := first_unreadable(values):
        return JsonFault(found[1].reason, found[1].detail, field=found[0])
    # Decoding makes halves of these alone, so most rows need no search.
    if _ESCAPED_HALF.search(raw) and (field := first_half(values)) is not None:
        return JsonFault("holds half of a character (a surrogate without its pair)", field=field)
    return cast(JsonRow, values)


def _decoded(decoder: json.JSONDecoder, raw: bytes, offset: int, torn: bool) -> dict[str, object] | JsonFault:
    wrong: UnicodeDecodeError | None = None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        # Invalid bytes become lone surrogates, which affect only their own field.
        text, wrong = raw.decode("utf-8", "surrogateescape"), error
    try:
        values = decoder.decode(text)
    except RecursionError:
        values = salvage(decoder, text)
        if values is None:
            return JsonFault("is nested too deeply")
    except json.JSONDecodeError as error:
        if wrong is not None and error.msg.startswith(("Extra data", "Expecting", "Unterminated")):
            return _undecoded(raw, wrong, offset)
        return _syntax(error, text, torn)
    if not isinstance(values, dict):
        return not_an_object(values)
    if wrong is not None:
        return undecoded_fields(values, raw, wrong, _byte(wrong, offset))
    return values


def _undecoded(raw: bytes, error: UnicodeDecodeError, offset: int) -> JsonFault:
    column = len(raw[: error.start].decode("utf-8")) + 1
    return JsonFault(f"is not UTF-8; {guess_encoding(raw, error)}", _byte(error, offset), column)


def _byte(error: UnicodeDecodeError, offset: int) -> str:
    byte = error.start + 1
    return f"byte {byte} of the line, {offset + byte} of the file" if offset else f"byte {byte} of the line"


def _syntax(error: json.JSONDecodeError, text: str, torn: bool) -> JsonFault:
    # Not ``colno``: a line may contain carriage returns, and the column counts from the line's start.
    column = error.pos + 1
    if "\0" in text:
        return JsonFault("holds a NUL byte", column=text.index("\0") + 1)
    if text.startswith("\ufeff"):
        return JsonFault("begins with a byte order mark; save the file as UTF-8 without one", column=1)
    if error.msg == "Extra data":
        if text[error.pos] in "{[":
            return JsonFault("holds several JSON values; one object per line is read", column=column)
    elif torn and (error.pos >= len(text) or error.msg.startswith("Unterminated")):
        return JsonFault("is cut off: the file ends within it", error.msg, column)
    if _PYTHON.match(text):
        reason = "is not valid JSON but looks like Python: keys and strings need double quotes"
        return JsonFault(reason, column=column)
    return JsonFault("is not valid JSON", error.msg, column)
