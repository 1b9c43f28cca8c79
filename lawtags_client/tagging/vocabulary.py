"""The tags that a tagger may give, and how often the training rows carry each."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lawtags_client.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Soft hyphens, direction marks, zero-width characters, variation selectors: all invisible.
_INVISIBLE = re.compile(
    "[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]"
)
# Commas and semicolons separate the tags of an answer, so a tag must not contain them.
_BREAKS = re.compile(r"[\s,;]+")


def normalize_tag(text: str) -> str:
    """Bring a tag into its normal form: lower case, one hyphen for spaces, trimmed.

    Compatibility forms of a letter become one (Unicode NFKC), and invisible characters are removed. A
    Cyrillic letter stays Cyrillic, even if it looks Latin.

    Example:
        >>> normalize_tag("  Contract Law ")
        'contract-law'
    """
    if not text.isascii():
        # Lowercasing may decompose a letter, so normalize again after it.
        text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
        text = unicodedata.normalize("NFKC", text.lower())
    return _BREAKS.sub("-", text.lower()).strip("-")


class HasTags(Protocol):
    """Anything that carries tags."""

    @property
    def tags(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Vocabulary:
    """Known tags, most frequent first, ties in alphabetical order.

    Args:
        tags: the tags in normal form.
        counts: number of training rows per tag.
        rows: how many training rows were counted.
    """

    tags: tuple[str, ...]
    counts: tuple[int, ...]
    rows: int
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.tags) != len(self.counts) or len(set(self.tags)) != len(self.tags):
            raise DataError("a vocabulary needs different tags with one count each")
        object.__setattr__(self, "_index", {tag: place for place, tag in enumerate(self.tags)})

    @classmethod
    def from_questions(cls, questions: Iterable[HasTags], min_count: int = 1) -> Vocabulary:
        """Count the tags of questions.

        Args:
            questions: the training rows, and no others.
            min_count: leave out tags on fewer rows.
        """
        counted: Counter[str] = Counter()
        rows = 0
        for question in questions:
            rows += 1
            counted.update(set(question.tags))
        kept = sorted(
            ((tag, count) for tag, count in counted.items() if count >= min_count),
            key=lambda pair: (-pair[1], pair[0]),
        )
        return cls(tuple(tag for tag, _ in kept), tuple(count for _, count in kept), rows)

    def __contains__(self, tag: object) -> bool:
        return tag in self._index

    def __len__(self) -> int:
        return len(self.tags)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tags)

    def index(self, tag: str) -> int:
        """The place of a tag, counted from zero.

        Raises:
            KeyError: the tag is not known.
        """
        return self._index[tag]

    def labels(self, tags: Sequence[Iterable[str]]) -> NDArray[np.bool_]:
        """Which of its tags each row has, rows by tags; other tags are left out.

        Args:
            tags: of each row.
        """
        from lawtags_client.tagging._numpy import np

        labels = np.zeros((len(tags), len(self)), dtype=bool)
        for row, given in enumerate(tags):
            labels[row, [self.index(tag) for tag in given if tag in self]] = True
        return labels

    def prior(self) -> NDArray[np.float64]:
        """The share of training rows that carry each tag."""
        from lawtags_client.tagging._numpy import np

        return np.asarray(self.counts, dtype=np.float64) / max(1, self.rows)
