"""Hyperparameters of a job: validates them, echoes them in responses, and converts them for the trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeGuard

from lawtags_client.errors import UnprocessableError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.engines.training.job import Method, Optimizer
from lawtags_stack.http.bodies import FieldError
from lawtags_stack.store.codec import Codec


@dataclass(frozen=True, slots=True)
class LoraChoice:
    """The LoRA settings of a job."""

    adapter_dim: int = 32
    alpha: int = 16
    adapter_dropout: float | None = None
    target_modules: list[str] | None = None


@dataclass(frozen=True, slots=True)
class PreferenceChoice:
    """The preference training settings of a job."""

    ref_policy_kl_penalty: float
    preference_loss_weight: float
    preference_average_log_probs: bool
    sft_loss_weight: float
    sft_average_log_probs: bool
    max_grad_norm: float


@dataclass(frozen=True, slots=True)
class Dropouts:
    """Overrides of the base model's dropout rates."""

    attention_dropout: float | None = None
    hidden_dropout: float | None = None


@dataclass(frozen=True, slots=True)
class PlannedTraining:
    """The hyperparameters of a stored job, with the API's defaults."""

    finetuning_type: Method
    epochs: int
    batch_size: int
    learning_rate: float
    training_type: Literal["sft", "dpo"] = "sft"
    warmup_steps: int = 200
    max_steps: int = -1
    seed: int = 42
    optimizer: Optimizer = "adamw_with_cosine_annealing"
    adam_beta1: float = 0.9
    adam_beta2: float = 0.99
    weight_decay: float = 0.01
    log_every_n_steps: int = 10
    min_learning_rate: float | None = None
    val_check_interval: int | float | None = None
    lora: LoraChoice | None = None
    dpo: PreferenceChoice | None = None
    sft: Dropouts | None = None


# Shown in a response for fields that were not sent.
_DEFAULTS: JsonObject = {"training_type": "sft", "epochs": 1, "batch_size": 8, "learning_rate": 1e-4}
LORA_DEFAULTS: JsonObject = {
    "adapter_dim": 32,
    "alpha": 16,
    "adapter_dropout": None,
    "target_modules": None,
}
DPO_DEFAULTS: JsonObject = {
    "ref_policy_kl_penalty": 0.1,
    "preference_loss_weight": 1.0,
    "preference_average_log_probs": False,
    "sft_loss_weight": 0.0,
    "sft_average_log_probs": False,
    "max_grad_norm": 1.0,
}
# Defaults that differ in preference training.
_DEFAULTS_OF: Mapping[str, JsonObject] = {"dpo": {"batch_size": 16, "learning_rate": 9e-6}}
_NULLS = ("weight_decay", "val_check_interval", "log_every_n_steps", "sft", "distillation")
_OPTIMIZERS = {
    f"{name}_with_{schedule}" for name in ("adam", "adamw") for schedule in ("cosine_annealing", "flat_lr")
}

_PLAN = Codec(PlannedTraining)
_Check = tuple[Callable[[JsonValue], bool], str]
_whole: _Check = (lambda value: _is_int(value) and value >= 1, "Input should be an integer of at least 1")
_not_negative: _Check = (
    lambda value: _is_int(value) and value >= 0,
    "Input should be an integer of at least 0",
)
_share: _Check = (lambda value: _is_number(value) and 0 <= value < 1, "Input should be in [0, 1)")
_not_below_zero: _Check = (
    lambda value: _is_number(value) and value >= 0,
    "Input should be greater than or equal to 0",
)
_above_zero: _Check = (lambda value: _is_number(value) and value > 0, "Input should be greater than 0")
_CHECKS: dict[str, _Check] = {
    "finetuning_type": (
        lambda value: value in ("lora", "lora_merged", "all_weights"),
        "Input should be 'lora', 'lora_merged' or 'all_weights'",
    ),
    "training_type": (
        lambda value: value in ("sft", "dpo", "distillation", "grpo"),
        "Input should be 'sft', 'dpo', 'distillation' or 'grpo'",
    ),
    "epochs": _whole,
    "batch_size": _whole,
    "log_every_n_steps": _whole,
    "learning_rate": _above_zero,
    "min_learning_rate": _not_below_zero,
    "warmup_steps": _not_negative,
    "seed": _not_negative,
    "max_steps": (
        lambda value: _is_int(value) and (value == -1 or value > 0),
        "Input should be -1 or greater than 0",
    ),
    "optimizer": (lambda value: value in _OPTIMIZERS, f"Input should be one of {sorted(_OPTIMIZERS)}"),
    "adam_beta1": _share,
    "adam_beta2": _share,
    "weight_decay": _not_below_zero,
    "val_check_interval": (
        lambda value: _is_number(value) and (0 < value <= 1 or value == int(value) >= 1),
        "Input should be a number of batches, or a fraction of an epoch in (0, 1]",
    ),
}
_LORA_CHECKS: dict[str, _Check] = {
    "adapter_dim": (
        lambda value: _is_int(value) and value >= 1 and value & (value - 1) == 0,
        "Input should be a power of two",
    ),
    "alpha": _whole,
    "adapter_dropout": _share,
}
_flag: _Check = (lambda value: isinstance(value, bool), "Input should be true or false")
_DPO_CHECKS: dict[str, _Check] = {
    "ref_policy_kl_penalty": _not_below_zero,
    "preference_loss_weight": _not_below_zero,
    "preference_average_log_probs": _flag,
    "sft_loss_weight": _not_below_zero,
    "sft_average_log_probs": _flag,
    "max_grad_norm": _above_zero,
}
_SFT_CHECKS: dict[str, _Check] = {
    "attention_dropout": _share,
    "hidden_dropout": _share,
    "ffn_dropout": _share,
}


