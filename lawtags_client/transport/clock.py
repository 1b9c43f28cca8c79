"""Time, sleep and chance as arguments, so that a test can hold them still."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """Where a client takes time from.

    Args:
        monotonic: seconds that never go back; deadlines are counted with it.
        now: the wall clock, for dates in headers only.
        sleep: waits without blocking the loop.
        random: a number from 0 up to 1, for jitter.
    """

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = _utc_now
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = field(default=random.random)
