"""Converts the training step of a Helix job to a trainer's job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lawtags_client.errors import ConfigurationError
from lawtags_client.json_value import JsonObject
from lawtags_stack.engines.training.job import (
    Decay,
    Kept,
    LoraSettings,
    Method,
    Optimizer,
    PreferenceSettings,
    TrainingJob,
)
from lawtags_stack.runner.rows import JobRows

AUTOMODEL_STEP = "training"
DPO_STEP = "dpo-training"


class _Part(BaseModel):
    # A later release may send more; what would change the training is refused below.
    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class _Model(_Part):
    name: str | None = None
    max_seq_length: Annotated[int, Field(gt=0)] = 2048
    precision: str | None = None
    chat_template: str | None = None
    is_embedding_model: bool = False


class _Dataset(_Part):
    prompt_template: str | None = None
    shuffle: bool = True


class _Lora(_Part):
    rank: Annotated[int, Field(gt=0)] = 16
    alpha: Annotated[int, Field(gt=0)] = 32
    dropout: Annotated[float, Field(ge=0, le=1)] = 0.0
    target_modules: list[str] | None = None
    exclude_modules: list[str] | None = None


class _Dpo(_Part):
    ref_policy_kl_penalty: float = 0.05
    preference_average_log_probs: bool = False
    sft_average_log_probs: bool = False
    preference_loss_weight: float = 1.0
    sft_loss_weight: float = 0.0
    max_grad_norm: float = 1.0


class _Training(_Part):
    training_type: str = "sft"
    recipe: str = "sft"
    finetuning_type: Method = "lora"
    lora: _Lora | None = None
    dpo: _Dpo | None = None
    mtp: JsonObject | None = None


class _Reporting(_Part):
    min_report_interval_seconds: Annotated[float, Field(ge=0)] = 10.0
    time_series_metrics: list[str] | None = None


class _Schedule(_Part):
    epochs: Annotated[int, Field(gt=0)] = 1
    max_steps: Annotated[int, Field(gt=0)] | None = None
    val_check_interval: Annotated[float, Field(ge=0)] | None = None
    validation_split: Annotated[float, Field(gt=0, lt=1)] | None = 0.1
    checkpoint_selection: Kept = "best"
    progress_reporting: _Reporting = Field(default_factory=_Reporting)


class _Batch(_Part):
    global_batch_size: Annotated[int, Field(gt=0)] = 8


class _Optimizer(_Part):
    optimizer_name: str | None = None
    lr_decay_style: Decay | None = None
    learning_rate: Annotated[float, Field(gt=0)] = 5e-6
    min_learning_rate: Annotated[float, Field(ge=0)] | None = None
    eps: Annotated[float, Field(gt=0)] = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    warmup_steps: Annotated[int, Field(ge=0)] = 0


class TrainingStepConfig(_Part):
    """The config of a step that trains, as far as it matters here."""

    model: _Model = Field(default_factory=_Model)
    dataset: _Dataset = Field(default_factory=_Dataset)
    training: _Training = Field(default_factory=_Training)
    schedule: _Schedule = Field(default_factory=_Schedule)
    batch: _Batch = Field(default_factory=_Batch)
    optimizer: _Optimizer = Field(default_factory=_Optimizer)
    integrations: JsonObject | None = None
    seed: int | None = None

    @property
    def is_dpo(self) -> bool:
        """Whether it trains on preferences."""
        return self.training.training_type == "dpo"


@dataclass(frozen=True, slots=True)
class _Refusal:
    field: str
    applies: Callable[[TrainingStepConfig], bool]
    reason: str


_REFUSALS = (
    _Refusal(
        "training.training_type",
        lambda config: config.training.training_type not in ("sft", "dpo"),
        "this runner trains supervised (sft) and on preferences (dpo)",
    ),
    _Refusal(
        "training.recipe",
        lambda config: not config.is_dpo and config.training.recipe not in ("sft", "auto"),
        "this runner trains language models, not encoders",
    ),
    _Refusal("model.is_embedding_model", lambda config: config.model.is_embedding_model, "it must be false"),
    _Refusal("training.mtp", lambda config: config.training.mtp is not None, "leave it out"),
    _Refusal("model.precision", lambda config: config.model.precision == "fp8", "use bf16 or fp32"),
    _Refusal(
        "dataset.shuffle",
        lambda config: not config.dataset.shuffle,
        "this runner shuffles the rows of each epoch; leave it out",
    ),
    _Refusal(
        "schedule.checkpoint_selection",
        lambda config: (
            config.schedule.checkpoint_selection == "both"
            and config.training.finetuning_type == "lora_merged"
        ),
        "merged weights are kept once: use best or last",
    ),
)


def read_config(config: Mapping[str, Any]) -> TrainingStepConfig:
    """Read and check the config of a step that trains.

    Args:
        config: as the platform gives it.

    Raises:
        ConfigurationError: a value is invalid, or the runner cannot do what a field asks for.
    """
    try:
        found = TrainingStepConfig.model_validate(config)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"the training step's field {place} is invalid: {first['msg']}") from error
    for refusal in _REFUSALS:
        if refusal.applies(found):
            raise ConfigurationError(
                f"the runner of lawtags does not support this value of {refusal.field}: {refusal.reason}",
                hint="Change the job, or have it carried out on a GPU by NVIDIA's own containers.",
            )
    return found


def trainer_job(config: TrainingStepConfig, model: Path, rows: JobRows, **limits: int | None) -> TrainingJob:
    """Convert a step's config to a trainer's job.

    Args:
        config: the config.
        model: the folder of the base model.
        rows: the row files, by their path in the job's data folder.
        limits: ``threads`` and ``memory_limit_mb`` of the trainer.
    """
    training, schedule, optimizer = config.training, config.schedule, config.optimizer
    lora = training.lora or _Lora()
    return TrainingJob(
        model=str(model),
        model_name=config.model.name or "base",
        training=rows.training,
        validation=rows.validation,
        validation_share=schedule.validation_split or 0.1,
        prompt_template=rows.prompt_template,
        chat_template=config.model.chat_template,
        max_seq_length=config.model.max_seq_length,
        method=training.finetuning_type,
        lora=LoraSettings(
            rank=lora.rank,
            alpha=lora.alpha,
            dropout=lora.dropout,
            target_modules=tuple(lora.target_modules) if lora.target_modules else None,
        ),
        excluded_modules=tuple(lora.exclude_modules or ()),
        preference=_preference(config),
        epochs=schedule.epochs,
        max_steps=schedule.max_steps or -1,
        batch_size=config.batch.global_batch_size,
        learning_rate=optimizer.learning_rate,
        min_learning_rate=optimizer.min_learning_rate,
        warmup_steps=optimizer.warmup_steps,
        optimizer=_optimizer(config),
        adam_beta1=optimizer.beta1,
        adam_beta2=optimizer.beta2,
        adam_eps=optimizer.eps,
        decay=_decay(config),
        keep=schedule.checkpoint_selection,
        weight_decay=optimizer.weight_decay,
        val_check_interval=_interval(schedule.val_check_interval),
        log_every_n_steps=1,
        seed=1111 if config.seed is None else config.seed,
        precision="float32" if config.model.precision == "fp32" else "auto",
        threads=limits.get("threads"),
        memory_limit_mb=limits.get("memory_limit_mb"),
    )


def notes(config: TrainingStepConfig) -> list[str]:
    """What the runner does otherwise than the job's GPU would, for the job's log."""
    found = []
    if config.model.precision == "fp16":
        found.append("precision fp16: trained in float32, or in bfloat16 on a GPU that supports it")
    if config.integrations and any(config.integrations.values()):
        found.append("integrations (wandb, mlflow): this runner reports to the platform alone")
    return found


def _preference(config: TrainingStepConfig) -> PreferenceSettings | None:
    if not config.is_dpo:
        return None
    dpo = config.training.dpo or _Dpo()
    return PreferenceSettings(
        penalty=dpo.ref_policy_kl_penalty,
        weight=dpo.preference_loss_weight,
        average=dpo.preference_average_log_probs,
        sft_weight=dpo.sft_loss_weight,
        sft_average=dpo.sft_average_log_probs,
        gradient_norm=dpo.max_grad_norm,
    )


def _optimizer(config: TrainingStepConfig) -> Optimizer:
    # "auto" is Adam in NVIDIA's supervised recipe; its DPO recipe uses AdamW.
    plain = config.optimizer.optimizer_name in ("auto", "Adam", None) and not config.is_dpo
    return "adam_with_cosine_annealing" if plain else "adamw_with_cosine_annealing"


def _decay(config: TrainingStepConfig) -> Decay:
    asked: Decay | None = config.optimizer.lr_decay_style
    if asked is not None:
        return asked
    # NVIDIA's DPO recipe keeps the rate after the warm-up unless there is a minimum to fall to.
    default: Literal["cosine", "constant"] = "cosine"
    if config.is_dpo and config.optimizer.min_learning_rate is None:
        default = "constant"
    return default


def _interval(given: float | None) -> int | float | None:
    """Steps between validations, or a share of an epoch up to one."""
    if not given:
        return None
    return float(given) if given <= 1 else int(given)