def check(sent: JsonObject) -> None:
    """Validate hyperparameters.

    Raises:
        UnprocessableError: some are invalid; ``detail`` lists every error.
    """
    faults: list[FieldError] = []
    parts: tuple[tuple[tuple[str, ...], JsonObject, dict[str, _Check]], ...] = (
        ((), sent, _CHECKS),
        (("lora",), _part(sent, "lora"), _LORA_CHECKS),
        (("sft",), _part(sent, "sft"), _SFT_CHECKS),
        (("dpo",), _part(sent, "dpo"), _DPO_CHECKS),
    )
    for place, values, checks in parts:
        for name, (fits, message) in checks.items():
            value = values.get(name)
            if value is not None and not fits(value):
                faults.append(_field_error((*place, name), message))
    rate, lowest = _with_defaults(sent)["learning_rate"], sent.get("min_learning_rate")
    if not faults and lowest and _is_number(lowest) and _is_number(rate) and lowest >= rate:
        faults.append(_field_error(("min_learning_rate",), "Input should be lower than learning_rate"))
    dpo = {**DPO_DEFAULTS, **_part(sent, "dpo")}
    if not faults and not dpo["preference_loss_weight"] and not dpo["sft_loss_weight"]:
        message = "Input should be greater than 0 for one of both: preference_loss_weight, sft_loss_weight"
        faults.append(_field_error(("dpo",), message))
    if faults:
        first = faults[0]
        place_of_first = ".".join(map(str, first["loc"]))
        raise UnprocessableError(f"{place_of_first}: {first['msg']}", detail=faults)


def echo(sent: JsonObject) -> JsonObject:
    """The hyperparameters as a job's responses show them."""
    defaults = _with_defaults(sent)
    shown: dict[str, JsonValue] = {
        "training_type": "sft",
        "finetuning_type": sent["finetuning_type"],
        **{name: defaults[name] for name in ("epochs", "batch_size", "learning_rate")},
        **dict.fromkeys(_NULLS),
        "sequence_packing_enabled": False,
        **_said(sent),
    }
    if sent["finetuning_type"] == "all_weights":
        shown["lora"] = None
    else:
        shown["lora"] = {**LORA_DEFAULTS, **_part(sent, "lora")}
    if shown["training_type"] == "dpo":
        shown["dpo"] = {**DPO_DEFAULTS, **_part(sent, "dpo")}
    return shown


def planned(shown: JsonObject) -> PlannedTraining:
    """The typed hyperparameters of a stored job."""
    return _PLAN.read(_said(shown))


def validation_interval(plan: PlannedTraining) -> int | float | None:
    """The validation interval: batches as an int, or a fraction of an epoch as a float."""
    interval = plan.val_check_interval
    # JSON has one number type: 1.0 means one epoch, and 50.0 means fifty batches.
    if interval is None or (isinstance(interval, float) and interval <= 1):
        return interval
    return int(interval)


def _with_defaults(sent: JsonObject) -> JsonObject:
    """Merge the sent values into the defaults of the training type."""
    return {**_DEFAULTS, **_DEFAULTS_OF.get(str(sent.get("training_type")), {}), **_said(sent)}


def _said(values: JsonObject) -> JsonObject:
    return {name: value for name, value in values.items() if value is not None}


def _part(sent: JsonObject, name: str) -> JsonObject:
    part = sent.get(name)
    return _said(part) if isinstance(part, dict) else {}


def _field_error(place: tuple[str, ...], message: str) -> FieldError:
    return {"loc": ["body", "hyperparameters", *place], "msg": message, "type": "value_error"}


def _is_int(value: JsonValue) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: JsonValue) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
