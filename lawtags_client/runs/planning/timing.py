"""How long a training takes, and what it costs.

The work of a job is counted in tokens and forward passes. Its speed is that of a calibration on this machine,
or, on a GPU, the share of the peak that trainings usually reach: 4 operations per weight and token with
frozen weights (forward, and the gradients of activations), 6 if every weight is trained.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lawtags_client.platform import TrainingLayout
from lawtags_client.platform.validations import steps_between_validations
from lawtags_client.runs.hyperparameters import validation_interval
from lawtags_client.runs.planning.memory import CPU_TOKENS
from lawtags_client.runs.planning.rates import GpuRate
from lawtags_client.runs.planning.shapes import ModelShape
from lawtags_client.runs.recipe import TrainingSection
from lawtags_client.training_speed import TrainingSpeed


@dataclass(frozen=True, slots=True)
class Workload:
    """The work of a job.

    Args:
        steps: of the optimizer.
        tokens: of all rows, each as often as it is seen.
        passes: forward passes with a gradient: parts of batches that fit into memory.
        validations: how often the validation rows are scored.
        validation_tokens: of one validation.
        validation_passes: of one validation.
    """

    steps: int
    tokens: int
    passes: int
    validations: int
    validation_tokens: int
    validation_passes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeEstimate:
    """How long a training takes.

    Args:
        seconds: of the job.
        basis: what the estimate rests on, in words.
        gpus: how many are busy.
        gpu: their kind; None for a CPU.
        gpu_hours: GPUs times hours; None for a CPU.
        price: by the user's rates; None without them.
        currency: of the price.
        uncorrected: seconds, before earlier runs were taken into account.
        startup: of these, the seconds around the steps, which earlier runs do not correct: the first training
            of a stack, or on a new node, starts slower than others.
        corrected_by: how many earlier runs were.
    """

    seconds: float
    uncorrected: float
    basis: str
    gpus: int = 0
    gpu: str | None = None
    gpu_hours: float | None = None
    price: float | None = None
    currency: str | None = None
    startup: float = 0.0
    corrected_by: int = 0

    def corrected(self, ratio: float, runs: int) -> TimeEstimate:
        """The estimate for steps that take so many times as long as it says.

        Args:
            ratio: of earlier runs.
            runs: how many there were.
        """
        steps = self.uncorrected - self.startup
        return replace(self, seconds=self.startup + ratio * steps, corrected_by=runs)


def workload(
    training: TrainingSection, steps: int, lengths: Sequence[int], validation: Sequence[int], most: int | None
) -> Workload:
    """The work of a job.

    Args:
        training: hyperparameters.
        steps: of the optimizer.
        lengths: tokens of the training rows.
        validation: tokens of the validation rows.
        most: longer rows are truncated to so many tokens.
    """
    trained = sorted(min(length, most or length) for length in lengths)
    scored = sorted(min(length, most or length) for length in validation)
    seen = min(steps * training.batch_size, training.epochs * len(trained))
    per_epoch = math.ceil(len(trained) / training.batch_size)
    # Batches hold rows of similar length, so neighbors in the sorted order stand for them.
    per_batch = [
        _passes(trained[start : start + training.batch_size], CPU_TOKENS)
        for start in range(0, len(trained), training.batch_size)
    ]
    return Workload(
        steps,
        round(sum(trained) * seen / len(trained)),
        math.ceil(sum(per_batch) * steps / per_epoch),
        _validations(training, steps, len(trained)),
        sum(scored),
        _passes(scored, 2 * CPU_TOKENS),
    )


def local_seconds(work: Workload, speed: TrainingSpeed) -> float:
    """How long the embedded stack takes for a job, in seconds."""
    training = work.steps * speed.per_step + work.passes * speed.per_pass + work.tokens * speed.per_token
    scoring = work.validation_passes * speed.scoring_pass + work.validation_tokens * speed.scoring_token
    return speed.startup + training + work.validations * scoring


def gpu_estimate(
    work: Workload, training: TrainingSection, shape: ModelShape, layout: TrainingLayout, rate: GpuRate
) -> TimeEstimate:
    """How long GPUs take for a job, by arithmetic.

    Args:
        work: of the job.
        training: hyperparameters.
        shape: of the base model.
        layout: the hardware.
        rate: the kind of GPU.
    """
    gpus = max(1, layout.gpus * layout.nodes)
    per_token = 6 if training.method == "all_weights" else 4
    operations = shape.parameters * (per_token * work.tokens + 2 * work.validations * work.validation_tokens)
    seconds = operations / (gpus * rate.tflops * 1e12 * rate.efficiency)
    basis = (
        f"{operations:.2e} operations ({per_token} per weight and token, 2 in validations) on {gpus} x "
        f"{rate.name} at {rate.efficiency:.0%} of {rate.tflops:g} TFLOPS, without queue and startup"
    )
    return TimeEstimate(seconds=seconds, uncorrected=seconds, basis=basis, gpus=gpus, gpu=rate.name)


def priced(estimate: TimeEstimate, rate: GpuRate) -> TimeEstimate:
    """The estimate with GPU-hours and price."""
    hourly = rate.hourly(estimate.gpus)
    return replace(
        estimate,
        gpu_hours=estimate.gpus * estimate.seconds / 3600 if estimate.gpus else None,
        price=hourly.of_seconds(estimate.seconds) if hourly else None,
        currency=hourly.currency if hourly else None,
    )


def _passes(lengths: Sequence[int], limit: int) -> int:
    """How many parts of at most so many padded tokens a batch is split into, the longest rows first."""
    count = room = 0
    for length in reversed(lengths):
        if room == 0:
            count += 1
            room = max(limit // max(length, 1), 1)
        room -= 1
    return count


def _validations(training: TrainingSection, steps: int, rows: int) -> int:
    """How often a job validates: every so many steps, at the end of each epoch, and at the end."""
    per_epoch = math.ceil(rows / training.batch_size)
    every = steps_between_validations(validation_interval(training, steps, rows), per_epoch, steps)
    whole, rest = divmod(steps, per_epoch)
    each = math.ceil(per_epoch / every)
    return whole * each + (math.ceil(rest / every) if rest else 0)
