from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.platform import JobUpdate
from lawtags_client.runs.overfitting import OverfittingRule, find_overfitting
from lawtags_client.runs.step_timer import StepTimer
from lawtags_client.runs.training_monitor import TrainingMonitor, duration_words


class Now:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def simulated(
    steps: int, *, every: int, step_seconds: float, validation_seconds: float, seed: int
) -> list[tuple[int, float]]:
    """When each step was done, by the platform's clock; the last entry is the end of the last validation."""
    noise = random.Random(seed)
    times, now = [], 50.0
    for step in range(1, steps + 1):
        now += step_seconds * noise.uniform(0.85, 1.15)
        times.append((step, now))
        if step % every == 0 or step == steps:
            now += validation_seconds
    return [*times, (steps, now)]


@pytest.mark.parametrize("steps", [30, 200, 2500])
@pytest.mark.parametrize(("every", "validation"), [(10**6, 0.0), (200, 3.0), (14, 0.8)])
def test_the_remaining_time_is_within_15_percent_from_a_fifth_of_the_steps_on(
    steps: int, every: int, validation: float
) -> None:
    for seed in range(5):
        times = simulated(steps, every=every, step_seconds=0.5, validation_seconds=validation, seed=seed)
        timer, end, begin = StepTimer(steps, every, validation / 0.5), times[-1][1], times[0][1]
        for step, at in times[:-1]:
            # News of it arrive late, and the clocks differ by an hour.
            timer.record(step, now=at + 3600.2, at=at)
            if 0.2 * steps <= step < steps and step % max(steps // 50, 1) == 0:
                left = timer.seconds_left(at + 3600.2)
                assert left is not None
                assert abs(left - (end - at)) <= 0.15 * (end - begin), (step, left, end - at)


@pytest.mark.parametrize("twice", [False, True])
def test_a_validation_that_takes_as_long_as_many_steps_is_measured_alone(twice: bool) -> None:
    """As in the demo: 14 steps of 5 s, and validations of 30 s after the last two."""
    timer, now = StepTimer(14, 13, validation_cost=1.0), 0.0
    for step in range(1, 14):
        now += 5.0
        if step == 13:
            if twice:
                timer.record(step, now=now, at=now)
            now += 30.0
            timer.validated(step)
        timer.record(step, now=now, at=now)
    assert timer.seconds_left(now) == pytest.approx(35.0)


def test_a_command_that_attaches_knows_the_pace_at_once() -> None:
    timer = StepTimer(100)
    for step in range(1, 41):
        timer.record(step, now=5000.0, at=10.0 + 2.0 * step)
    assert timer.steps_per_second() == pytest.approx(0.5)
    assert timer.seconds_left(5000.0) == pytest.approx(120.0)
    # While nothing arrives, the clock goes on; it never goes below zero.
    assert timer.seconds_left(5030.0) == pytest.approx(90.0)
    assert timer.seconds_left(9000.0) == 0.0


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 86_400.0])
@pytest.mark.parametrize("batch", [1, 5])
def test_a_platform_whose_clock_is_set_during_the_training_changes_no_estimate(
    jump: float, batch: int
) -> None:
    timer = StepTimer(200)
    for step in range(1, 101):
        # Two seconds a step; the news of a batch of steps arrive together, with its last one.
        arrival = 2.0 * (math.ceil(step / batch) * batch) + 1.0
        timer.record(step, now=arrival, at=1e9 + 2.0 * step + (jump if step > 60 else 0.0))
        left = timer.seconds_left(arrival)
        if step > 10:
            assert left == pytest.approx(2.0 * (200 - step), abs=2.0 * batch + 1.0, rel=0.25), step
    assert timer.seconds_left(202.0) == pytest.approx(200.0, rel=0.1)


def test_nothing_is_claimed_before_two_reports() -> None:
    timer = StepTimer(10)
    assert timer.seconds_left(0.0) is None
    timer.record(3, now=1.0)
    assert timer.steps_per_second() is None and timer.seconds_left(1.0) is None


def test_a_training_that_restarts_is_measured_anew() -> None:
    timer = StepTimer(100)
    for step, at in ((50, 100.0), (60, 110.0), (20, 300.0), (30, 320.0)):
        timer.record(step, now=at)
    assert timer.steps_per_second() == pytest.approx(0.5)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1e6), st.none() | st.floats(0, 1e6)), max_size=20),
    st.none() | st.integers(0, 60),
    st.none() | st.integers(-1, 20),
)
def test_the_remaining_time_is_never_negative_or_not_a_number(
    reports: list[tuple[int, float, float | None]], total: int | None, every: int | None
) -> None:
    timer = StepTimer(total, every, 0.5)
    for step, now, at in reports:
        timer.record(step, now=now, at=at)
        left = timer.seconds_left(now)
        assert left is None or (left >= 0 and math.isfinite(left))


def curve(values: list[float]) -> list[tuple[int, float]]:
    return [(10 * (place + 1), value) for place, value in enumerate(values)]


RULE = OverfittingRule(patience=2, rise=0.05)


def test_overfitting_is_a_rising_validation_and_a_falling_training_loss() -> None:
    found = find_overfitting(
        {"train_loss": curve([3.0, 2.0, 1.0, 0.5]), "val_loss": curve([2.0, 1.5, 1.6, 1.7])}, RULE
    )
    assert found is not None
    assert (found.best_step, found.best_loss, found.step, found.loss) == (20, 1.5, 40, 1.7)
    assert (found.training_before, found.training_since) == (2.5, 0.75)
    assert "since step 20 the validation loss has risen from 1.5000 to 1.7000" in str(found)


@pytest.mark.parametrize(
    ("training", "validation"),
    [
        ([3, 2, 1, 0.5], [2.0, 1.5, 1.4, 1.3]),  # falls
        ([3, 2, 1, 0.5], [2.0, 1.5, 1.7, 1.5]),  # came back
        ([3, 2, 1, 0.5], [2.0, 1.5, 1.52, 1.6]),  # one of them rose by less than 5 %
        ([1, 1, 2, 3], [2.0, 1.5, 1.7, 1.8]),  # diverges as a whole
        ([3, 2, 1, 0.5], [2.0, 1.5]),  # too early
        ([3, 2, 1, 0.5], [math.nan, math.nan, 1.7, math.inf]),
        ([], [2.0, 1.5, 1.7, 1.8]),
        ([3, 2, 1], []),
    ],
)
def test_other_curves_are_no_overfitting(training: list[float], validation: list[float]) -> None:
    assert find_overfitting({"train_loss": curve(training), "val_loss": curve(validation)}, RULE) is None


FLOATS = st.lists(st.floats(width=32), max_size=12)


@given(FLOATS, FLOATS, st.integers(1, 5), st.floats(0, 1))
def test_any_curves_are_judged(
    training: list[float], validation: list[float], patience: int, rise: float
) -> None:
    found = find_overfitting(
        {"train_loss": curve(training), "val_loss": curve(validation)}, OverfittingRule(patience, rise)
    )
    if found is not None:
        assert found.loss > found.best_loss and found.step > found.best_step


def test_a_monitor_reports_overfitting_once_and_what_is_known() -> None:
    now = Now()
    monitor = TrainingMonitor("cust-1", timer=StepTimer(90, 10), tokens_per_step=400.0, rule=RULE, clock=now)
    found = []
    # It recovers for a while, which is no second finding.
    losses = [(3.0, 2.0), (2.0, 1.5), (1.0, 1.6), (0.5, 1.7), (0.4, 1.8), (0.4, 1.5), (0.3, 1.8), (0.2, 1.8)]
    for number, (train, val) in enumerate(losses):
        now.seconds += 20.0
        step = 10 * number + 9
        points = (("train_loss", step, train), ("val_loss", step, val))
        sign = JobUpdate(
            "running", step + 1, points=points, lines=(f"line {number}",), times=((step, now.seconds),)
        )
        found.append(monitor.update(sign))
    assert [each is not None for each in found] == [False] * 3 + [True] + [False] * 4
    state = monitor.state()
    assert (state.steps, state.total_steps, state.best) == (80, 90, (20, 1.5))
    assert state.lines == ("line 4", "line 5", "line 6", "line 7")
    assert state.tokens_per_second == pytest.approx(200.0)
    assert state.seconds_left == pytest.approx(20.0)
    assert state.words() == "train loss 0.2000, val loss 1.8000, 200 tokens/s, 0:20 left"
    assert state.as_json()["overfitting"] == str(state.overfitting)


def test_a_loss_that_is_no_number_is_told_as_diverged() -> None:
    monitor = TrainingMonitor("cust-1", rule=RULE)
    monitor.update(JobUpdate("running", 1, points=(("train_loss", 0, math.nan),)))
    assert monitor.state().words() == "train loss diverged"
    assert monitor.state().best is None


def test_durations_are_rounded_up() -> None:
    assert [duration_words(each) for each in (0, 0.2, 59.5, 61, 3600, 3725.1)] == [
        "0:00", "0:01", "1:00", "1:01", "1:00:00", "1:02:06"
    ]  # fmt: skip


def test_validations_count_before_the_first_one_has_been_measured() -> None:
    """24 steps of 2 s, three validations of 14 s; the platform tells what a validation is worth."""
    now = Now()
    monitor = TrainingMonitor("cust-1", clock=now)
    begin, end = now.seconds, now.seconds + 24 * 2.0 + 3 * 14.0
    for step in range(1, 8):
        now.seconds = begin + 2.0 * step
        monitor.update(
            JobUpdate(
                "running",
                steps=step,
                times=((step - 1, now.seconds),),
                total_steps=24,
                validate_every=8,
                validation_cost=6.5,
            )
        )
        if step >= 5:
            assert monitor.state().seconds_left == pytest.approx(end - now.seconds, rel=0.1)


def test_the_rows_that_a_plan_knows_count_more_than_a_share_that_the_platform_tells() -> None:
    timer = StepTimer(24, 8, validation_cost=7.0)
    TrainingMonitor("cust-1", timer=timer).update(JobUpdate("running", steps=1, validation_cost=2.0))
    assert timer.validation_cost == 7.0
