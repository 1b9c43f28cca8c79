"""A recipe's training in the terms of Helix, and what a training on Helix reports."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping

from lawtags_client.errors import ConfigurationError
from lawtags_client.helix.names import make_name
from lawtags_client.helix.types.automodel import AutomodelSpec
from lawtags_client.helix.types.jobs import TRAINING_STEPS, JobStatus, JobTask
from lawtags_client.helix.types.rl import RlSpec
from lawtags_client.json_value import JsonValue
from lawtags_client.platform.protocol import FineTuneIntent

Point = tuple[str, int, float]

_OPTIMIZERS: Mapping[str, tuple[str, str]] = {
    "adam_with_cosine_annealing": ("Adam", "cosine"),
    "adam_with_flat_lr": ("Adam", "constant"),
    "adamw_with_cosine_annealing": ("AdamW", "cosine"),
    "adamw_with_flat_lr": ("AdamW", "constant"),
}
_SCHEDULE = {name: name for name in ("epochs", "max_steps", "val_check_interval", "seed")}
_OPTIMIZER = {
    name: name
    for name in (
        "learning_rate",
        "min_learning_rate",
        "warmup_steps",
        "weight_decay",
        "adam_beta1",
        "adam_beta2",
    )
}
_LORA = {
    "adapter_dim": "rank",
    "alpha": "alpha",
    "adapter_dropout": "dropout",
    "target_modules": "target_modules",
}
LAYOUT: Mapping[str, str] = {
    "micro_batch_size": "batch.micro_batch_size",
    "precision": "training.precision",
    "max_seq_length": "training.max_seq_length",
}
"""What the config decides on v1, and the job on Helix."""
METHODS = (("sft", "lora"), ("sft", "lora_merged"), ("sft", "all_weights"), ("dpo", "all_weights"))
"""Types of training and of fine-tuning that Helix has, and that a run can ask for."""
TRAINED_TOKENS = 2048
"""Longer rows are truncated to so many tokens: ``max_seq_length`` of Helix where a job does not set it."""

_PRECISIONS: Mapping[str, str] = {"bf16-mixed": "bf16", "fp8-mixed": "fp8"}
# Helix reports at most every ten seconds, whatever is asked for.
_WITHOUT_EQUIVALENT = frozenset({"log_every_n_steps"})
_SHARED = frozenset({"training_type", "finetuning_type", "batch_size", "optimizer", "lora", "dpo"})


def helix_names() -> dict[str, str]:
    """The field of a Helix job for each v1 hyperparameter that has one, with dots."""
    return {
        "finetuning_type": "training.finetuning_type",
        "batch_size": "batch.global_batch_size",
        "optimizer": "optimizer.optimizer, optimizer.lr_decay_style",
        **{name: f"schedule.{field}" for name, field in _SCHEDULE.items()},
        **{name: f"optimizer.{field}" for name, field in _OPTIMIZER.items()},
        **{f"lora.{name}": f"training.lora.{field}" for name, field in _LORA.items()},
        **LAYOUT,
    }


def output_name(intent: FineTuneIntent) -> str:
    """The name of the job and of what it makes, one for each intent."""
    name = intent.output_model.rpartition("/")[2].partition("@")[0]
    return make_name(name, token=hashlib.sha256(intent.key.encode()).hexdigest()[:8])


def training_spec(intent: FineTuneIntent, *, base: str, dataset: str) -> AutomodelSpec | RlSpec:
    """The job that an intent asks for.

    Args:
        intent: the wish, with the hyperparameters of the recipe.
        base: the model, ``workspace/name``.
        dataset: the fileset with training and validation rows, ``workspace/name``.

    Raises:
        ConfigurationError: Helix has no equivalent of something that is asked for.
    """
    given = {name: value for name, value in intent.hyperparameters.items() if value is not None}
    known = {*_SCHEDULE, *_OPTIMIZER, *_SHARED, *_WITHOUT_EQUIVALENT}
    unknown = sorted(set(given) - known)
    if unknown:
        raise ConfigurationError(
            f"Helix has no equivalent of the hyperparameter {unknown[0]}",
            hint="Remove it from the recipe, or use another platform.",
        )
    reports = _integrations(intent.wandb)
    if given.get("training_type") == "dpo":
        return _preference_spec(given, intent, base, dataset, reports)
    if given.get("training_type", "sft") != "sft":
        raise ConfigurationError(
            f"training_type {given['training_type']!r} is not supported on Helix", hint="Use sft or dpo."
        )
    training: dict[str, JsonValue] = {
        "training_type": "sft",
        "finetuning_type": given.get("finetuning_type", "lora"),
    }
    lora = given.get("lora")
    if isinstance(lora, Mapping):
        training["lora"] = _renamed(lora, _LORA)
    optimizer = _renamed(given, _OPTIMIZER)
    if (named := given.get("optimizer")) is not None:
        if named not in _OPTIMIZERS:
            raise ConfigurationError(
                f"Helix has no equivalent of the optimizer {named!r}",
                hint=f"Set training.optimizer to one of: {', '.join(_OPTIMIZERS)}.",
            )
        optimizer["optimizer"], optimizer["lr_decay_style"] = _OPTIMIZERS[str(named)]
    spec: dict[str, JsonValue] = {
        "model": base,
        "dataset": {"training": dataset, "validation": dataset},
        "training": training,
        "schedule": _renamed(given, _SCHEDULE),
        "optimizer": optimizer,
        "output": {"name": output_name(intent), "description": intent.description or "Trained by lawtags"},
        **reports,
    }
    if "batch_size" in given:
        spec["batch"] = {"global_batch_size": given["batch_size"], "micro_batch_size": 1}
    for name, value in intent.layout.items():
        section, _, field = LAYOUT[name].partition(".")
        part = spec.get(section)
        wanted = _PRECISIONS.get(str(value), value) if name == "precision" else value
        spec[section] = {**(part if isinstance(part, Mapping) else {}), field: wanted}
    return AutomodelSpec.model_validate(spec)


def _preference_spec(
    given: Mapping[str, JsonValue],
    intent: FineTuneIntent,
    base: str,
    dataset: str,
    reports: Mapping[str, JsonValue],
) -> RlSpec:
    if given.get("finetuning_type", "all_weights") != "all_weights":
        raise ConfigurationError(
            "DPO on Helix trains all weights, and no adapters", hint="Set training.method to all_weights."
        )
    extra = given.get("dpo")
    training: dict[str, JsonValue] = {
        "type": "dpo",
        **_renamed(given, _SCHEDULE),
        **_renamed(given, _OPTIMIZER),
        **(dict(extra) if isinstance(extra, Mapping) else {}),
    }
    if "batch_size" in given:
        training["batch_size"] = given["batch_size"]
    return RlSpec.model_validate(
        {
            "model": base,
            "dataset": dataset,
            "training": training,
            "output": {"name": output_name(intent)},
            **reports,
        }
    )


def _integrations(wandb: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Where a job reports to; Helix takes the key of Weights & Biases from a secret, and from no header."""
    if wandb and not wandb.get("api_key_secret"):
        raise ConfigurationError(
            "NeMo Helix takes the key of Weights & Biases from a secret, and the recipe names none",
            hint="Put the key into a secret of the workspace once (see docs/tracking.md), and set "
            "wandb.api_key_secret to its name.",
        )
    return {"integrations": {"wandb": dict(wandb)}} if wandb else {}


