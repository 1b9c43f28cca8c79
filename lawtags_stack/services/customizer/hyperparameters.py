"""Hyperparameters of a job: checked, echoed as the wire shows them, and turned into the trainer's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lawtags_client.errors import UnprocessableError

Fields = Mapping[str, Any]

# What the API takes where a field is not sent; see `echo` for what a response shows.
DEFAULTS: dict[str, Any] = {
    "training_type": "sft",
    "epochs": 1,
    "batch_size": 8,
    "learning_rate": 1e-4,
    "warmup_steps": 200,
    "max_steps": -1,
    "seed": 42,
    "optimizer": "adamw_with_cosine_annealing",
    "adam_beta1": 0.9,
    "adam_beta2": 0.99,
    "weight_decay": 0.01,
    "log_every_n_steps": 10,
}
LORA_DEFAULTS: dict[str, Any] = {
    "adapter_dim": 32,
    "alpha": 16,
    "adapter_dropout": None,
    "target_modules": None,
}
DPO_DEFAULTS: dict[str, Any] = {
    "ref_policy_kl_penalty": 0.1,
    "preference_loss_weight": 1.0,
    "preference_average_log_probs": False,
    "sft_loss_weight": 0.0,
    "sft_average_log_probs": False,
    "max_grad_norm": 1.0,
}
# Where preference training starts from other values.
_DEFAULTS_OF = {"dpo": {"batch_size": 16, "learning_rate": 9e-6}}
_NULLS = ("weight_decay", "val_check_interval", "log_every_n_steps", "sft", "distillation")
_OPTIMIZERS = {
    f"{name}_with_{schedule}" for name in ("adam", "adamw") for schedule in ("cosine_annealing", "flat_lr")
}

_Check = tuple[Callable[[Any], bool], str]
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


def check(sent: Fields) -> None:
    """Refuse values that no training could use.

    Raises:
        UnprocessableError: with every fault in ``detail``.
    """
    faults: list[dict[str, Any]] = []
    parts = (
        ((), sent, _CHECKS),
        (("lora",), sent.get("lora"), _LORA_CHECKS),
        (("sft",), sent.get("sft"), _SFT_CHECKS),
        (("dpo",), sent.get("dpo"), _DPO_CHECKS),
    )
    for place, values, checks in parts:
        for name, (fits, message) in checks.items():
            value = (values or {}).get(name)
            if value is not None and not fits(value):
                faults.append(_fault((*place, name), message))
    rate, lowest = _defaults(sent)["learning_rate"], sent.get("min_learning_rate")
    if not faults and lowest and lowest >= rate:
        faults.append(_fault(("min_learning_rate",), "Input should be lower than learning_rate"))
    dpo = DPO_DEFAULTS | _said(sent.get("dpo"))
    if not faults and not dpo["preference_loss_weight"] and not dpo["sft_loss_weight"]:
        message = "Input should be greater than 0 for one of both: preference_loss_weight, sft_loss_weight"
        faults.append(_fault(("dpo",), message))
    if faults:
        first = faults[0]
        raise UnprocessableError(f"{'.'.join(first['loc'])}: {first['msg']}", detail=faults)


def echo(sent: Fields) -> dict[str, Any]:
    """The hyperparameters as a job's responses show them."""
    defaults = _defaults(sent)
    shown = {
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
        shown["lora"] = LORA_DEFAULTS | _said(sent.get("lora"))
    if shown["training_type"] == "dpo":
        shown["dpo"] = DPO_DEFAULTS | _said(sent.get("dpo"))
    return shown


def trainer_settings(shown: Fields) -> dict[str, Any]:
    """The fields of a trainer's job that come from the hyperparameters of a stored job."""
    merged = DEFAULTS | _said(shown)
    names = (*(name for name in DEFAULTS if name != "training_type"), "min_learning_rate")
    settings = {name: merged[name] for name in names if name in merged}
    settings["method"] = shown["finetuning_type"]
    interval = shown.get("val_check_interval")
    if interval is not None:
        # JSON knows one kind of number: 1.0 is a whole epoch and 50.0 are fifty batches.
        fraction = isinstance(interval, float) and interval <= 1
        settings["val_check_interval"] = interval if fraction else int(interval)
    dropouts = shown.get("sft") or {}
    settings |= {name: dropouts.get(name) for name in ("attention_dropout", "hidden_dropout")}
    return settings


def _defaults(sent: Fields) -> dict[str, Any]:
    """What a training of this type starts from, and above it what was sent."""
    return DEFAULTS | _DEFAULTS_OF.get(str(sent.get("training_type")), {}) | _said(sent)


def _said(values: Fields | None) -> dict[str, Any]:
    return {name: value for name, value in (values or {}).items() if value is not None}


def _fault(place: tuple[str, ...], message: str) -> dict[str, Any]:
    return {"loc": ["body", "hyperparameters", *place], "msg": message, "type": "value_error"}


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
