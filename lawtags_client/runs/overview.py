"""The runs in a folder: which there are, how far each is, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.json_value import JsonObject
from lawtags_client.locks import holder
from lawtags_client.runs.estimate_and_fact import EstimateAndFact, estimates_and_facts
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.ledger import Ledger, StageRecord
from lawtags_client.runs.metrics import Metrics, find_metrics
from lawtags_client.runs.naming import SWEEPS, TRIALS, trials_of
from lawtags_client.runs.repeats import FOLDER, RepeatedVerdict, find_repeats
from lawtags_client.runs.tagger import has_tagger

_LEDGER = "ledger.sqlite"


@dataclass(frozen=True, slots=True)
class RunOverview:
    """A run in a list.

    Attributes:
        run: its name.
        started: when its first stage began or was taken over, in ISO 8601 and UTC.
        recipe: the name of its recipe.
        done: how many stages are done.
        state: of the run, or of its latest unfinished stage.
        run_id: its identity.
        tagger_micro_f1: the tagger's figure, if there is a verdict.
        test_rows: of the verdict.
    """

    run: str
    started: str | None
    recipe: str | None
    done: int
    state: str
    run_id: str | None
    tagger_micro_f1: float | None
    test_rows: int | None


@dataclass(frozen=True, slots=True)
class StageOverview:
    """A stage of a run.

    Attributes:
        stage: its name.
        status: ``running``, ``done``, ``failed``, or ``interrupted`` if no process is at work on the run.
        seconds: how long its last attempt took; None if it has not ended.
        summary: figures for people.
        error: why it failed.
    """

    stage: str
    status: str
    seconds: float | None
    summary: JsonObject | None
    error: JsonObject | None

    @classmethod
    def of(cls, record: StageRecord, *, held: bool) -> StageOverview:
        """The overview of a stage that the ledger records.

        Args:
            record: of the stage.
            held: whether a process is at work on the run.
        """
        summary = record.output.get("summary")
        return cls(
            record.name,
            _status(record, held=held),
            record.seconds,
            summary if isinstance(summary, Mapping) else None,
            record.error,
        )

    @property
    def result(self) -> str:
        """The error, or the figures, in words."""
        if self.error:
            return str(self.error.get("message"))
        return ", ".join(f"{name} {value}" for name, value in (self.summary or {}).items())


@dataclass(frozen=True, slots=True)
class RunDetails:
    """A run with its stages.

    Attributes:
        run: its name.
        data: the questions that it was made from.
        stages: those that have begun.
        metrics: the verdict, if there is one.
        repeats: the verdict over repeated splits, if there is one.
        estimates: what the plan expected, and what came of it.
    """

    run: str
    data: tuple[str, ...]
    stages: tuple[StageOverview, ...]
    metrics: Metrics | None
    repeats: RepeatedVerdict | None
    estimates: tuple[EstimateAndFact, ...] = ()

    @classmethod
    def of(cls, folder: Path) -> RunDetails:
        """The details of the run in a folder.

        Raises:
            DataError: a file of the run is damaged.
        """
        ledger = Ledger(folder / _LEDGER)
        held = _is_held(folder)
        stages = tuple(StageOverview.of(record, held=held) for record in ledger.stages())
        data = RunFacts.read(ledger).data
        estimates = tuple(estimates_and_facts(folder))
        return cls(folder.name, data, stages, find_metrics(folder), find_repeats(folder), estimates)


def find_run(runs: Path, name: str, *, whole: bool = False) -> Path:
    """The folder of a run, by name or path, or by a beginning of its name or ID that no other run has.

    Args:
        runs: the folder of runs.
        name: what the user calls the run.
        whole: whether a beginning is not enough.

    Raises:
        ConfigurationError: there is none, or there are several; the message lists them.
    """
    for folder in (runs / name, Path(name)):
        if (folder / _LEDGER).is_file():
            return folder
    known = all_runs(runs)
    found = [folder for folder in known if name and folder.name.startswith(name)]
    found = found or [folder for folder in known if name and _run_id(folder).startswith(name)]
    if len(found) == 1 and not whole:
        return found[0]
    names = ", ".join(folder.name for folder in found or known) or "none yet"
    if len(found) > 1:
        raise ConfigurationError(f"{len(found)} runs in {runs} begin with {name!r}", hint=f"Runs: {names}")
    raise ConfigurationError(f"there is no run {name!r} in {runs}", hint=f"Runs: {names}")


def _run_id(folder: Path) -> str:
    try:
        return RunFacts.of_folder(folder).run_id or ""
    except DataError:
        return ""


def find_runs(runs: Path, name: str) -> list[Path]:
    """The folder of a run by its full name or path, or those of the trials of a sweep, as ``sweeps/NAME``.

    Args:
        runs: the folder of runs.
        name: what the user calls it.

    Raises:
        ConfigurationError: there is none.
    """
    for folder in (runs / name, Path(name)):
        if folder.parent.name == SWEEPS and (trials := trials_of(folder)):
            return trials
    return [find_run(runs, name, whole=True)]


def all_runs(runs: Path) -> list[Path]:
    """Folders of all runs, the newest first."""
    # Runs that are being made or removed have names that begin with a dot.
    ledgers = [path for path in runs.glob(f"*/{_LEDGER}") if not path.parent.name.startswith(".")]
    return [path.parent for path in sorted(ledgers, key=_changed_at, reverse=True)]


def ledgers_below(runs: Path) -> list[Path]:
    """Everything below a folder of runs that may have submitted a job: runs, repeats, trainings of sweeps."""
    places = ("*", f"*/{FOLDER}/*", f"{SWEEPS}/*/{TRIALS}/*")
    found = sorted(path for place in places for path in runs.glob(f"{place}/{_LEDGER}"))
    # What is being removed has handed over its intents.
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(runs).parts)]


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # removed since it was listed
        return 0.0


def latest_served(runs: Path, name: str | None) -> Path:
    """The folder of a run by name, or of the latest one that has a tagger.

    Raises:
        ConfigurationError: there is none.
    """
    if name is not None:
        return find_run(runs, name)
    for folder in all_runs(runs):
        if has_tagger(folder):
            return folder
    raise ConfigurationError(
        f"no run in {runs} has a tagger yet", hint="Create one with: lawtags demo. Or pass a --model."
    )


def stages_at_work(folder: Path) -> tuple[str, ...]:
    """The stage that a run has begun and not ended, and, if that makes repeats, the one of its repeat."""
    path = folder / _LEDGER
    latest = Ledger(path).stages()[-1:] if path.exists() else []
    names = tuple(record.name for record in latest if record.status == "running")
    if "repeats" not in names:
        return names
    below = [stage for each in (folder / FOLDER).glob(f"*/{_LEDGER}") for stage in Ledger(each).stages()]
    newest = max(below, key=lambda stage: stage.started_at, default=None)
    return names if newest is None or newest.status != "running" else (*names, newest.name)


def overview(folder: Path) -> RunOverview:
    """The overview of the run in a folder.

    Raises:
        DataError: a file of the run is damaged.
    """
    ledger = Ledger(folder / _LEDGER)
    records, metrics = ledger.stages(), find_metrics(folder)
    # A repeat of the local systems has none.
    tagger = metrics.systems.get("tagger") if metrics else None
    ended = "no verdict: rows failed" if metrics and metrics.incomplete else "done"
    facts = RunFacts.read(ledger)
    unfinished = next((record for record in reversed(records) if record.status != "done"), None)
    state = ended
    if unfinished is not None:
        state = f"{_status(unfinished, held=_is_held(folder))}: {unfinished.name}"
    return RunOverview(
        run=folder.name,
        started=ledger.begun(),
        recipe=facts.recipe_name,
        run_id=facts.run_id,
        done=sum(record.status == "done" for record in records),
        state=f"{state}, undone" if facts.undone else state,
        tagger_micro_f1=round(tagger.micro_f1, 3) if tagger else None,
        test_rows=metrics.test_rows if metrics else None,
    )


def _status(record: StageRecord, *, held: bool) -> str:
    """The state of a stage; one that a killed process has left does not run."""
    return "interrupted" if record.status == "running" and not held else record.status


def _is_held(folder: Path) -> bool:
    """Whether a process is at work on a run; a folder that this process must not write to does not tell."""
    try:
        return holder(folder) is not None
    except ConfigurationError:
        return True
