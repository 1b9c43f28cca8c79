"""Rows, the requests that they share, and what becomes of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from lawtags_client.errors import LawtagsError
from lawtags_client.services.inference.flakiness import Sent

T = TypeVar("T")
R = TypeVar("R")


class Split:
    """A failed request whose rows were asked for again in smaller ones.

    Args:
        rows: how many it had.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._left = rows

    def answered(self) -> bool:
        """One of the rows was answered; returns whether all are now, so that none of them was the reason."""
        self._left -= 1
        return not self._left


@dataclass(slots=True)
class Entry(Generic[T]):
    """An item and what it went through.

    Args:
        row: its place.
        item: itself.
        most: with how many others it may share a request.
        failures: attempts that failed and count.
        spent: seconds that went into these.
        lone_timeouts: attempts that got no answer in time though nothing else was asked for.
        splits: the failed requests that it shared with others.
        alone: whether it is asked for with nothing beside it, for the last time.
        shared: rows of the request that it was last sent in.
        chances: attempts that failed although other rows that had failed are answered.
    """

    row: int
    item: T
    most: int
    failures: int = 0
    spent: float = 0.0
    lone_timeouts: int = 0
    splits: tuple[Split, ...] = ()
    alone: bool = False
    shared: int = 0
    chances: int = 0


def note_split(entries: list[Entry[T]]) -> None:
    """Note that rows which shared a request are to be sent in smaller ones."""
    if len(entries) > 1:
        split = Split(len(entries))
        for entry in entries:
            entry.splits += (split,)


def take_untried(entries: deque[Entry[T]]) -> Entry[T] | None:
    """Take the first row that has not failed alone: the others may be at fault themselves."""
    for place, entry in enumerate(entries):
        if not entry.lone_timeouts:
            del entries[place]
            return entry
    return None


@dataclass(slots=True)
class Request(Generic[T]):
    """A request under way.

    Args:
        entries: its items.
        begun: when it was sent.
        cuts: how often the number of requests had been cut then.
        rows: how many rows were under way then, with its own.
        sent: what is remembered of it.
        company: the most requests that were under way at the same time, this one included.
        pause: seconds to wait after it failed.
        isolated: whether its failure says nothing about other requests.
        own: whether one of its rows may be the reason.
    """

    entries: list[Entry[T]]
    begun: float
    cuts: int
    rows: int
    sent: Sent
    company: int = 1
    pause: float = 0.0
    isolated: bool = False
    own: bool = False


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """What became of one item.

    Args:
        row: its place, from zero.
        value: the result, unless there is an error.
        error: why there is none.
    """

    row: int
    value: R | None = None
    error: LawtagsError | None = None
