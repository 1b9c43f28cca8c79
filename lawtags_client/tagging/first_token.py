"""From the log-probabilities of an answer's first token to probabilities of tags.

With training answers in random order, the first tag of an answer is any of the row's tags, so that the
distribution over first tokens says how likely each tag is; a served model returns it with one token.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

# How tokenizers write the blank before a word: as itself, or as one of two marks.
_BLANKS = " \t\n\u0120\u2581"
_LOWEST = -50.0


@dataclass(frozen=True)
class FirstTokenMap:
    """Which first token leads to which tags.

    Args:
        vocabulary: the tags.
        owners: for each tag, its first token without a leading space; None if none was observed.
    """

    vocabulary: Vocabulary
    owners: tuple[str | None, ...]

    @classmethod
    def fit(cls, observed: Iterable[Mapping[str, float]], vocabulary: Vocabulary) -> FirstTokenMap:
        """Learn the first tokens from distributions that a model returned.

        The first token of a tag is the longest observed token that it begins with. No tokenizer is needed.

        Args:
            observed: token texts with log-probabilities, for each of some questions.
            vocabulary: the tags.
        """
        tokens = {_bare(token) for row in observed for token in row} - {""}
        owners = []
        for tag in vocabulary:
            prefixes = (tag[:size] for size in range(len(tag), 0, -1))
            owners.append(next((prefix for prefix in prefixes if prefix in tokens), None))
        return cls(vocabulary, tuple(owners))

    def log_probabilities(self, row: Mapping[str, float]) -> NDArray[np.float64]:
        """Log-probabilities of the tags, which add up to one.

        Tags that share a token share its probability by their frequency in training. Tokens that are not
        among the ones returned get an equal part of what is left, and no more than the least returned.

        Args:
            row: token texts with log-probabilities, e.g. the 20 best.
        """
        given: dict[str, float] = {}
        for token, value in row.items():
            bare = _bare(token)
            if bare and not math.isnan(value):
                value = min(0.0, max(_LOWEST, value))
                given[bare] = float(np.logaddexp(given.get(bare, -math.inf), value))
        members = self._members
        missing = sum(owner is None or owner not in given for owner in members)
        left = max(1e-9, 1 - sum(math.exp(value) for value in given.values()))
        floor = min([math.log(left / max(1, missing)), *given.values()])
        result = np.empty(len(self.vocabulary))
        for owner, (places, shares) in members.items():
            result[places] = (floor if owner is None else given.get(owner, floor)) + shares
        return np.asarray(result - np.logaddexp.reduce(result), dtype=np.float64)

    def evidence(self, row: Mapping[str, float]) -> NDArray[np.float64]:
        """How much likelier each tag is than its frequency says, as a logarithm held within 8."""
        counts = np.asarray(self.vocabulary.counts, dtype=np.float64)
        ratio = self.log_probabilities(row) - np.log(counts / counts.sum())
        return np.asarray(np.clip(ratio, -8.0, 8.0), dtype=np.float64)

    @cached_property
    def _members(self) -> dict[str | None, tuple[list[int], NDArray[np.float64]]]:
        """For each first token the places of its tags, and the logarithms of their shares of it."""
        places: dict[str | None, list[int]] = {}
        for place, owner in enumerate(self.owners):
            places.setdefault(owner, []).append(place)
        counts = np.asarray(self.vocabulary.counts, dtype=np.float64)
        return {owner: (mine, np.log(counts[mine] / counts[mine].sum())) for owner, mine in places.items()}


def _bare(token: str) -> str:
    return token.lstrip(_BLANKS)
