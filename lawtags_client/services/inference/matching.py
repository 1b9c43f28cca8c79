"""Whether a text is what it was asked to be."""

from __future__ import annotations

import json
import re
from functools import lru_cache

from lawtags_client.services.inference.dialects import Form
from lawtags_client.tagging.vocabulary import Vocabulary

# A longer text is no answer to any constraint of ours, and would take long to compare.
_MOST_CHARACTERS = 20_000


def matches_constraint(text: str, form: Form, cut: bool) -> bool | None:
    """Compare a text with the constraint of a form.

    Args:
        text: the answer.
        form: what was asked for.
        cut: whether the text was cut off before its end.

    Returns:
        None, where it cannot be told: a grammar, a pattern in another syntax, the beginning of a match.
    """
    text = text.strip()
    if form.constraint == "guided_choice":
        return any(
            choice.strip().startswith(text) if cut else choice.strip() == text for choice in form.value
        )
    if form.constraint == "guided_json" and not cut:
        return _json(text) is not None
    if form.constraint == "guided_regex" and not cut and len(text) <= _MOST_CHARACTERS:
        pattern = _compiled(form.value)
        # Blanks at either end may be part of the pattern, or of how the server shows answers.
        return pattern and any(pattern.fullmatch(each) is not None for each in (text, f" {text}"))
    return None


class MatchesTags:
    """Whether a text names known tags, in the form in which it was asked for.

    Args:
        vocabulary: the tags allowed.
        most: the most tags of an answer.
    """

    def __init__(self, vocabulary: Vocabulary, most: int) -> None:
        self._vocabulary = vocabulary
        self._most = max(1, most)

    def __call__(self, text: str, form: Form, cut: bool) -> bool | None:
        """Compare a text; one that was cut off must be the beginning of a right one."""
        text = text.strip()
        if form.constraint == "guided_json":
            return text.startswith("{") if cut else self._known(_listed(text))
        tags = text.split(", ")
        if not cut:
            return self._known(tags)
        *whole, last = tags
        begun = any(tag.startswith(last.rstrip(",")) for tag in self._vocabulary.tags)
        return begun and (not whole or self._known(whole))

    def _known(self, tags: list[str]) -> bool:
        return 0 < len(tags) <= self._most and all(tag in self._vocabulary for tag in tags)


def _listed(text: str) -> list[str]:
    value = _json(text)
    tags = value.get("tags") if isinstance(value, dict) else None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return []
    return tags


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


@lru_cache(maxsize=32)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:
        return None
