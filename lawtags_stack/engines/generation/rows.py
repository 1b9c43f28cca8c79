"""The rows of an engine: one per answer, waiting or running."""

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
    """An unfinished answer.

    Args:
        request: the request that it belongs to.
        index: the index of the answer in the request.
        adapter: the adapter's name; None for the base model.
        tokens: the tokens of the prompt, followed by those of the answer.
        prompt_length: number of prompt tokens.
        sampling: how the next tokens are chosen.
        matcher: enforces the constraint, if there is one.
        generator: source of randomness, if tokens are sampled.
        fault: the error, if the row has failed; such a row is not computed any more.
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
        """Number of tokens without keys and values."""
        return len(self.tokens) - self.computed

    @property
    def generated(self) -> int:
        """Number of tokens of the answer."""
        return len(self.tokens) - self.prompt_length

    @property
    def longest(self) -> int:
        """Maximum number of tokens of the row."""
        return self.prompt_length + self.sampling.max_tokens


class RequestQueue:
    """The queue of rows; requests take turns, so a large request does not block a small one."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, deque[GenerationRow]] = {}

    def __len__(self) -> int:
        return sum(len(rows) for rows in self._rows.values())

    def __iter__(self) -> Iterator[GenerationRow]:
        for rows in self._rows.values():
            yield from rows

    def add(self, row: GenerationRow) -> None:
        """Append a row to its request's queue."""
        self._rows.setdefault(row.request, deque()).append(row)

    def peek(self) -> GenerationRow | None:
        """The next row."""
        for rows in self._rows.values():
            return rows[0]
        return None

    def pop(self) -> GenerationRow:
        """Take the next row; its request moves to the end of the queue.

        Raises:
            KeyError: the queue is empty.
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
        """Remove the rows of a request and return them."""
        return list(self._rows.pop(request, ()))
