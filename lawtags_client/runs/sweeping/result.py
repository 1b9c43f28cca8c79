"""What came of a sweep: its trials, and how the combinations rank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lawtags_client.json_value import JsonObject
from lawtags_client.runs.sweeping.reach import Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepTrial:
    """A training of a sweep.

    Args:
        values: of the recipe, by dotted key.
        group: the combination, seeds aside.
        run: the name of its folder.
        rung: of successive halving, from 1.
        steps: of the optimizer; 0 where no job trains.
        val_loss: the lowest; None if it has not ended, failed, or diverged.
        val_f1: micro F1 of the tags that it gives the validation rows; None if it was not asked for them.
        job: its id.
        model: that it made.
        problem: why there is no figure.
    """

    values: JsonObject
    group: str
    run: str
    rung: int
    steps: int
    val_loss: float | None = None
    val_f1: float | None = None
    job: str | None = None
    model: str | None = None
    problem: str | None = None

    def cost(self, measure: Measure) -> float:
        """What ranks it: lower is better, and infinite without a figure.

        Args:
            measure: by which the sweep ranks.
        """
        if measure == "val_loss":
            return math.inf if self.val_loss is None else self.val_loss
        return math.inf if self.val_f1 is None else -self.val_f1


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """What came of a sweep; content of ``sweep.json``.

    Args:
        schema_version: of the file.
        measure: by which it ranks.
        trials: the best first: those of the last rung, then by the measure.
        steps: of all jobs together.
        left_out: trials that the budget did not allow.
    """

    schema_version: int = 1
    measure: Measure = "val_loss"
    trials: tuple[SweepTrial, ...]
    steps: int
    left_out: int = 0

    @classmethod
    def of(cls, trials: Sequence[SweepTrial], *, measure: Measure, steps: int, left_out: int) -> SweepResult:
        """The result of trials in any order."""
        ranked = sorted(trials, key=lambda each: (-each.rung, each.cost(measure), each.run))
        return cls(measure=measure, trials=tuple(ranked), steps=steps, left_out=left_out)

    def ranked(self) -> list[tuple[str, int, float | None, int]]:
        """Combination, rung, mean of the measure and number of seeds, the best first."""
        found: dict[tuple[str, int], list[float]] = {}
        for trial in self.trials:
            found.setdefault((trial.group, trial.rung), []).append(trial.cost(self.measure))
        last = {group: max(rung for other, rung in found if other == group) for group, _ in found}
        rows = [
            (group, rung, sum(costs) / len(costs), len(costs))
            for (group, rung), costs in found.items()
            if rung == last[group]
        ]
        rows.sort(key=lambda row: (-row[1], row[2], row[0]))
        return [(group, rung, self._figure(mean), count) for group, rung, mean, count in rows]

    @property
    def best(self) -> tuple[SweepTrial, ...]:
        """A trial of the best combination, and of those with the same figure; none if no trial has one."""
        ranked = self.ranked()
        if not ranked or ranked[0][2] is None:
            return ()
        groups = [group for group, *figure in ranked if figure[:2] == [ranked[0][1], ranked[0][2]]]
        return tuple(next(trial for trial in self.trials if trial.group == group) for group in groups)

    def _figure(self, cost: float) -> float | None:
        if not math.isfinite(cost):
            return None
        # Not -cost, which has a sign even where it is nothing.
        return cost if self.measure == "val_loss" else 0.0 - cost
