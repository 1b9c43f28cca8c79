"""Wire models of a training job's hyperparameters; the Customizer's module offers them too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from lawtags_client.json_value import JsonValue
from lawtags_client.types.common import FinetuningType, TrainingType, WireModel

Optimizer: TypeAlias = (
    Literal[
        "adam_with_cosine_annealing",
        "adam_with_flat_lr",
        "adamw_with_cosine_annealing",
        "adamw_with_flat_lr",
    ]
    | str
)


class LoraParameters(WireModel):
    """Hyperparameters of a LoRA."""

    adapter_dim: int | None = None
    alpha: int | None = None
    adapter_dropout: float | None = None
    target_modules: list[str] | None = None


class SftParameters(WireModel):
    """Dropouts of supervised fine-tuning; null means the model's own."""

    attention_dropout: float | None = None
    hidden_dropout: float | None = None


class DpoParameters(WireModel):
    """Hyperparameters of direct preference optimisation."""

    ref_policy_kl_penalty: float | None = None
    preference_loss_weight: float | None = None
    preference_average_log_probs: bool | None = None
    sft_loss_weight: float | None = None
    sft_average_log_probs: bool | None = None
    max_grad_norm: float | None = None


class DistillationParameters(WireModel):
    """The teacher, as ``namespace/target@version``."""

    teacher: str


class Hyperparameters(WireModel):
    """How to train."""

    finetuning_type: FinetuningType
    training_type: TrainingType | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    min_learning_rate: float | None = None
    warmup_steps: int | None = None
    max_steps: int | None = None
    seed: int | None = None
    optimizer: Optimizer | None = None
    adam_beta1: float | None = None
    adam_beta2: float | None = None
    weight_decay: float | None = None
    val_check_interval: float | None = None
    log_every_n_steps: int | None = None
    sequence_packing_enabled: bool | None = None
    lora: LoraParameters | None = None
    sft: SftParameters | None = None
    dpo: DpoParameters | None = None
    grpo: Mapping[str, JsonValue] | None = None
    distillation: DistillationParameters | None = None
