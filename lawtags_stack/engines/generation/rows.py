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
    """The queue of rows. The request with the fewest waiting rows and the oldest one take turns.

    So requests of equal size finish one after the other instead of all at the end, a large request does not
    block a small one, and a stream of small requests does not block a large one (shortest remaining time
    first, with aging).
    """

    def __init__(self) -> None:
        self._rows: dict[Hashable, deque[GenerationRow]] = {}
        self._oldest_first = False

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
        return self._rows[self._next()][0] if self._rows else None

    def pop(self) -> GenerationRow:
        """Take the next row.

        Raises:
            KeyError: the queue is empty.
        """
        if not self._rows:
            raise KeyError("no row is waiting")
        request = self._next()
        rows = self._rows[request]
        row = rows.popleft()
        if not rows:
            del self._rows[request]
        self._oldest_first = not self._oldest_first
        return row

    def _next(self) -> Hashable:
        oldest = next(iter(self._rows))
        if self._oldest_first or len(self._rows[oldest]) == 1:
            return oldest
        return min(self._rows, key=lambda request: len(self._rows[request]))

    def drop(self, request: Hashable) -> list[GenerationRow]:
        """Remove the rows of a request and return them."""
        return list(self._rows.pop(request, ()))
