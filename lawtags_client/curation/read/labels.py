"""Reading the tags of a row in any common format."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lawtags_client.curation.read.values import (
    ValueFormError,
    is_absent,
    kind_of,
    missing_element,
    missing_text,
    plain_value,
)
from lawtags_client.jsonl.values import Unreadable
from lawtags_client.tagging.vocabulary import normalize_tag

MOST_TAGS = 100
MOST_LETTERS = 100

_ANGLED = re.compile(r"(?:<[^<>]+>[\s,;]*)+")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Brackets, quotes, bars, colons and control characters delimit lists, strings and roles in an answer.
_NO_TAG = re.compile(r"[<>\[\]{}()|\"'`\\:\x00-\x1f\x7f-\x9f]")
# A string literal of Python 2 or 3.
_LITERAL = re.compile(r"""[uUbB]?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
# A missing value between them.
_GAP = r"(?:nan|NaN|None|NaT|<NA>|null)(?=[\s,\])])"
_PRINTED = re.compile(
    rf"(?:array\(|Index\()?[\[(]\s*(?:(?:{_LITERAL.pattern}|{_GAP})[\s,]*)*[\])](?:,\s*dtype=[\w.<'\"]+\))?"
)
_ESCAPED = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)")
_SEPARATORS = ("|", "\n", ",", ";")
# Separators in other scripts.
_OTHER_SEPARATORS = str.maketrans("，、،﹐；؛｜", ",,,,;;|")
_MOST_SHOWN = 60
# Levels of strings encoded within strings.
_DEEPEST = 3
FORMS = "a list, <a><b>, |a|b|, a|b, a, b and a; b"
"""Supported formats of several tags in one string."""


