"""Outcomes of rows, returned as they arrive or in the order of the rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from lawtags_client.errors import LawtagsError
from lawtags_client.services.inference.entries import Entry, Outcome

R = TypeVar("R")


class Outcomes(Generic[R]):
    """Collects outcomes.

    Args:
        ordered: keep the order of the rows.
    """

    def __init__(self, *, ordered: bool) -> None:
        self._ordered = ordered
        self._done: deque[Outcome[R]] = deque()
        self._early: dict[int, Outcome[R]] = {}
        self._following = 0
        self.answered = self.failed = 0

    def __bool__(self) -> bool:
        return bool(self._done)

    @property
    def waiting(self) -> int:
        """Number of outcomes that wait for earlier rows."""
        return len(self._early)

    def answer(self, entry: Entry[Any], value: R) -> None:
        """A row was answered."""
        self.answered += 1
        self._done.append(Outcome(entry.row, value=value))

    def lose(self, entry: Entry[Any], error: LawtagsError) -> None:
        """A row was given up."""
        self.failed += 1
        self._done.append(Outcome(entry.row, error=error))

    def ready(self) -> Iterator[Outcome[R]]:
        """The outcomes that can be returned now."""
        while self._done:
            outcome = self._done.popleft()
            if self._ordered:
                self._early[outcome.row] = outcome
            else:
                yield outcome
        while self._following in self._early:
            yield self._early.pop(self._following)
            self._following += 1
