"""The hyperparameters of a job: a recipe's training section as the wire of v1 names it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lawtags_client.json_value import JsonRow, JsonValue
from lawtags_client.platform.validations import steps_between_validations
from lawtags_client.runs.recipe import TrainingSection, merged, nested

V1_NAMES: Mapping[str, str] = {
    "method": "finetuning_type",
    "epochs": "epochs",
    "batch_size": "batch_size",
    "learning_rate": "learning_rate",
    "min_learning_rate": "min_learning_rate",
    "warmup_steps": "warmup_steps",
    "max_steps": "max_steps",
    "weight_decay": "weight_decay",
    "adam_beta1": "adam_beta1",
    "adam_beta2": "adam_beta2",
    "optimizer": "optimizer",
    "val_check_interval": "val_check_interval",
    "log_every_n_steps": "log_every_n_steps",
    "seed": "seed",
    "adapter_dim": "lora.adapter_dim",
    "alpha": "lora.alpha",
    "adapter_dropout": "lora.adapter_dropout",
    "target_modules": "lora.target_modules",
}
"""The field of ``hyperparameters`` for each key of the training section that has one."""

_ADAPTER = "lora."


def plan_steps(training: TrainingSection, rows: int, tokens: int) -> int:
    """Optimizer steps of a job.

    Args:
        training: the recipe's hyperparameters.
        rows: training rows.
        tokens: their tokens, prompts and answers together.
    """
    steps = training.epochs * math.ceil(rows / training.batch_size)
    if training.max_steps is not None:
        steps = min(steps, training.max_steps)
    if training.token_budget is not None:
        per_step = tokens / rows * training.batch_size
        steps = min(steps, max(1, math.floor(training.token_budget / per_step)))
    return steps


def validation_interval(training: TrainingSection, steps: int, rows: int) -> float | int | None:
    """The ``val_check_interval`` of the job.

    A job that ends before its first validation gets one at its end. Left to the platform, it would be
    validated a step earlier (v1 API, ``max_steps``), and the embedded stack would do so twice.

    Args:
        training: the recipe's hyperparameters.
        steps: planned optimizer steps.
        rows: training rows.
    """
    per_epoch = math.ceil(rows / training.batch_size)
    first = steps_between_validations(training.val_check_interval, per_epoch)
    return steps if steps < first else training.val_check_interval


def job_hyperparameters(training: TrainingSection, steps: int, rows: int) -> dict[str, JsonValue]:
    """The ``hyperparameters`` of the job; what the recipe leaves open is left to the service.

    Args:
        training: the recipe's hyperparameters.
        steps: planned optimizer steps; the warm-up is a tenth of them where the recipe leaves it open, since
            the service's default of 200 is longer than many LoRA jobs, and never all of them.
        rows: training rows.
    """
    warmup = training.warmup_steps if training.warmup_steps is not None else max(1, steps // 10)
    given = training.model_dump(mode="json") | {
        "warmup_steps": min(warmup, steps - 1),
        "max_steps": steps,
        "val_check_interval": validation_interval(training, steps, rows),
    }
    found: JsonRow = {"training_type": "sft"}
    for key, name in V1_NAMES.items():
        if given[key] is not None and not (name.startswith(_ADAPTER) and training.method == "all_weights"):
            found = merged(found, nested({name: given[key]}))
    return found


def job_layout(training: TrainingSection) -> dict[str, JsonValue]:
    """What a recipe wants of the layout of a job: a field of it on Helix, and of the config on v1."""
    given = training.model_dump(include={"micro_batch_size", "precision", "max_seq_length"})
    return {name: value for name, value in given.items() if value is not None}
