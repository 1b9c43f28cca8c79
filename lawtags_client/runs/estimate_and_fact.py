"""What a run's plan expected, and what came of it, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.documents import read_document
from lawtags_client.runs.language_model import training_cost
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.metrics import TrainingCost
from lawtags_client.runs.outputs import JobPlan
from lawtags_client.runs.quantities import money
from lawtags_client.runs.series import TrainingRecord

TRAINING = "training job"
_STAGE = "customize"
_MONEY = "price"
_OF_STAGE = "stage "


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateAndFact:
    """A quantity of a run.

    Attributes:
        quantity: what it is: ``training job``, ``stage NAME``, ``steps``, ``tokens``, ``peak memory`` or
            ``price``.
        unit: ``s``, ``steps``, ``tokens``, ``bytes``, or a currency.
        estimate: before the run; None if there was none.
        fact: what came of it; None if it is not known, yet.
        deviation_percent: of the fact from the estimate; None unless both are known.
    """

    quantity: str
    unit: str
    estimate: float | None
    fact: float | None
    deviation_percent: float | None

    @classmethod
    def of(cls, quantity: str, unit: str, estimate: float | None, fact: float | None) -> EstimateAndFact:
        """Both sides, with the deviation."""
        deviation = 100 * (fact / estimate - 1) if estimate and fact is not None else None
        return cls(
            quantity=quantity,
            unit=unit,
            estimate=estimate,
            fact=fact,
            deviation_percent=None if deviation is None else round(deviation, 1),
        )

    @property
    def words(self) -> tuple[str, str, str]:
        """Estimate, fact and deviation for people; empty if unknown."""
        deviation = self.deviation_percent
        return (
            self._in_words(self.estimate),
            self._in_words(self.fact),
            "" if deviation is None else f"{deviation:+.0f} %" if round(deviation) else "0 %",
        )

    @property
    def known_from_stages(self) -> bool:
        """Whether it is only the time of a stage, which a table of the stages has."""
        return self.estimate is None and self.quantity.startswith(_OF_STAGE)

    def _in_words(self, value: float | None) -> str:
        if value is None:
            return ""
        if self.unit == "bytes":
            return f"{value / 1e9:.2f} GB"
        if self.unit == "s":
            return f"{value:,.0f} s" if value >= 10 else f"{value:.1f} s"
        return f"{value:,.0f}" if self.unit in ("steps", "tokens") else money(value, self.unit)


def estimates_and_facts(folder: Path) -> list[EstimateAndFact]:
    """Estimate and fact of a run: of its training job, then of each of its stages.

    Args:
        folder: of the run.

    Returns:
        Nothing if the run has no plan yet.

    Raises:
        DataError: a file is damaged.
    """
    try:
        plan = read_document(JobPlan, folder, "plan.json")
    except ConfigurationError:
        return []
    ledger = Ledger(folder / "ledger.sqlite")
    trained = read_document(TrainingRecord, folder, "customization.json") if ledger.finished(_STAGE) else None
    cost = training_cost(ledger, plan) if trained is not None else TrainingCost()
    return [*_training(plan, trained, cost), *_stages(plan, ledger)]


def _training(plan: JobPlan, trained: TrainingRecord | None, cost: TrainingCost) -> Iterator[EstimateAndFact]:
    seconds = plan.time.seconds if plan.time else plan.stage_seconds.get(_STAGE)
    yield EstimateAndFact.of(TRAINING, "s", seconds, cost.seconds)
    if plan.hourly is not None:
        price = None if seconds is None else plan.hourly.of_seconds(seconds)
        yield EstimateAndFact.of(_MONEY, plan.hourly.currency, price, cost.price)
    steps = None if trained is None else _steps(trained)
    yield EstimateAndFact.of("steps", "steps", plan.steps, steps)
    if plan.work is not None:
        # No platform reports tokens; those of the steps that were done are counted.
        tokens = None if steps is None else round(plan.work.tokens * steps / plan.steps)
        yield EstimateAndFact.of("tokens", "tokens", plan.work.tokens, tokens)
    memory = plan.memory.total if plan.memory else None
    yield EstimateAndFact.of("peak memory", "bytes", memory, trained.peak_memory if trained else None)


def _stages(plan: JobPlan, ledger: Ledger) -> Iterator[EstimateAndFact]:
    taken = {record.name: record.seconds for record in ledger.stages() if record.status == "done"}
    for stage in dict.fromkeys((*taken, *plan.stage_seconds)):
        if stage != _STAGE:
            yield EstimateAndFact.of(
                f"{_OF_STAGE}{stage}", "s", plan.stage_seconds.get(stage), taken.get(stage)
            )


def _steps(trained: TrainingRecord) -> int | None:
    """Steps of the job, and of the one before it that was stopped."""
    done = [point.step + 1 for points in trained.metrics.values() for point in points]
    if not done:
        return None
    return max(done) + (trained.stopped.stopped_at if trained.stopped else 0)
