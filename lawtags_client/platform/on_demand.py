"""A platform that does not answer yet: which one it is, is asked again when it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from lawtags_client.closing import closing
from lawtags_client.platform.protocol import (
    EvaluationIntent,
    EvaluationSummary,
    FineTuneIntent,
    JobReference,
    JobUpdate,
    ModelAnswer,
    Platform,
    PlatformDataset,
    PlatformItem,
    PromptInput,
    RemovedItem,
    TrainingConfig,
)
from lawtags_client.services.watching import Patience, Poller
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.transport.clock import Clock


class PlatformOnDemand:
    """Finds out which platform it is with the first call.

    A run that only repeats its report, or that another process holds, needs none.

    Args:
        choose: waits for the platform as any call does, and returns it; raises if it does not answer in time.
        clock: of the client.
    """

    def __init__(self, choose: Callable[[], Awaitable[Platform]], clock: Clock) -> None:
        self._choose = choose
        self._clock = clock
        self._chosen: Platform | None = None
        self._choosing = asyncio.Lock()

    async def _platform(self, patience: Patience | None = None) -> Platform:
        """The platform.

        Args:
            patience: with which a call of the platform would wait through outages, if it is one of those.
        """
        async with self._choosing:
            if self._chosen is None and patience is not None:
                self._chosen = await Poller(self._clock, patience).look(self._choose)
            elif self._chosen is None:
                self._chosen = await self._choose()
            return self._chosen

    async def config(self, name: str) -> TrainingConfig:
        """As the protocol says."""
        return await (await self._platform()).config(name)

    async def upload(
        self, name: str, folder: Path, *, on_bytes: Callable[[int, int], None] | None = None
    ) -> PlatformDataset:
        """As the protocol says."""
        return await (await self._platform()).upload(name, folder, on_bytes=on_bytes)

    async def submit(self, intent: FineTuneIntent) -> JobReference:
        """As the protocol says."""
        return await (await self._platform()).submit(intent)

    async def follow(self, job_id: str, *, timeout: float, stall: float) -> AsyncIterator[JobUpdate]:
        """As the protocol says."""
        platform = await self._platform(Patience().within(timeout))
        async with closing(platform.follow(job_id, timeout=timeout, stall=stall)) as updates:
            async for update in updates:
                yield update

    async def cancel(self, job_id: str) -> None:
        """As the protocol says."""
        await (await self._platform()).cancel(job_id)

    async def served(self, model: str, *, timeout: float) -> None:
        """As the protocol says."""
        await (await self._platform(Patience().throughout(timeout))).served(model, timeout=timeout)

    async def first_tokens(
        self, model: str, prompts: Sequence[PromptInput], *, top: int
    ) -> AsyncIterator[tuple[int, Mapping[str, float] | Exception]]:
        """As the protocol says."""
        platform = await self._platform()
        async with closing(platform.first_tokens(model, prompts, top=top)) as found:
            async for each in found:
                yield each

    async def answers(
        self,
        model: str,
        prompts: Sequence[PromptInput],
        *,
        vocabulary: Vocabulary,
        most: int,
        max_tokens: int,
    ) -> AsyncIterator[tuple[int, ModelAnswer | Exception]]:
        """As the protocol says."""
        platform = await self._platform()
        answers = platform.answers(model, prompts, vocabulary=vocabulary, most=most, max_tokens=max_tokens)
        async with closing(answers) as found:
            async for each in found:
                yield each

    async def evaluate(
        self,
        intent: EvaluationIntent,
        *,
        timeout: float,
        on_progress: Callable[[float], None] | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> EvaluationSummary:
        """As the protocol says."""
        platform = await self._platform()
        return await platform.evaluate(intent, timeout=timeout, on_progress=on_progress, on_notice=on_notice)

    async def publish(self, model: str, files: Mapping[str, bytes]) -> None:
        """As the protocol says."""
        await (await self._platform()).publish(model, files)

    async def remove(self, item: PlatformItem) -> Sequence[RemovedItem]:
        """As the protocol says."""
        return await (await self._platform()).remove(item)
