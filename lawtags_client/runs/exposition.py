"""The runs of a folder as metrics for Prometheus, in its text format."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.locks import holder
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.metrics import find_metrics
from lawtags_client.runs.outputs import CurateOutput, PlanOutput
from lawtags_client.runs.overview import all_runs

_STATES = ("running", "done", "failed")
# A process that is stopped in the middle of a write keeps its run locked. Prometheus waits 10 s for all.
_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Gauge:
    """A metric with its values.

    Attributes:
        name: without the prefix.
        help: what it means, with its unit.
        values: labels and value.
    """

    name: str
    help: str
    values: list[tuple[Mapping[str, str], float]] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """The lines of the text format; none without values."""
        if not self.values:
            return
        name = f"lawtags_{self.name}"
        yield f"# HELP {name} {self.help}"
        yield f"# TYPE {name} gauge"
        for labels, value in self.values:
            shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            yield f"{name}{{{shown}}} {_number(value)}" if shown else f"{name} {_number(value)}"


class RunMetrics:
    """What is known of all runs of a folder.

    Args:
        runs: the folder.
    """

    def __init__(self, runs: Path) -> None:
        self.held = Gauge("run_held", "Whether a process is at work on the run.")
        self.stages = Gauge("stage_state", "1 for the state that a stage of a run is in.")
        self.seconds = Gauge("stage_seconds", "Seconds that the last attempt of a finished stage took.")
        self.rows = Gauge("rows", "Curated rows by part.")
        self.tokens = Gauge("training_tokens", "Tokens of the training rows, each row once.")
        self.steps = Gauge("training_steps_planned", "Steps of the optimizer that the job was planned with.")
        self.failed = Gauge("rows_failed", "Test rows without an answer, by system.")
        self.refused = Gauge("rows_refused", "Test rows that the server rejected, by system.")
        self.micro_f1 = Gauge("micro_f1", "Micro F1 on the test rows, by system.")
        self.unreadable = Gauge("runs_unreadable", "Runs whose files are damaged or locked.")
        damaged = 0
        for folder in all_runs(runs):
            try:
                self._add(folder)
            except DataError:
                damaged += 1
        self.unreadable.values.append(({}, damaged))

    def gauges(self) -> Iterator[Gauge]:
        """All metrics."""
        yield from (self.held, self.stages, self.seconds, self.rows, self.tokens, self.steps)
        yield from (self.failed, self.refused, self.micro_f1, self.unreadable)

    def _add(self, folder: Path) -> None:
        run = {"run": folder.name}
        # A folder that this process must not write to does not tell.
        with contextlib.suppress(ConfigurationError):
            self.held.values.append((run, holder(folder) is not None))
        ledger = Ledger(folder / "ledger.sqlite", patience=_PATIENCE)
        for stage in ledger.stages():
            for state in _STATES:
                labels = run | {"stage": stage.name, "state": state}
                self.stages.values.append((labels, stage.status == state))
            if stage.seconds is not None:
                self.seconds.values.append((run | {"stage": stage.name}, stage.seconds))
        curated, planned = ledger.finished("curate"), ledger.finished("plan")
        if curated is not None:
            for part, rows in CurateOutput.from_json(curated.output).rows.items():
                self.rows.values.append((run | {"part": part}, rows))
        if planned is not None:
            plan = PlanOutput.from_json(planned.output).plan
            self.tokens.values.append((run, plan.tokens.training_total))
            self.steps.values.append((run, plan.steps))
        metrics = find_metrics(folder)
        for name, system in metrics.systems.items() if metrics else ():
            labels = run | {"system": name}
            self.failed.values.append((labels, system.failed or 0))
            self.refused.values.append((labels, system.refused or 0))
            if (figure := system.figure("micro_f1")) is not None:
                self.micro_f1.values.append((labels, figure))


def job_gauges(states: Mapping[str, int] | None) -> Iterator[Gauge]:
    """The training jobs of the platform by state.

    Args:
        states: how many jobs are in each; None if the platform did not answer.
    """
    yield Gauge("platform_up", "Whether the platform answered.", [({}, states is not None)])
    counts = [({"state": state}, float(count)) for state, count in sorted((states or {}).items())]
    yield Gauge("platform_jobs", "Training jobs on the platform by state.", [*counts])


def exposition(gauges: Iterable[Gauge]) -> str:
    """Metrics in the text format of Prometheus."""
    return "".join(f"{line}\n" for gauge in gauges for line in gauge.lines())


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    """All digits, for millions of tokens are counted exactly."""
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
