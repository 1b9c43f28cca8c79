"""Rows, their requests, and their outcomes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from lawtags_client.errors import LawtagsError
from lawtags_client.services.inference.flakiness import Sent

T = TypeVar("T")
R = TypeVar("R")


class Split:
    """A failed request whose rows were sent again in smaller requests.

    Args:
        rows: number of its rows.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._left = rows

    def answered(self) -> bool:
        """Record an answered row; returns whether all are answered, so that none of them was the cause."""
        self._left -= 1
        return not self._left


@dataclass(slots=True)
class Entry(Generic[T]):
    """An item and its history.

    Args:
        row: its index.
        item: the item.
        most: maximum rows of its next request.
        failures: failed attempts that count.
        spent: seconds spent on these.
        lone_timeouts: timeouts with no other request under way.
        splits: failed requests that it shared with others.
        alone: whether its last attempts run with no other request under way.
        shared: rows of the request that it was last sent in.
        chances: failed attempts while retries of other rows succeed.
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
    """Record that the rows of a request are to be sent in smaller ones."""
    if len(entries) > 1:
        split = Split(len(entries))
        for entry in entries:
            entry.splits += (split,)


def take_untried(entries: deque[Entry[T]]) -> Entry[T] | None:
    """Take the first row that has not timed out alone: the others may be at fault."""
    for place, entry in enumerate(entries):
        if not entry.lone_timeouts:
            del entries[place]
            return entry
    return None


@dataclass(slots=True)
class Request(Generic[T]):
    """A request under way.

    Args:
        entries: its rows.
        begun: when it was sent.
        cuts: number of cuts to the limit at that time.
        rows: rows under way at that time, including its own.
        sent: its record in :class:`Flakiness`.
        company: maximum number of concurrent requests while it ran, including itself.
        pause: seconds to wait after it failed.
        isolated: whether its failure says nothing about other requests.
        own: whether one of its rows may be the cause.
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
    """The outcome of one item.

    Args:
        row: its index, from zero.
        value: the result, unless there is an error.
        error: why there is no result.
    """

    row: int
    value: R | None = None
    error: LawtagsError | None = None
