"""How long the rest of a training takes, from the steps that it has done."""

from __future__ import annotations

import bisect
import itertools
import math
from dataclasses import dataclass, field

# A pace of fewer steps says too little.
_FEWEST_STEPS = 10
# Seconds by which two clocks may differ in what has passed, without one of them having been set meanwhile.
_DRIFT = 60.0
# So many usual reports may the last one have been on its way.
_MOST_LATE = 3


@dataclass(slots=True)
class StepTimer:
    """Measures the pace of a training by steps and validations.

    A platform's own times are better than those at which they arrive: a command that attaches to a running
    job knows its pace at once.

    Args:
        total: steps of the training, if known.
        validate_every: steps between two validations, if known.
        validation_cost: what a validation takes, in training steps; 0 if unknown. It only matters before the
            first validation, whose time is then measured.
    """

    total: int | None = None
    validate_every: int | None = None
    validation_cost: float = 0.0
    _reports: list[tuple[int, float]] = field(default_factory=list)
    _last: tuple[int, float] | None = None
    _offset: float | None = None
    _set_by: float = 0.0
    _heard: float | None = None
    _validations: set[int] = field(default_factory=set)

    @property
    def _first(self) -> tuple[int, float] | None:
        """Where the measurement begins: with the later half of the steps, if these are enough.

        A machine that others use, too, changes its pace.
        """
        if self._last is None or not self._reports:
            return None
        place = bisect.bisect_right(self._reports, (self._last[0] // 2, math.inf)) - 1
        begin = self._reports[max(place, 0)]
        return begin if self._last[0] - begin[0] >= _FEWEST_STEPS else self._reports[0]

    @property
    def steps(self) -> int:
        """Steps done, as far as their time is known."""
        return self._last[0] if self._last else 0

    def validated(self, step: int) -> None:
        """Note a validation after so many steps."""
        self._validations.add(step)
        if self.validate_every is None:
            self.validate_every = min(self._validations)

    def record(self, step: int, *, now: float, at: float | None = None) -> None:
        """Note that so many steps are done.

        Args:
            step: steps done.
            now: when this arrived, in seconds of the own clock.
            at: when it happened, in seconds of the platform's clock, if known.
        """
        if at is not None:
            at = self._unset(at, now)
            # The smallest difference is that of the clocks; the rest of it is time until the news arrived.
            self._offset = now - at if self._offset is None else min(self._offset, now - at)
        else:
            at = now - (self._offset or 0.0)
        if not self._reports or step < self._reports[0][0]:
            # A training that restarts from a checkpoint begins a new measurement.
            self._reports, self._last = [(step, at)], (step, at)
        elif self._last is None or step > self._last[0]:
            self._last = (step, at)
            self._reports.append(self._last)
        elif step == self._last[0] and at > self._last[1] and self._offset is not None:
            # The validation after this step is over.
            self._last = (step, at)
            self._reports.append(self._last)

    def _unset(self, at: float, now: float) -> float:
        """A moment of the platform's clock as it would be if nobody had set that clock."""
        at += self._set_by
        if self._last is not None and self._heard is not None and self._offset is not None:
            passed = now - self._heard
            usual = (self._last[1] - self._reports[0][1]) / len(self._reports)
            late = max(self._heard - self._offset - self._last[1], 0.0) + _MOST_LATE * usual
            ahead = at - self._last[1]
            if ahead < -_DRIFT or (passed > 0 and ahead > passed + late + _DRIFT):
                self._set_by += self._last[1] + passed - at
                at = self._last[1] + passed
        self._heard = now
        return at

    def steps_per_second(self) -> float | None:
        """The pace, validations included; None if fewer than two reports came."""
        if self._first is None or self._last is None:
            return None
        steps, seconds = self._last[0] - self._first[0], self._last[1] - self._first[1]
        return steps / seconds if steps > 0 and seconds > 0 else None

    def seconds_left(self, now: float) -> float | None:
        """Seconds until the last step, by the own clock; None if that is not known yet."""
        pace = self.steps_per_second()
        if pace is None or self.total is None or self._first is None or self._last is None:
            return None
        first, last = self._first[0], self._last[0]
        left = max(self.total - last, 0)
        validations = self._validations_within(last, self.total)
        measured = self._costs()
        if measured is None:
            cost = self.validation_cost
            work = (last - first) + cost * self._validations_within(first, last)
            seconds = (self._last[1] - self._first[1]) * (left + cost * validations) / work
        else:
            seconds = left * measured[0] + validations * measured[1]
        since = now - (self._offset or 0.0) - self._last[1]
        return max(seconds - max(since, 0.0), 0.0)

    def _costs(self) -> tuple[float, float] | None:
        """Seconds of a step and of a validation, each measured alone; None before both are known."""
        plain, mixed = [0, 0.0], [0, 0.0, 0]
        begin = self._first[0] if self._first else 0
        done = sorted(self._validations)
        # Of two reports of a step, the later one is after its validation.
        for (before, start), (after, end) in itertools.pairwise(dict(self._reports).items()):
            validations = bisect.bisect_right(done, after) - bisect.bisect_right(done, before)
            if validations:
                mixed = [mixed[0] + after - before, mixed[1] + end - start, mixed[2] + validations]
            elif before >= begin:
                # A machine that others use, too, changes its pace: the later half counts.
                plain = [plain[0] + after - before, plain[1] + end - start]
        if not plain[0] or not mixed[2]:
            return None
        step = plain[1] / plain[0]
        return step, max(0.0, (mixed[1] - mixed[0] * step) / mixed[2])

    def _validations_within(self, after: int, until: int) -> int:
        """How many validations follow steps ``after + 1`` to ``until``."""
        every = self.validate_every
        if every is None or every < 1 or until <= after:
            return 0
        # The last step is always validated.
        extra = 1 if until == self.total and until % every else 0
        return math.floor(until / every) - math.floor(after / every) + extra
