"""The rows of an engine: one per answer, waiting or being generated."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lawtags_stack.engines.generation.token_text import TextStream

if TYPE_CHECKING:
    from torch import Generator

    from lawtags_client.errors import LawtagsError
    from lawtags_stack.engines.generation.attention import Prefix
    from lawtags_stack.engines.generation.constraints import Matcher
    from lawtags_stack.engines.generation.request import FinishReason, Sampling, TokenScore


@dataclass(slots=True, eq=False)
class GenerationRow:
    """One answer in the making.

    Args:
        request: which request it belongs to.
        index: which of the request's answers it is.
        adapter: the adapter's name, None for the base model.
        tokens: the prompt's tokens, then those of the answer.
        prompt_length: how many of them are the prompt.
        sampling: how the next ones are chosen.
        matcher: holds the answer to its constraint, where there is one.
        generator: source of randomness, where tokens are sampled.
        fault: why there will be no answer; such a row takes part in no further step.
    """

    request: Hashable
    index: int
    adapter: str | None
    tokens: list[int]
    prompt_length: int
    sampling: Sampling
    matcher: Matcher | None = None
    generator: Generator | None = None
    stream: TextStream = field(default_factory=TextStream)
    scores: list[TokenScore] = field(default_factory=list)
    new_scores: list[TokenScore] = field(default_factory=list)
    computed: int = 0
    slot: int | None = None
    prefix: Prefix | None = None
    finish: FinishReason | None = None
    fault: LawtagsError | None = None

    @property
    def pending(self) -> int:
        """How many tokens have no keys and values yet."""
        return len(self.tokens) - self.computed

    @property
    def generated(self) -> int:
        """How many tokens the answer has."""
        return len(self.tokens) - self.prompt_length

    @property
    def longest(self) -> int:
        """How many tokens the row may come to hold."""
        return self.prompt_length + self.sampling.max_tokens


class Waiting:
    """Rows that were not begun yet; requests take turns, so that a large one does not block a small one."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, deque[GenerationRow]] = {}

    def __len__(self) -> int:
        return sum(len(rows) for rows in self._rows.values())

    def __iter__(self) -> Iterator[GenerationRow]:
        for rows in self._rows.values():
            yield from rows

    def add(self, row: GenerationRow) -> None:
        """Queue a row behind those of its request."""
        self._rows.setdefault(row.request, deque()).append(row)

    def peek(self) -> GenerationRow | None:
        """The row whose turn it is."""
        for rows in self._rows.values():
            return rows[0]
        return None

    def pop(self) -> GenerationRow:
        """Take the row whose turn it is; its request goes to the end of the line.

        Raises:
            KeyError: none is waiting.
        """
        request = next(iter(self._rows), None)
        if request is None:
            raise KeyError("no row is waiting")
        rows = self._rows.pop(request)
        row = rows.popleft()
        if rows:
            self._rows[request] = rows
        return row

    def drop(self, request: Hashable) -> list[GenerationRow]:
        """Forget a request's rows and return them."""
        return list(self._rows.pop(request, ()))
