"""Reading the tags of a row, in whatever form a source holds them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lawtags_client.tagging.vocabulary import normalize_tag

MOST_TAGS = 100
MOST_LETTERS = 100

_ANGLED = re.compile(r"(?:<[^<>]+>\s*)+")
_PIPED = re.compile(r"\|(?:[^|]+\|)+")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Brackets, quotes, bars, colons and control characters mark lists, texts and roles in an answer.
_NO_TAG = re.compile(r"[<>\[\]{}()|\"'`\\:\x00-\x1f\x7f-\x9f]")
_QUOTED = re.compile(r"'([^']*)'")


class LabelError(ValueError):
    """The tags of a row cannot be read without guessing.

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
        respelled: those that stood there in another form, each with its normal form.
    """

    tags: tuple[str, ...]
    respelled: tuple[tuple[str, str], ...] = ()


def read_tags(value: Any) -> tuple[str, ...]:
    """The tags of a row in normal form; see :func:`read_labels`.

    Raises:
        LabelError: the value is of another kind, ambiguous, or holds too many tags.

    Example:
        >>> read_tags("<contract-law><united-states>")
        ('contract-law', 'united-states')
    """
    return read_labels(value).tags


def read_labels(value: Any) -> Labels:
    """The tags of a row, and which of them were written in another form.

    Read are lists, ``<a><b>`` and ``|a|b|`` as in Stack Exchange's dumps, lists written as text, and texts
    parted by commas or semicolons. A text with spaces and no comma could be one tag or several.

    Args:
        value: what stands in the row; None means no tags.

    Raises:
        LabelError: the value is of another kind, ambiguous, holds too many tags, or one that is too long or
            that no answer of a model could name.
    """
    if value is None:
        return Labels(())
    parts = _split(value) if isinstance(value, str) else value
    # A data frame's cell is an array; a mapping or a set has no order to rely on.
    if isinstance(parts, bytes | dict | set) or not isinstance(parts, Iterable):
        raise LabelError(f"must be a list of texts, not {type(value).__name__}")
    tags: dict[str, None] = {}
    respelled: dict[tuple[str, str], None] = {}
    for part in parts:
        if not isinstance(part, str):
            raise LabelError(f"must hold texts only, not {type(part).__name__}")
        if tag := normalize_tag(part):
            _check(tag)
            tags[tag] = None
            if (given := part.strip()) != tag:
                respelled[given[:MOST_LETTERS], tag] = None
    if len(tags) > MOST_TAGS:
        raise LabelError(f"holds more than {MOST_TAGS} tags", f"{len(tags)}")
    return Labels(tuple(tags), tuple(respelled))


def _check(tag: str) -> None:
    if len(tag) > MOST_LETTERS:
        raise LabelError(f"holds a tag of more than {MOST_LETTERS} letters", f"{len(tag)}")
    if _SURROGATE.search(tag):
        raise LabelError("holds half of a character (a lone surrogate)")
    if _NO_TAG.search(tag) or not any(letter.isalnum() for letter in tag):
        raise LabelError("holds a tag with signs that no answer could be told apart by")


def _split(text: str) -> Sequence[str]:
    text = text.strip()
    if not text:
        return ()
    if _ANGLED.fullmatch(text):
        return re.findall(r"<([^<>]+)>", text)
    if _PIPED.fullmatch(text):
        return text.strip("|").split("|")
    if text.startswith("[") and text.endswith("]"):
        return _split_list(text)
    if any(sign in text for sign in "<>[]{}|"):
        raise LabelError("is a text of a form that is not known")
    for separator in (",", ";"):
        if separator in text:
            return text.split(separator)
    if len(text.split()) > 1:
        raise LabelError("is a text with spaces: it could be one tag or several")
    return (text,)


def _split_list(text: str) -> Sequence[str]:
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        # A list as Python prints it, which is what a data frame writes into a CSV file.
        inner = text[1:-1].strip()
        found = _QUOTED.findall(inner)
        if re.sub(r"[\s,]", "", _QUOTED.sub("", inner)):
            raise LabelError("is a list that cannot be read") from None
        return found
    if not isinstance(decoded, list) or not all(isinstance(part, str) for part in decoded):
        raise LabelError("must hold texts only")
    return decoded
