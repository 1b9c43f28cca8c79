"""Memory and time of a job, from everything that is known: shape, calibration, rates and earlier runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lawtags_client.platform import TrainingConfig, TrainingLayout
from lawtags_client.runs.outputs import JobPlan
from lawtags_client.runs.past_stages import expected_stages
from lawtags_client.runs.past_trainings import (
    PastTraining,
    corrected_memory,
    corrected_time,
    past_trainings,
)
from lawtags_client.runs.planning.findings import PlanFinding
from lawtags_client.runs.planning.memory import CPU_PROCESS, MemoryEstimate, RowLengths, estimate_memory
from lawtags_client.runs.planning.rates import GpuRate, rate_of
from lawtags_client.runs.planning.shapes import ModelShape, find_shape
from lawtags_client.runs.planning.speeds import find_speed
from lawtags_client.runs.planning.timing import (
    TimeEstimate,
    Workload,
    gpu_estimate,
    local_seconds,
    priced,
)
from lawtags_client.runs.recipe import Recipe

_CALIBRATE = "Add --calibrate to measure this machine in a few seconds."


@dataclass(frozen=True, slots=True)
class EstimateInputs:
    """What the estimates of a job follow from.

    Args:
        recipe: what to do.
        config: of the platform.
        work: of the job.
        rows: lengths of the training rows.
        folder: of the run or plan itself.
        runs: the folder of runs, for earlier ones.
    """

    recipe: Recipe
    config: TrainingConfig
    work: Workload
    rows: RowLengths
    folder: Path
    runs: Path

    @property
    def layout(self) -> TrainingLayout:
        """The hardware of the method."""
        return self.config.layouts.get(("sft", self.recipe.training.method), TrainingLayout())

    @property
    def shape(self) -> ModelShape | None:
        """Of the base model, where it is known."""
        return find_shape(self.config.base_model, self.recipe.model.tokenizer)


def with_estimates(plan: JobPlan, inputs: EstimateInputs) -> JobPlan:
    """A plan with memory, time, and what is to be said about them."""
    past = past_trainings(inputs.runs, plan.config, inputs.recipe.training.method)
    findings = list(plan.findings)
    memory = _memory(inputs, past)
    on_gpu = inputs.layout.gpus > 0
    rate = rate_of(inputs.recipe.hardware)
    if memory is None:
        told = f"The shape of {inputs.config.base_model} is not known, so its memory is not estimated."
        remedy = "Set model.tokenizer to the folder of the model, with its config.json."
        findings.append(PlanFinding(topic="training", level="note", message=told, remedy=remedy))
    elif on_gpu and memory.total > rate.memory_gb * 1e9:
        told = f"{memory.total / 1e9:.0f} GB are more than a {rate.name} has ({rate.memory_gb:g} GB)."
        remedy = "Lower max_seq_length or the micro batch of the config, or train an adapter."
        findings.append(PlanFinding(topic="training", level="warning", message=told, remedy=remedy))
    time = _gpu_time(inputs, rate) if on_gpu else _local_time(inputs)
    if time is not None:
        time = priced(corrected_time(time, past), rate)
    else:
        told = "The time is not estimated: there is nothing to go by."
        findings.append(
            PlanFinding(topic="training", level="note", message=told, remedy=None if on_gpu else _CALIBRATE)
        )
    return replace(
        plan,
        work=inputs.work,
        memory=memory,
        time=time,
        hourly=rate.hourly(inputs.layout.gpus * inputs.layout.nodes),
        stage_seconds=expected_stages(inputs.folder, inputs.runs, inputs.recipe.name, plan.rows),
        findings=tuple(findings),
    )


def _memory(inputs: EstimateInputs, past: Sequence[PastTraining]) -> MemoryEstimate | None:
    shape = inputs.shape
    if shape is None:
        return None
    speed = find_speed(inputs.config.base_model, inputs.recipe.training.method)
    found = estimate_memory(
        inputs.recipe.training,
        shape,
        inputs.layout,
        inputs.rows,
        process=speed.process if speed else CPU_PROCESS,
    )
    return corrected_memory(found, past)


def _gpu_time(inputs: EstimateInputs, rate: GpuRate) -> TimeEstimate | None:
    shape = inputs.shape
    if shape is None:
        return None
    return gpu_estimate(inputs.work, inputs.recipe.training, shape, inputs.layout, rate)


def _local_time(inputs: EstimateInputs) -> TimeEstimate | None:
    speed = find_speed(inputs.config.base_model, inputs.recipe.training.method)
    if speed is None:
        return None
    seconds = local_seconds(inputs.work, speed)
    basis = (
        f"a calibration of this machine: {speed.startup:.1f} s around the training, "
        f"{speed.per_token * 1000:.2f} ms per token, {speed.per_pass * 1000:.0f} ms per pass"
    )
    return TimeEstimate(seconds=seconds, uncorrected=seconds, startup=speed.startup, basis=basis)