class LabelError(ValueError):
    """The tags of a row are ambiguous or invalid.

    Args:
        reason: why, in the same words for every such row.
        detail: what differs from row to row.
    """

    def __init__(self, reason: str, detail: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Labels:
    """The tags of a row.

    Args:
        tags: in normal form, each once, in their order.
        respelled: tags in another form, each with its normal form.
        missing: markers for missing values among them.
    """

    tags: tuple[str, ...]
    respelled: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()


def read_labels(value: object) -> Labels:
    """The tags of a row, and which of them were written in another form.

    Supported are lists, ``<a><b>`` and ``|a|b|`` as in Stack Exchange's dumps, JSON and Python lists, and
    strings separated by commas, semicolons, bars or line ends. HTML entities are decoded first. A string
    with spaces and no separator is ambiguous. ``nan``, ``NaN``, ``None``, ``<NA>`` and the like are missing
    values, except in ``<a><b>``: there, ``nan`` is a tag. ``null``, ``NULL``, ``NA`` and ``undefined`` are
    missing values only if they are all that the row has.

    Args:
        value: the value in the row; None means no tags.

    Raises:
        LabelError: the value has another type, is ambiguous, has too many tags, or a tag is too long or
            cannot occur in a model's answer.

    Example:
        >>> read_labels("<contract-law><united-states>").tags
        ('contract-law', 'united-states')
    """
    gap = missing_text(value)
    if value is None or gap:
        return Labels((), missing=(gap,) if gap else ())
    parts = _split(value) if isinstance(value, str) else value
    # A cell of a data frame is an array; mappings and sets have no reliable order.
    if isinstance(parts, bytes | dict | set) or not isinstance(parts, Iterable):
        raise LabelError(f"must be a list of strings, not {kind_of(value)}")
    tags: dict[str, None] = {}
    respelled: dict[tuple[str, str], None] = {}
    missing: list[str] = []
    for part, is_dump in _texts(parts, isinstance(value, str) and _is_dump(value)):
        if not is_dump and (found := missing_element(part)):
            missing.append(found)
        elif tag := normalize_tag(part):
            _check(tag)
            tags[tag] = None
            if (given := part.strip()) != tag:
                respelled[given[:MOST_LETTERS], tag] = None
    if len(tags) > MOST_TAGS:
        raise LabelError(f"has more than {MOST_TAGS} tags", f"{len(tags)}")
    return Labels(tuple(tags), tuple(respelled), tuple(missing))


def _is_dump(text: str) -> bool:
    return _ANGLED.fullmatch(_decoded(text).strip()) is not None


def _texts(parts: Iterable[object], is_dump: bool) -> Iterator[tuple[str, bool]]:
    """The strings of a list, with entities decoded; nested lists are flattened.

    Args:
        parts: the elements.
        is_dump: whether they were written as ``<a><b>``; returned with each string.
    """
    for part in parts:
        if isinstance(part, Unreadable):
            raise LabelError(part.reason, part.detail)
        try:
            part = plain_value(part)
        except ValueFormError as error:
            raise LabelError(str(error)) from None
        # A missing value in a list is not a tag.
        if not isinstance(part, str) and is_absent(part):
            continue
        if not isinstance(part, str):
            raise LabelError(f"must contain strings only, not {kind_of(part)}")
        part = _decoded(part)
        if "><" in part and _ANGLED.fullmatch(part.strip()):
            yield from ((str(text), True) for text in _split(part))
        else:
            yield part, is_dump


def _check(tag: str) -> None:
    if len(tag) > MOST_LETTERS:
        raise LabelError(f"has a tag of more than {MOST_LETTERS} letters", f"{len(tag)}")
    if _SURROGATE.search(tag):
        raise LabelError("contains half a character (a lone surrogate)")
    if _NO_TAG.search(tag):
        raise LabelError("has a tag with a bracket, quote, bar, colon or control character", _shown(tag))
    if not any(letter.isalnum() for letter in tag):
        raise LabelError("has a tag without a letter or digit", _shown(tag))


def _split(text: str, depth: int = 0) -> Sequence[object]:
    text = _decoded(text).strip()
    if text in ("", "{}", "()"):
        return ()
    if _ANGLED.fullmatch(text):
        return re.findall(r"<([^<>]+)>", text)
    if len(text) > 1 and text[0] == text[-1] == '"' and depth < _DEEPEST:
        return _json_text(text, depth)
    parted = text.translate(_OTHER_SEPARATORS)
    signs = [sign for sign in _SEPARATORS if sign in parted]
    parts = parted.split(signs[0]) if len(signs) == 1 else [text]
    # "(null), a" begins with a missing value.
    is_list = text[0] in "[(" or text.startswith(("array(", "Index("))
    if is_list and not (len(parts) > 1 and missing_element(parts[0])):
        return _split_list(text)
    if any(sign in part for part in parts if not missing_element(part) for sign in "<>[]{}"):
        raise LabelError(f"is a string in an unknown format; supported: {FORMS}", _shown(text))
    if len(signs) > 1:
        raise LabelError(f"mixes several separators; supported: {FORMS}", _shown(text))
    if signs:
        return parts
    if len(text.split()) > 1:
        reason = f"contains spaces, so it could be one tag or several; supported: {FORMS}"
        raise LabelError(reason, _shown(text))
    return (text,)


def _json_text(text: str, depth: int) -> Sequence[object]:
    """The content of a string that was JSON-encoded twice."""
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        decoded = text[1:-1] if '"' not in text[1:-1] else None
    if not isinstance(decoded, str):
        raise LabelError(f"is a string in an unknown format; supported: {FORMS}", _shown(text))
    return _split(decoded, depth + 1)


def _split_list(text: str) -> Sequence[object]:
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        # A list in Python syntax, as data frames write it to CSV.
        if len(text) > MOST_TAGS * MOST_LETTERS * 2 or not _PRINTED.fullmatch(text):
            raise LabelError(f"is a list that cannot be parsed; supported: {FORMS}", _shown(text)) from None
        inner = re.sub(r",\s*dtype=.*$", "", text)
        return [_unescaped(found[1][1:-1]) for found in _LITERAL.finditer(inner)]
    if not isinstance(decoded, list) or not all(_is_text_or_gap(part) for part in decoded):
        raise LabelError("must contain strings only", _shown(text))
    return decoded


def _is_text_or_gap(part: object) -> bool:
    # Python writes and reads NaN in JSON.
    return part is None or isinstance(part, str) or (isinstance(part, float) and part != part)


def _decoded(text: str) -> str:
    """A string without HTML entities, which remain if a dump was read without an XML parser."""
    for _ in range(_DEEPEST):
        if "&" not in text or not _ENTITY.search(text):
            break
        text = _ENTITY.sub(lambda found: html.unescape(found[0]), text)
    return text


def _unescaped(text: str) -> str:
    """The value of a Python string literal's content."""
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[0][1:]) or _character(found[0]), text)


_ESCAPES = {"'": "'", '"': '"', "\\": "\\", "n": "\n", "t": "\t", "r": "\r"}


def _character(escape: str) -> str:
    number = int(escape[2:], 16) if len(escape) > 2 else 0x110000
    return chr(number) if number < 0x110000 else escape


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 1] + "…")
