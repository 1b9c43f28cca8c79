"""Constrains an answer to a vocabulary, and checks that it matches."""

from __future__ import annotations

import json

from lawtags_client.json_value import JsonValue
from lawtags_client.services.inference.dialects import Form
from lawtags_client.tagging.parse import answer_regex
from lawtags_client.tagging.vocabulary import Vocabulary

__all__ = ["MatchesTags", "constraints"]


def constraints(vocabulary: Vocabulary, most: int) -> list[dict[str, JsonValue]]:
    """A constraint to a vocabulary, as models were trained to write it, and as JSON.

    Args:
        vocabulary: the tags allowed.
        most: the most tags of an answer.
    """
    tags = list(vocabulary.tags)
    listed: dict[str, JsonValue] = {
        "type": "array",
        "items": {"enum": tags},
        "minItems": 1,
        "maxItems": max(1, most),
    }
    # Some servers take no other schema than that of an object with all its fields named.
    schema: dict[str, JsonValue] = {
        "type": "object",
        "properties": {"tags": listed},
        "required": ["tags"],
        "additionalProperties": False,
    }
    plain: dict[str, JsonValue] = {"guided_choice": tags}
    if most > 1:
        plain = {"guided_regex": answer_regex(vocabulary, most=most)}
    # JSON may run over several lines.
    return [plain, {"guided_json": schema, "stop": None}]


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
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    tags = value.get("tags") if isinstance(value, dict) else None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return []
    return tags
