"""The remaining time of trainings of SmolLM2-135M on the embedded stack, from the times of their events."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from lawtags_client.platform.validations import validation_cost
from lawtags_client.runs.step_timer import StepTimer


@dataclass(frozen=True)
class Recorded:
    """Seconds after which each step was reported; those after a validation include it."""

    times: list[float]
    validated: list[int]
    validation_rows: int


BATCH = 4
TITLES = Recorded(
    [7.7, 12.3, 17.0, 22.0, 28.1, 34.2, 39.9, 45.5, 51.0, 56.7, 62.3, 67.7, 73.2, 112.8], [14], 67
)
BODIES = Recorded(
    [9.6, 20.7, 30.5, 40.2, 49.0, 57.4, 68.8, 79.8, 90.2, 99.7, 109.2, 118.3, 127.8, 225.2, 325.9],
    [14, 15],
    94,
)


@pytest.mark.parametrize("recorded", [TITLES, BODIES], ids=["titles", "bodies"])
def test_the_remaining_time_holds_from_a_fifth_of_the_steps_on(recorded: Recorded) -> None:
    total, end = len(recorded.times), recorded.times[-1]
    # As a run expects it of an adapter, before the first validation is measured.
    timer = StepTimer(total, recorded.validated[0], validation_cost("lora", recorded.validation_rows, BATCH))
    for step, at in enumerate(recorded.times[:-1], start=1):
        if step in recorded.validated:
            timer.validated(step)
        timer.record(step, now=at, at=at)
        if step >= 0.2 * total:
            left = timer.seconds_left(at)
            assert left is not None
            assert abs(left - (end - at)) <= 0.15 * (end - at), (step, left, end - at)
