"""Following one training job of a run: its series, its TensorBoard events, and whether it overfits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.closing import closing
from lawtags_client.json_value import JsonValue
from lawtags_client.platform.validations import steps_between_validations, validation_cost
from lawtags_client.runs.outputs import JobPlan
from lawtags_client.runs.overfitting import Overfitting, OverfittingRule
from lawtags_client.runs.recipe_following import OverfittingSection
from lawtags_client.runs.series import Series
from lawtags_client.runs.stage import RunContext
from lawtags_client.runs.step_timer import StepTimer
from lawtags_client.runs.tensorboard_log import TensorBoardLog
from lawtags_client.runs.training_monitor import TrainingMonitor

TENSORBOARD = "tensorboard"


@dataclass(frozen=True, slots=True)
class FollowedJob:
    """What was seen of a job.

    Attributes:
        series: its metrics.
        events: the files of TensorBoard events.
        overfitting: why it should be stopped; None if it came to its end.
        steps_per_second: of the optimizer, validations included; None if too few steps were reported.
    """

    series: Series
    events: list[Path]
    overfitting: Overfitting | None = None
    steps_per_second: float | None = None


async def follow_job(
    context: RunContext, job: str, plan: JobPlan, hyperparameters: Mapping[str, JsonValue], *, steps: int
) -> FollowedJob:
    """Follow a job to its end, or until it should be stopped.

    Args:
        context: the run.
        job: its id.
        plan: of the run.
        hyperparameters: of the job.
        steps: that it takes.

    Raises:
        JobError: it failed, was cancelled, or makes no progress.
        WaitTimeoutError: it takes longer than the recipe waits.
    """
    series, wait, option = Series(), context.recipe.wait, context.recipe.overfitting
    monitor = monitor_of(job, plan, option, steps=steps)
    events = TensorBoardLog(context.folder / TENSORBOARD, dict(hyperparameters))
    status, shown = "", 0
    signs = context.platform.follow(job, timeout=wait.training, stall=wait.stall)
    async with closing(signs):
        async for sign in signs:
            series.add(sign.points)
            series.peak_memory = sign.peak_memory or series.peak_memory
            events.add(sign.points)
            await context.tracking.points(sign.points)
            found = monitor.update(sign)
            state = monitor.state()
            # Each step once: late points are reported with the next one.
            if state.steps != shown or sign.lines:
                shown = state.steps
                context.progress.training(state)
            # In the order of events: the messages precede the state that they led to.
            for message in (*sign.messages, *([sign.notice] if sign.notice else ())):
                context.progress.note(message)
            if sign.status != status:
                status = sign.status
                ended = series.headline() if status == "completed" else ""
                context.progress.note(f"{status}{ended}")
            if found is not None:
                stops = _worth_stopping(option, found, steps)
                context.progress.note(f"{found}. {_what_follows(option, found, steps)}")
                if stops:
                    return FollowedJob(series, events.close(), found)
    return FollowedJob(series, events.close(), steps_per_second=monitor.state().steps_per_second)


def monitor_of(job: str, plan: JobPlan, option: OverfittingSection, *, steps: int) -> TrainingMonitor:
    """A monitor that knows what the plan says about a job.

    Args:
        job: its id.
        plan: of the run.
        option: what the recipe says about overfitting.
        steps: of the job.
    """
    batch = plan.hyperparameters.get("batch_size")
    size = batch if isinstance(batch, int) and batch > 0 else 1
    per_epoch = math.ceil(plan.rows.get("training", size) / size)
    interval = plan.hyperparameters.get("val_check_interval")
    method = str(plan.hyperparameters.get("finetuning_type"))
    timer = StepTimer(
        total=steps,
        validate_every=steps_between_validations(
            interval if isinstance(interval, int | float) else None, per_epoch, steps
        ),
        validation_cost=validation_cost(method, plan.rows.get("validation", 0), size),
    )
    rule = None if option.action == "ignore" else OverfittingRule(option.patience, option.rise)
    tokens = plan.tokens.mean * size if plan.tokens.mean else None
    return TrainingMonitor(job, timer=timer, tokens_per_step=tokens, rule=rule)


def _worth_stopping(option: OverfittingSection, found: Overfitting, steps: int) -> bool:
    """Whether to train up to the best step once more takes fewer steps than to finish the job."""
    return option.action == "stop" and found.best_step < steps - found.step


def _what_follows(option: OverfittingSection, found: Overfitting, steps: int) -> str:
    if _worth_stopping(option, found, steps):
        return f"The job is stopped; one of {found.best_step} steps takes its place"
    if option.action == "stop":
        return (
            f"The job goes on: its last {steps - found.step} steps are fewer than the {found.best_step} that "
            "it would take to train up to the best one again"
        )
    return "To end such jobs, set overfitting.action: stop"