def _renamed(given: Mapping[str, JsonValue], names: Mapping[str, str]) -> dict[str, JsonValue]:
    return {names[name]: value for name, value in given.items() if name in names and value is not None}


class TrainingProgress:
    """What the training step has reported; each point once."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, int], float] = {}
        self.steps: int | None = None
        self.total_steps: int | None = None
        self.percentage: float | None = None

    def update(self, status: JobStatus) -> list[Point]:
        """Take in the state of a job, and return the points that are new.

        Losses are read from the training step's own task: the details of the job mix those of all steps.
        """
        points: list[Point] = []
        for task in _training_tasks(status):
            details = task.status_details
            self.steps = _integer(details.get("step"), self.steps)
            self.total_steps = _integer(details.get("max_steps"), self.total_steps)
            self.percentage = _float(details.get("percentage_done"), self.percentage)
            for point in _series(details.get("metrics")):
                name, step, value = point
                before = self._told.get((name, step))
                if before is None or (before != value and not (math.isnan(before) and math.isnan(value))):
                    self._told[name, step] = value
                    points.append(point)
        return points


def _training_tasks(status: JobStatus) -> Iterator[JobTask]:
    for step in status.steps:
        if step.name in TRAINING_STEPS:
            yield from step.tasks


def _series(metrics: JsonValue) -> Iterator[Point]:
    for name, points in metrics.items() if isinstance(metrics, Mapping) else ():
        for point in points if isinstance(points, list) else ():
            if not isinstance(point, Mapping):
                continue
            step, value = _integer(point.get("step")), _float(point.get("value"))
            if step is not None and (value is not None or point.get("value") is None):
                # What is not a number comes as null or as text.
                yield name, step, math.nan if value is None else value


def _integer(value: JsonValue, otherwise: int | None = None) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return otherwise
    return int(value)


def _float(value: JsonValue, otherwise: float | None = None) -> float | None:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return otherwise
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise
