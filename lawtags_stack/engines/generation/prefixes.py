"""Caches the keys and values of prefixes that prompts share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lawtags_stack.engines.generation.attention import Prefix
    from lawtags_stack.engines.generation.rows import GenerationRow

SHORTEST = 2
"""Shorter shared prefixes are not worth the bookkeeping; a question's ``Title:`` has two tokens."""

LEAST_SAVED = 32
"""A prefix is computed separately if it saves at least this many tokens in the current step."""


def common_length(sequences: Sequence[list[int]]) -> int:
    """Length of the longest common prefix of the sequences.

    >>> common_length([[1, 2, 3], [1, 2, 4, 5], [1, 2]])
    2
    """
    # Among sorted sequences, the first and the last have the shortest common prefix.
    first, last = min(sequences), max(sequences)
    for place, (left, right) in enumerate(zip(first, last, strict=False)):
        if left != right:
            return place
    return min(len(first), len(last))


class PrefixStore:
    """An LRU cache of prefixes, by adapter.

    Args:
        max_bytes: memory limit.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[tuple[str | None, tuple[int, ...]], Prefix] = OrderedDict()
        self._last: dict[str | None, list[int]] = {}

    def find(self, adapter: str | None, tokens: Sequence[int]) -> Prefix | None:
        """The longest stored prefix of the tokens that leaves at least one token to compute."""
        best: tuple[str | None, tuple[int, ...]] | None = None
        for key in self._held:
            length = len(key[1])
            longer = best is None or length > len(best[1])
            if key[0] == adapter and longer and length < len(tokens) and key[1] == tuple(tokens[:length]):
                best = key
        if best is None:
            return None
        self._held.move_to_end(best)
        return self._held[best]

    def worth_computing(self, adapter: str | None, rows: Sequence[GenerationRow]) -> tuple[int, ...] | None:
        """The prefix to compute separately for rows of one adapter that start together, if any."""
        prompts = [row.tokens for row in rows]
        before = self._last.get(adapter)
        self._last[adapter] = prompts[-1]
        shortest = min(len(prompt) for prompt in prompts) - 1
        length = min(shortest, common_length(prompts))
        saved = length * (len(prompts) - 1)
        if len(prompts) == 1 and before is not None:
            # Sequential requests with the same instructions: later ones will use the prefix.
            length = min(shortest, common_length([prompts[0], before]))
            saved = length
        if length < SHORTEST or saved < LEAST_SAVED:
            return None
        known = self.find(adapter, prompts[0])
        if known is not None and length - len(known.tokens) < SHORTEST:
            return None
        return tuple(prompts[0][:length])

    def add(self, adapter: str | None, prefix: Prefix) -> None:
        """Store a prefix, evicting the least recently used ones if needed."""
        self._held[adapter, prefix.tokens] = prefix
        while sum(held.nbytes for held in self._held.values()) > self._max_bytes and len(self._held) > 1:
            self._held.popitem(last=False)

    def forget(self, adapter: str | None) -> None:
        """Drop all prefixes of an adapter."""
        for key in [key for key in self._held if key[0] == adapter]:
            del self._held[key]
        self._last.pop(adapter, None)
