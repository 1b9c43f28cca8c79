"""A platform that is not there: a plan can be made without one, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from lawtags_client.errors import ConfigurationError
from lawtags_client.platform.protocol import (
    EvaluationIntent,
    EvaluationSummary,
    FineTuneIntent,
    JobReference,
    JobUpdate,
    ModelAnswer,
    PlatformDataset,
    PlatformItem,
    PromptInput,
    RemovedItem,
    TrainingConfig,
)
from lawtags_client.tagging.vocabulary import Vocabulary


class OfflinePlatform:
    """Gives the configuration that a plan assumes.

    Args:
        assumed: the configuration.
    """

    def __init__(self, assumed: TrainingConfig) -> None:
        self._assumed = assumed

    async def config(self, name: str) -> TrainingConfig:
        """The configuration that is assumed, whatever its name."""
        return self._assumed

    async def upload(
        self, name: str, folder: Path, *, on_bytes: Callable[[int, int], None] | None = None
    ) -> PlatformDataset:
        """Refuse."""
        _refuse()

    async def submit(self, intent: FineTuneIntent) -> JobReference:
        """Refuse."""
        _refuse()

    def follow(self, job_id: str, *, timeout: float, stall: float) -> AsyncIterator[JobUpdate]:
        """Refuse."""
        _refuse()

    async def cancel(self, job_id: str) -> None:
        """Refuse."""
        _refuse()

    async def served(self, model: str, *, timeout: float) -> None:
        """Refuse."""
        _refuse()

    def first_tokens(
        self, model: str, prompts: Sequence[PromptInput], *, top: int
    ) -> AsyncIterator[tuple[int, Mapping[str, float] | Exception]]:
        """Refuse."""
        _refuse()

    def answers(
        self,
        model: str,
        prompts: Sequence[PromptInput],
        *,
        vocabulary: Vocabulary,
        most: int,
        max_tokens: int,
    ) -> AsyncIterator[tuple[int, ModelAnswer | Exception]]:
        """Refuse."""
        _refuse()

    async def evaluate(
        self,
        intent: EvaluationIntent,
        *,
        timeout: float,
        on_progress: Callable[[float], None] | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> EvaluationSummary:
        """Refuse."""
        _refuse()

    async def publish(self, model: str, files: Mapping[str, bytes]) -> None:
        """Refuse."""
        _refuse()

    async def remove(self, item: PlatformItem) -> Sequence[RemovedItem]:
        """Refuse."""
        _refuse()


def _refuse() -> NoReturn:
    raise ConfigurationError("a plan without a platform submits nothing", hint="Leave --offline out.")
