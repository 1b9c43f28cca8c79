"""Walking through the pages of a list."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from typing import Protocol, TypeVar

from lawtags_client.errors import ProtocolError

logger = logging.getLogger(__name__)

_MOST_PAGES = 100_000
# After so many entries, the event loop has its turn.
_ENTRIES_A_TURN = 500

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class PageOf(Protocol[T_co]):
    """One page: its entries, and how many pages there are, where the server says so."""

    @property
    def entries(self) -> Sequence[T_co]: ...

    @property
    def total_pages(self) -> int | None: ...


async def walk(
    fetch: Callable[[int], Awaitable[PageOf[T]]], identity: Callable[[T], Hashable]
) -> AsyncIterator[T]:
    """Every entry of a list, once each, although entries may move between pages while they are read.

    Ends at an empty page, after the last page, or where a server repeats itself.

    Args:
        fetch: gets a page by its number, from one.
        identity: what makes two entries the same.

    Raises:
        ProtocolError: the list still goes on after 100,000 pages.
    """
    seen: set[Hashable] = set()
    number = 1
    while True:
        page = await fetch(number)
        fresh = []
        for count, entry in enumerate(page.entries, 1):
            if count % _ENTRIES_A_TURN == 0:
                await asyncio.sleep(0)
            key = identity(entry)
            if key not in seen:
                seen.add(key)
                fresh.append(entry)
        for entry in fresh:
            yield entry
        if not page.entries:
            return
        if not fresh:
            logger.warning("page %d of a list repeats what came before; the listing ends here", number)
            return
        if page.total_pages is not None and number >= page.total_pages:
            return
        number += 1
        if number > _MOST_PAGES:
            raise ProtocolError(f"the list has more than {_MOST_PAGES:,} pages", hint="Filter it.")
