"""Following something that takes long: adaptive polling that outlives lost connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from lawtags_client.errors import (
    ConfigurationError,
    DeadlineExceededError,
    LawtagsError,
    ProtocolError,
    RateLimitedError,
)
from lawtags_client.setting_options import check_number, check_wait
from lawtags_client.terminal import escape_controls
from lawtags_client.transport.clock import Clock
from lawtags_client.transport.retry import is_passing

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds that one look has at least, however short the wait is.
_LEAST = 15.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How often to poll, and how long to tolerate an unresponsive service.

    Args:
        shortest: seconds between looks while something moves.
        longest: seconds between looks while nothing does.
        silence: seconds without any answer after which the last error is raised.

    Raises:
        ConfigurationError: one of them is not a number, or the pause is not greater than zero.
    """

    shortest: float = 0.5
    longest: float = 15.0
    silence: float = 600.0

    def __post_init__(self) -> None:
        for name in ("shortest", "longest", "silence"):
            check_number(name, getattr(self, name))
            check_wait(name, getattr(self, name))
        if not (self.shortest > 0 and self.longest > 0):
            raise ConfigurationError("shortest and longest must be greater than zero", hint="Pass seconds.")

    def within(self, timeout: float | None) -> Patience:
        """This patience for a wait that is itself bounded."""
        check_wait("timeout", timeout)
        return self if timeout is None else replace(self, silence=min(self.silence, timeout))

    def throughout(self, timeout: float) -> Patience:
        """This patience for a wait for something that starts, and may not answer at all until then."""
        check_wait("timeout", timeout)
        return replace(self, silence=timeout)


class Poller:
    """Polls something repeatedly.

    Args:
        clock: time, sleep and chance.
        patience: how often, and how long.
    """

    def __init__(self, clock: Clock, patience: Patience) -> None:
        self._clock = clock
        self._patience = patience
        self._pause = patience.shortest
        self._answered: float | None = None
        self._begin = clock.monotonic()

    async def look(self, read: Callable[[], Awaitable[T]]) -> T:
        """One answer, waiting through outages.

        Raises:
            LawtagsError: an error that will not pass, or one that lasted longer than the patience.
        """
        while True:
            since = self._answered if self._answered is not None else self._begin
            left = since + self._patience.silence - self._clock.monotonic()
            try:
                result = await self._within(max(left, _LEAST), read)
            except LawtagsError as error:
                # A wrong address shows at the first look; later it is a proxy that answers instead.
                first = self._answered is None and isinstance(error, ProtocolError)
                if first or not is_passing(error):
                    raise
                left = since + self._patience.silence - self._clock.monotonic()
                if left < 0:
                    raise
                logger.warning("no answer, retrying: %s", escape_controls(error.message))
                asked = error.retry_after if isinstance(error, RateLimitedError) else None
                # However long the service asks to be left alone, this wait ends when its patience does.
                await self.rest(at_least=min(asked or 0.0, left))
            else:
                self._answered = self._clock.monotonic()
                return result

    async def _within(self, seconds: float, read: Callable[[], Awaitable[T]]) -> T:
        """An answer that comes in time: a call with its retries may take far longer than a short wait."""
        try:
            async with asyncio.timeout(seconds):
                return await read()
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"no answer within {seconds:.0f} s", hint="Check the service's health, or wait longer."
            ) from error

    async def rest(self, *, moved: bool = False, at_least: float = 0.0) -> None:
        """Wait before the next look: shortly where something moved, longer each time where nothing did."""
        patience = self._patience
        self._pause = patience.shortest if moved else min(self._pause * 1.5, patience.longest)
        # Jitter keeps many followers from asking in the same moment.
        await self._clock.sleep(max(self._pause * (0.75 + 0.5 * self._clock.random()), at_least))
