"""Closing asynchronous iterators that may be generators."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


@asynccontextmanager
async def closing(items: AsyncIterable[T]) -> AsyncIterator[AsyncIterable[T]]:
    """Close what is iterated on exit, if it can be closed.

    A generator that is left early holds its requests until the garbage collector finds it. Unlike
    ``contextlib.aclosing``, this also takes iterators without ``aclose``.

    Args:
        items: a generator, or another asynchronous iterable.
    """
    try:
        yield items
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()
