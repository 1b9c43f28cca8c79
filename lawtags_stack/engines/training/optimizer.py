"""Optimizer and learning rate schedule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch

    from lawtags_stack.engines.training.job import TrainingJob


def make_optimizer(parameters: Iterable[torch.nn.Parameter], job: TrainingJob) -> torch.optim.Optimizer:
    """Create Adam or AdamW; flat schedules use the default betas."""
    import torch

    kind = torch.optim.AdamW if job.optimizer.startswith("adamw") else torch.optim.Adam
    betas = (0.9, 0.999) if _is_flat(job) else (job.adam_beta1, job.adam_beta2)
    return kind(
        parameters,
        lr=job.learning_rate,
        betas=betas,
        eps=job.adam_eps,
        weight_decay=job.weight_decay,
        fused=True,
    )


def learning_rate(job: TrainingJob, step: int, total: int) -> float:
    """The learning rate of a step, counted from zero: linear warm-up, then decay to the minimum.

    It depends on the step alone, so a resumed run needs no scheduler state.
    """
    if _is_flat(job):
        return job.learning_rate
    if step < job.warmup_steps:
        return job.learning_rate * (step + 1) / (job.warmup_steps + 1)
    if job.decay == "constant":
        return job.learning_rate
    lowest = job.min_learning_rate or 0.1 * job.learning_rate
    done = min((step - job.warmup_steps) / max(total - job.warmup_steps, 1), 1.0)
    left = 1.0 - done if job.decay == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
    return lowest + (job.learning_rate - lowest) * left


def _is_flat(job: TrainingJob) -> bool:
    return job.optimizer.endswith("flat_lr")
