"""Two runs side by side: their figures, and what keeps these from being compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.metrics import Metrics, find_metrics
from lawtags_client.runs.naming import resume_command
from lawtags_client.runs.predictions import read_prediction_rows
from lawtags_client.runs.verdict import lost_in_words

_COMPARED = ("micro_f1", "macro_f1", "samples_f1", "exact_match")


@dataclass(frozen=True, slots=True)
class ComparedFigure:
    """A figure of a system in two runs.

    Attributes:
        system: which one.
        metric: which figure.
        first: its value in the first run; None if the run does not have the system.
        second: its value in the second run.
        difference: second minus first; None if a run has no verdict on the system.
    """

    system: str
    metric: str
    first: float | None
    second: float | None
    difference: float | None


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs side by side.

    Attributes:
        same_test_rows: whether the figures are directly comparable.
        figures: of all systems.
        lost: which rows have no answer, in words.
    """

    same_test_rows: bool
    figures: tuple[ComparedFigure, ...]
    lost: tuple[str, ...]


def compare_runs(first: Path, second: Path) -> RunComparison:
    """Compare the verdicts of two runs.

    Args:
        first: the folder of one run.
        second: the folder of the other.

    Raises:
        ConfigurationError: a run has no verdict yet.
        DataError: a file of a run is damaged.
    """
    a, b = require_metrics(first), require_metrics(second)
    unjudged = {entry.system for metrics in (a, b) for entry in metrics.incomplete}
    return RunComparison(
        same_test_rows=_test_rows(first, a) == _test_rows(second, b),
        figures=tuple(
            _compared(system, metric, a, b, judged=system not in unjudged)
            for system in dict.fromkeys((*a.systems, *b.systems))
            for metric in _COMPARED
        ),
        lost=tuple(
            f"{folder.name}: {line}"
            for folder, metrics in ((first, a), (second, b))
            for line in lost_in_words(metrics)
        ),
    )


def require_metrics(folder: Path) -> Metrics:
    """The verdict of a run.

    Raises:
        ConfigurationError: it has none yet; says how to finish it.
        DataError: the file is damaged.
    """
    metrics = find_metrics(folder)
    if metrics is None:
        raise ConfigurationError(
            f"run {folder.name!r} has no verdict yet", hint=f"Finish it first: {resume_command(folder)}"
        )
    return metrics


def _compared(system: str, metric: str, a: Metrics, b: Metrics, *, judged: bool) -> ComparedFigure:
    first, second = (
        metrics.systems[system].figure(metric) if system in metrics.systems else None for metrics in (a, b)
    )
    if not judged or first is None or second is None:
        return ComparedFigure(system, metric, first, second, None)
    return ComparedFigure(system, metric, first, second, second - first)


def _test_rows(folder: Path, metrics: Metrics) -> list[str]:
    # Every system has predicted the same rows, and a repeat may have no tagger.
    return [row.id for row in read_prediction_rows(folder, next(iter(metrics.systems)))]
