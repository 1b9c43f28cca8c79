"""Finding the names of tags in a text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lawtags_client.tagging._numpy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORDS = re.compile(r"[a-z0-9]+(?:[+#]+)?")


def stem(word: str) -> str:
    """Cut common English endings, crudely: enough that ``contracts`` meets ``contract``."""
    for ending, instead in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)] + instead
            break
    return word.removesuffix("e") if len(word) > 3 else word


def stems(text: str) -> list[str]:
    """The stems of a text's words, in order."""
    return [stem(word) for word in _WORDS.findall(text.lower().replace("'s", ""))]


class TagNames:
    """Knows which words make up the name of each tag.

    Args:
        tags: the vocabulary's tags, in its order.
    """

    def __init__(self, tags: Sequence[str]) -> None:
        self._names = [frozenset(stems(tag)) for tag in tags]
        self._by_word: dict[str, list[int]] = {}
        for place, name in enumerate(self._names):
            if name:
                self._by_word.setdefault(max(name, key=lambda word: (len(word), word)), []).append(place)

    def found_in(self, texts: Iterable[str | None]) -> NDArray[np.float32]:
        """1 where all words of a tag's name stand in a text, else 0; texts by tags."""
        rows: list[int] = []
        places: list[int] = []
        row = -1
        for row, text in enumerate(texts):
            there = set(stems(text or ""))
            for word in there:
                for place in self._by_word.get(word, ()):
                    if self._names[place] <= there:
                        rows.append(row)
                        places.append(place)
        found = np.zeros((row + 1, len(self._names)), dtype=np.float32)
        found[rows, places] = 1
        return found
