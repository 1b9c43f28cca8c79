"""Parsing tags from a model's answer. It accepts any text and never raises."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

from lawtags_client.patterns import any_of, escaped
from lawtags_client.tagging.vocabulary import Vocabulary, normalize_tag

# "tags": at least one usable tag; "unknown": tags in the right form, none of them in the vocabulary;
# "prose": no usable tag, and sentences among it; "empty": nothing at all.
Kind = Literal["tags", "unknown", "prose", "empty"]

# A longer piece is a sentence: no tag of a Stack Exchange site has more than 35 characters.
_LONGEST_TAG = 50
_MOST_WORDS = 5
# A degenerate model can repeat itself forever.
_MOST_CHARACTERS = 20_000
_MOST_UNKNOWN = 50

_SPECIAL_TOKENS = re.compile(r"<\|[^|>]{1,40}\|>|</?s>|<(?:bos|eos|pad|end_of_turn|start_of_turn)>")
_FENCES = re.compile(r"```[a-z]*|\^{2,}|\+{5,}|>{5,}")
_NEXT_QUESTION = re.compile(r"\n\s*(?:title|question|candidate tags)\s*:", re.IGNORECASE)
_CUE = re.compile(r"\A[^:\n]{0,60}?\btags?\b[^:\n,]{0,40}:", re.IGNORECASE)
_BULLET = re.compile(r"\A(?:[-*•]\s+|\(?\d{1,2}[.)]\s+)")
_SEPARATORS = re.compile(r"[,;\n]")
_WRAPPING = " \t\"'`“”‘’[](){}<>*"


@dataclass(frozen=True, slots=True)
class ParsedTags:
    """What an answer says.

    Args:
        tags: usable tags in the order of the answer, each once.
        unknown: what has the form of a tag and is not in the vocabulary.
        kind: what sort of answer it is.
    """

    tags: tuple[str, ...]
    unknown: tuple[str, ...]
    kind: Kind


def parse_tags(text: str, vocabulary: Vocabulary | None = None, limit: int = 5) -> ParsedTags:
    """Read the tags of an answer.

    Besides ``tag-a, tag-b`` it understands a repeated ``Tags:``, lists with bullets or numbers, JSON,
    quotes, brackets, ``#tag`` and special tokens, and it ignores any further question that follows.

    Args:
        text: the answer.
        vocabulary: the known tags, or None to accept any.
        limit: the most tags to return.

    Example:
        >>> parse_tags("Tags: Contract Law, copyright.").tags
        ('contract-law', 'copyright')
    """
    cleaned = _clean(text[:_MOST_CHARACTERS])
    pieces = _pieces(cleaned)
    if not pieces:
        return ParsedTags((), (), "empty")
    known: dict[str, None] = {}
    unknown: dict[str, None] = {}
    sentences = False
    for piece in pieces:
        tag = _tag_of(piece, vocabulary)
        if tag is None:
            sentences = True
            continue
        if vocabulary is None or tag in vocabulary:
            known.setdefault(tag)
        else:
            unknown.setdefault(tag)
    kind: Kind = "tags" if known else "prose" if sentences else "unknown"
    return ParsedTags(tuple(known)[: max(0, limit)], tuple(unknown)[:_MOST_UNKNOWN], kind)


def answer_regex(vocabulary: Vocabulary, separator: str = ", ", most: int = 5) -> str:
    """A regular expression that constrains a model's answer to the vocabulary.

    It matches one to ``most`` tags, with or without the blank that a model writes after ``Tags:``. It uses
    only alternatives, groups and a bounded repeat, which every engine for guided decoding knows.

    Args:
        vocabulary: the tags allowed.
        separator: the text between them.
        most: the most tags of an answer.
    """
    one = any_of(vocabulary.tags)
    return f" ?{one}(?:{escaped(separator)}{one}){{0,{max(1, most) - 1}}}"


def _clean(text: str) -> str:
    text = _FENCES.sub("\n", _SPECIAL_TOKENS.sub("\n", text)).strip()
    text = _NEXT_QUESTION.split(text, maxsplit=1)[0]
    return _CUE.sub("", text, count=1).strip()


def _pieces(text: str) -> list[str]:
    if text[:1] in '{["':
        listed = _from_json(text)
        if listed is not None:
            return listed
    pieces = (_BULLET.sub("", piece.strip()) for piece in _SEPARATORS.split(text))
    return [piece for piece in pieces if piece.strip(_WRAPPING)]


def _from_json(text: str) -> list[str] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        value = next((item for key, item in value.items() if key.strip().lower() in ("tags", "tag")), None)
    if isinstance(value, str):
        return [piece.strip() for piece in _SEPARATORS.split(value) if piece.strip()]
    if isinstance(value, list):
        return [item for item in value if isinstance(item, str) and item.strip()]
    return None


def _tag_of(piece: str, vocabulary: Vocabulary | None) -> str | None:
    """The tag that a piece represents, or None if it is not a tag."""
    whole = normalize_tag(piece)
    if vocabulary is not None and whole in vocabulary:
        return whole
    # Strip punctuation only now: some tags begin or end with it, such as ".net" or "c#".
    bare = piece.strip(_WRAPPING).lstrip("#").rstrip(".!?:").strip(_WRAPPING)
    tag = normalize_tag(bare)
    if not any(letter.isalnum() for letter in tag):
        return None
    if len(tag) > _LONGEST_TAG or len(bare.split()) > _MOST_WORDS:
        return None
    return tag
