"""Estimates and facts of earlier runs, side by side; the facts correct the next estimate."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lawtags_client.errors import LawtagsError
from lawtags_client.runs.documents import read_document
from lawtags_client.runs.language_model import training_cost
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.outputs import JobPlan
from lawtags_client.runs.planning.memory import MemoryEstimate
from lawtags_client.runs.planning.timing import TimeEstimate
from lawtags_client.runs.series import TrainingRecord

_NEWEST = 10
_TRUSTED_SECONDS = 10.0
"""After steps of so many seconds, earlier trainings weigh as much as the estimate itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTraining:
    """A finished training: what was estimated, and what came of it.

    Args:
        run: the name of its folder.
        finished_at: when it ended, as text that sorts by time.
        seconds: it took; None if it was watched in several attempts.
        steps_per_second: of its optimizer, validations included; None if too few steps were reported.
        memory: most memory of its process in bytes; None where the platform does not tell.
        planned: its plan.
    """

    run: str
    finished_at: str
    seconds: float | None
    memory: int | None
    planned: JobPlan
    steps_per_second: float | None = None


def past_trainings(runs: Path, config: str, method: str) -> list[PastTraining]:
    """The newest finished trainings with a config and a method, the newest first.

    Args:
        runs: the folder of runs.
        config: of the plan.
        method: ``finetuning_type``.
    """
    found = (
        [past for ledger in sorted(runs.glob("*/ledger.sqlite")) if (past := _past(ledger)) is not None]
        if runs.is_dir()
        else []
    )
    alike = [
        past
        for past in found
        if past.planned.config == config and past.planned.hyperparameters.get("finetuning_type") == method
    ]
    return sorted(alike, key=lambda past: past.finished_at, reverse=True)[:_NEWEST]


def corrected_time(estimate: TimeEstimate, past: Sequence[PastTraining]) -> TimeEstimate:
    """An estimate, scaled by how much longer the steps of earlier trainings took than was estimated.

    The first steps of a process are slower than its others, so a training of a few seconds says little about
    a longer one: the longer earlier trainings were, the more of their deviation is taken over.

    Args:
        estimate: uncorrected.
        past: earlier trainings.
    """
    deviations = [found for each in past if (found := _deviation(each)) is not None]
    if not deviations:
        return estimate
    watched = sum(found.seconds for found in deviations)
    trust = watched / (watched + _TRUSTED_SECONDS)
    ratio = statistics.median(found.ratio for found in deviations) ** trust
    return estimate.corrected(ratio, len(deviations))


def corrected_memory(estimate: MemoryEstimate, past: Sequence[PastTraining]) -> MemoryEstimate:
    """An estimate, with what earlier ones missed: the libraries of a process do not grow with a model."""
    missed = [
        each.memory - each.planned.memory.uncorrected
        for each in past
        if each.memory is not None and each.planned.memory is not None
    ]
    if not missed:
        return estimate
    return replace(estimate, correction=round(statistics.median(missed)), corrected_by=len(missed))


@dataclass(frozen=True, slots=True)
class _Deviation:
    """How many times as long the steps of a training took as was estimated, and how many seconds."""

    ratio: float
    seconds: float


def _deviation(past: PastTraining) -> _Deviation | None:
    estimate, pace = past.planned.time, past.steps_per_second
    if estimate is None or not pace or estimate.uncorrected <= estimate.startup:
        return None
    seconds = past.planned.steps / pace
    return _Deviation(seconds / (estimate.uncorrected - estimate.startup), seconds)


def _past(ledger: Path) -> PastTraining | None:
    try:
        kept = Ledger(ledger)
        done = kept.finished("customize")
        if done is None:
            return None
        planned = read_document(JobPlan, ledger.parent, "plan.json")
        trained = read_document(TrainingRecord, ledger.parent, "customization.json")
        return PastTraining(
            run=ledger.parent.name,
            finished_at=done.finished_at or "",
            seconds=training_cost(kept, planned).seconds,
            steps_per_second=trained.steps_per_second,
            memory=trained.peak_memory,
            planned=planned,
        )
    except (LawtagsError, OSError):
        # A run that is damaged, or of another release, says nothing about the next one.
        return None
