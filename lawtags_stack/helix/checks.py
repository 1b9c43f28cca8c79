"""What the real services check in bodies beyond their schemas."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator, model_validator

_BOTH_MODULES = (
    "lora.target_modules and lora.exclude_modules are mutually exclusive; name the modules to adapt, or the "
    "ones to skip, but not both."
)
_NO_LORA = (
    "deployment_config.lora_enabled must be true (or omitted) when training a LoRA adapter. Setting "
    "lora_enabled=false would deploy the base model without LoRA support, making the trained adapter "
    "unservable."
)
_QUANTIZED = (
    "training.finetuning_type='all_weights' is incompatible with 4-bit/8-bit loading; set "
    "model.load_in_4bit=false and model.load_in_8bit=false"
)


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _default(model: Any, field: str) -> Any:
    return type(model).model_fields[field].get_default(call_default_factory=True)


def _modules(self: Any) -> Any:
    _check(not (self.target_modules and self.exclude_modules), _BOTH_MODULES)
    return self


def _automodel_training(self: Any) -> Any:
    if self.training_type == "distillation":
        _check(bool(self.teacher_model), "teacher_model is required when training_type is distillation")
    if self.finetuning_type == "all_weights":
        self.lora = None
    elif self.lora is None:
        self.lora = _default(self, "lora")
    return self


def _removed(value: Any) -> Any:
    removed = isinstance(value, dict) and "output_model" in value
    _check(not removed, "spec.output_model was removed. Use spec.output instead.")
    return value


def _automodel_job(self: Any) -> Any:
    deployed = getattr(self.deployment_config, "lora_enabled", True)
    adapter = self.training.finetuning_type == "lora" and not self.training.lora.merge
    _check(deployed or not adapter, _NO_LORA)
    return self


def _unsloth_job(self: Any) -> Any:
    four, eight = self.model.load_in_4bit, self.model.load_in_8bit
    _check(not (four and eight), "model.load_in_4bit and model.load_in_8bit are mutually exclusive")
    full = self.training.finetuning_type == "all_weights"
    _check(not (full and (four or eight)), _QUANTIZED)
    merged = self.output is not None and self.output.save_method != "lora"
    _check(not (full and merged), "output.save_method must be 'lora' when training all weights")
    if full:
        self.training.lora = None
    elif self.training.lora is None:
        self.training.lora = _default(self.training, "lora")
    return self


def _unsloth_schedule(self: Any) -> Any:
    both = self.warmup_ratio is not None and "warmup_steps" in self.model_fields_set and self.warmup_steps
    _check(not both, "schedule.warmup_steps and schedule.warmup_ratio are mutually exclusive")
    return self


def _secret(self: Any) -> Any:
    _check(self.value != "", "Secret value cannot be empty")
    return self


def _host_url(value: str) -> str:
    has_scheme = value.startswith(("http://", "https://"))
    _check(has_scheme, f"Model provider host_url must include a scheme (http:// or https://); got {value!r}")
    return value


def _after(check: Any) -> Any:
    return model_validator(mode="after")(check)


CHECKS: dict[str, dict[str, Any]] = {
    "AutomodelLoRAParams": {"modules": _after(_modules)},
    "AutomodelTrainingSpec": {"training": _after(_automodel_training)},
    "AutomodelJobInput": {
        "removed": model_validator(mode="before")(_removed),
        "job": _after(_automodel_job),
    },
    "UnslothScheduleSpec": {"schedule": _after(_unsloth_schedule)},
    "UnslothJobInput": {"job": _after(_unsloth_job)},
    "CreateModelProviderRequest": {"check_host_url": field_validator("host_url", mode="after")(_host_url)},
    "UpsertModelProviderRequest": {"check_host_url": field_validator("host_url", mode="after")(_host_url)},
    "HelixSecretCreateRequest": {"secret": _after(_secret)},
}
