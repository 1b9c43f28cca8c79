"""Reading the tags of a row, in whatever form a source holds them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from lawtags_client.tagging.vocabulary import normalize_tag

MOST_TAGS = 100

_ANGLED = re.compile(r"(?:<[^<>]+>\s*)+")
_PIPED = re.compile(r"\|(?:[^|]+\|)+")
_QUOTED = re.compile(r"'([^']*)'")


class LabelError(ValueError):
    """The tags of a row cannot be read without guessing."""


def read_tags(value: Any) -> tuple[str, ...]:
    """The tags of a row in normal form, each once, in their order.

    Read are lists, ``<a><b>`` and ``|a|b|`` as in Stack Exchange's dumps, lists written as text, and texts
    parted by commas or semicolons. A text with spaces and no comma could be one tag or several.

    Args:
        value: what stands in the row; None means no tags.

    Raises:
        LabelError: the value is of another kind, ambiguous, or holds too many tags.

    Example:
        >>> read_tags("<contract-law><united-states>")
        ('contract-law', 'united-states')
    """
    if value is None:
        return ()
    parts = _split(value) if isinstance(value, str) else value
    # A data frame's cell is an array; a mapping or a set has no order to rely on.
    if isinstance(parts, bytes | dict | set) or not isinstance(parts, Iterable):
        raise LabelError(f"must be a list of texts, not {type(value).__name__}")
    tags: dict[str, None] = {}
    for part in parts:
        if not isinstance(part, str):
            raise LabelError(f"must hold texts only, not {type(part).__name__}")
        if tag := normalize_tag(part):
            tags[tag] = None
    if len(tags) > MOST_TAGS:
        raise LabelError(f"holds {len(tags)} tags; {MOST_TAGS} are the most")
    return tuple(tags)


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
