"""Constrains an answer to one of several texts, in the tokens that the tokenizer assigns to them.

A grammar over characters would also allow other tokenizations, which the model never saw in training and
whose probabilities mean little.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class _Node:
    following: dict[int, _Node] = field(default_factory=dict)
    complete: bool = False


class ChoiceMatcher:
    """Walks a tree of token sequences; implements the part of llguidance's matcher that the engine uses.

    Args:
        paths: the tokens of each text.
        end_tokens: the tokens that end an answer.
    """

    def __init__(self, paths: Iterable[Sequence[int]], end_tokens: Sequence[int]) -> None:
        self._end_tokens = tuple(end_tokens)
        self._node = _Node()
        self._ended = False
        for path in paths:
            node = self._node
            for token in path:
                node = node.following.setdefault(token, _Node())
            node.complete = True

    def deep_copy(self) -> ChoiceMatcher:
        """Copy the matcher; the copies share the immutable tree."""
        copy = ChoiceMatcher((), self._end_tokens)
        copy._node, copy._ended = self._node, self._ended
        return copy

    def mask(self, size: int) -> NDArray[np.bool_]:
        """Which tokens are allowed next, one flag per token."""
        allowed = np.zeros(size, dtype=bool)
        allowed[list(self._node.following)] = True
        if self._node.complete:
            allowed[list(self._end_tokens)] = True
        return allowed

    def consume_token(self, token: int) -> bool:
        """Consume a token; False if it is not allowed."""
        if self._node.complete and token in self._end_tokens:
            self._ended = True
            return True
        node = self._node.following.get(token)
        if node is None or self._ended:
            return False
        self._node = node
        return True

    def compute_ff_tokens(self) -> list[int]:
        """The next tokens for which there is only one choice."""
        forced, node = [], self._node
        while len(node.following) == 1 and not node.complete:
            token, node = next(iter(node.following.items()))
            forced.append(token)
        return forced

    def is_stopped(self) -> bool:
        """Whether nothing can be added."""
        return self._ended or not self._node.following
