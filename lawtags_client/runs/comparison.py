"""Runs side by side: their figures, paired differences, and what keeps these from being compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.differing_keys import DifferingKey, differing_keys
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.metrics import Metrics, find_metrics
from lawtags_client.runs.naming import resume_command
from lawtags_client.runs.predictions import Prediction, predictions_path, read_prediction_rows
from lawtags_client.runs.verdict import COMPARED, lost_in_words
from lawtags_client.tagging.metrics import paired_bootstrap
from lawtags_client.tagging.paired import pair_questions
from lawtags_client.tagging.question import Question, read_questions

_FIGURES = (*COMPARED, "exact_match")
_TESTING = "curated/questions/testing.jsonl"
_SAMPLES = 2000


@dataclass(frozen=True, slots=True)
class ComparedFigure:
    """A figure of a system in all runs.

    Attributes:
        system: which one.
        metric: which figure.
        values: in each run; None if a run does not have the system.
        differences: of each run minus the first one; None if one of them has no verdict on the system.
    """

    system: str
    metric: str
    values: tuple[float | None, ...]
    differences: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRuns:
    """A system in a run against the same system in the first run, on the same test rows.

    Attributes:
        system: which one.
        run: the run that is compared.
        difference: of micro F1, this run minus the first one.
        low: end of its 95 % interval.
        high: end of its 95 % interval.
        reading: ``better``, ``worse`` or ``not shown``.
        won: ids of the questions that have better tags in this run.
        lost: ids of the questions that have better tags in the first run.
        unchanged: how many questions have equally good tags.
        p_value: of McNemar's exact test on the questions won and lost.
    """

    system: str
    run: str
    difference: float
    low: float
    high: float
    reading: str
    won: tuple[str, ...]
    lost: tuple[str, ...]
    unchanged: int
    p_value: float


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Runs side by side; the first one is what the others are compared with.

    Attributes:
        runs: names of the runs.
        same_test_rows: whether each run has the test rows of the first one.
        figures: of all systems.
        paired: of each system and run with the test rows of the first run.
        lost: which rows have no answer, in words.
        settings: what the runs were made with that differs.
    """

    runs: tuple[str, ...]
    same_test_rows: tuple[bool, ...]
    figures: tuple[ComparedFigure, ...]
    paired: tuple[PairedRuns, ...]
    lost: tuple[str, ...]
    settings: tuple[DifferingKey, ...] = ()


def compare_runs(folders: Sequence[Path]) -> RunComparison:
    """Compare the verdicts of runs with that of the first one.

    Args:
        folders: of the runs.

    Raises:
        ConfigurationError: a run has no verdict yet.
        DataError: a file of a run is damaged.
    """
    runs = [_JudgedRun.read(folder) for folder in folders]
    first, *others = runs
    systems = dict.fromkeys(name for run in runs for name in run.metrics.systems)
    return RunComparison(
        runs=tuple(run.name for run in runs),
        same_test_rows=tuple(run.test_rows == first.test_rows for run in runs),
        figures=tuple(_compared(system, metric, runs) for system in systems for metric in _FIGURES),
        paired=tuple(
            _paired(system, first, other)
            for other in others
            if other.test_rows == first.test_rows
            for system in systems
            if first.judges(system) and other.judges(system)
        ),
        lost=tuple(f"{run.name}: {line}" for run in runs for line in lost_in_words(run.metrics)),
        settings=tuple(differing_keys(folders)),
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


@dataclass(frozen=True, slots=True)
class TaggedRun:
    """A run with its test questions, and the tags of one of its systems.

    Attributes:
        name: of the run.
        questions: its test questions.
        tags: the tags that the system gave, in their order.
    """

    name: str
    questions: Sequence[Question]
    tags: Sequence[frozenset[str]]

    @classmethod
    def read(cls, folder: Path, system: str) -> TaggedRun:
        """Read them from the folder of a run; a run without the system has no tags.

        Raises:
            DataError: a file is damaged.
        """
        given = read_prediction_rows(folder, system) if predictions_path(folder, system).is_file() else []
        return cls(folder.name, read_questions(folder / _TESTING), [frozenset(row.tags) for row in given])


@dataclass(frozen=True, slots=True)
class _JudgedRun:
    name: str
    folder: Path
    metrics: Metrics
    test_rows: tuple[tuple[str, frozenset[str]], ...]
    seed: int

    @classmethod
    def read(cls, folder: Path) -> _JudgedRun:
        metrics = require_metrics(folder)
        rows = tuple((each.id, frozenset(each.tags)) for each in read_questions(folder / _TESTING))
        evaluation = (RunFacts.of_folder(folder).recipe or {}).get("evaluation")
        seed = evaluation.get("seed") if isinstance(evaluation, dict) else None
        return cls(folder.name, folder, metrics, rows, seed if isinstance(seed, int) else 0)

    def judges(self, system: str) -> bool:
        """Whether it has a verdict on a system."""
        unjudged = {entry.system for entry in self.metrics.incomplete}
        return system in self.metrics.systems and system not in unjudged

    def given(self, system: str) -> list[Prediction]:
        return read_prediction_rows(self.folder, system)


def _compared(system: str, metric: str, runs: Sequence[_JudgedRun]) -> ComparedFigure:
    values = tuple(
        run.metrics.systems[system].figure(metric) if system in run.metrics.systems else None for run in runs
    )
    first = values[0]
    differences = tuple(
        value - first
        if value is not None and first is not None and runs[0].judges(system) and run.judges(system)
        else None
        for value, run in zip(values, runs, strict=True)
    )
    return ComparedFigure(system, metric, values, differences)


def _paired(system: str, first: _JudgedRun, other: _JudgedRun) -> PairedRuns:
    ids = [identity for identity, _ in other.test_rows]
    truth = [tags for _, tags in other.test_rows]
    mine, theirs = ([frozenset(row.tags) for row in run.given(system)] for run in (other, first))
    found = paired_bootstrap(truth, mine, theirs, samples=_SAMPLES, seed=other.seed)["micro_f1"]
    questions = pair_questions(truth, mine, theirs)
    return PairedRuns(
        system=system,
        run=other.name,
        difference=found.value,
        low=found.low,
        high=found.high,
        reading="better" if found.low > 0 else "worse" if found.high < 0 else "not shown",
        won=tuple(ids[row] for row in questions.won),
        lost=tuple(ids[row] for row in questions.lost),
        unchanged=len(questions.unchanged),
        p_value=questions.p_value,
    )
