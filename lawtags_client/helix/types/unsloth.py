"""Wire models of the customization service: jobs of the unsloth backend."""

from __future__ import annotations

from typing import Literal

from lawtags_client.helix.types.common import HelixRequest
from lawtags_client.helix.types.training import DeploymentParams, Integrations, ProgressReporting
from lawtags_client.json_value import JsonValue


class UnslothModel(HelixRequest):
    """The model and how it is loaded; in 4 bits by default."""

    name: str
    max_seq_length: int | None = None
    load_in_4bit: bool | None = None
    load_in_8bit: bool | None = None
    dtype: Literal["auto", "bfloat16", "float16", "float32"] | str | None = None
    trust_remote_code: bool | None = None
    device_map: str | int | dict[str, JsonValue] | None = None
    rope_scaling: dict[str, JsonValue] | None = None


class UnslothDataset(HelixRequest):
    """The rows."""

    path: str
    text_field: str | None = None
    apply_chat_template: bool | None = None
    validation_path: str | None = None
    packing: bool | None = None


class UnslothLora(HelixRequest):
    """A low-rank adapter; rank and alpha 16 by default."""

    rank: int | None = None
    alpha: int | None = None
    dropout: float | None = None
    target_modules: list[str] | None = None
    bias: Literal["none", "all", "lora_only"] | str | None = None
    use_rslora: bool | None = None
    random_state: int | None = None
    use_dora: bool | None = None
    loftq_config: dict[str, JsonValue] | None = None
    modules_to_save: list[str] | None = None
    layers_to_transform: int | list[int] | None = None
    layer_replication: list[list[int]] | None = None
    init_lora_weights: bool | Literal["gaussian", "pissa", "olora", "loftq"] | str | None = None


class UnslothTraining(HelixRequest):
    """The method."""

    training_type: str | None = None
    finetuning_type: Literal["lora", "all_weights"] | str | None = None
    lora: UnslothLora | None = None
    use_gradient_checkpointing: Literal["unsloth", "true", "false"] | str | None = None


class UnslothSchedule(HelixRequest):
    """How long to train; one epoch by default."""

    epochs: int | None = None
    max_steps: int | None = None
    warmup_steps: int | None = None
    warmup_ratio: float | None = None
    lr_scheduler_type: (
        Literal["linear", "cosine", "constant", "constant_with_warmup", "cosine_with_restarts"] | str | None
    ) = None
    logging_steps: int | None = None
    save_steps: int | None = None
    eval_steps: int | None = None
    progress_reporting: ProgressReporting | None = None
    seed: int | None = None
    lr_scheduler_kwargs: dict[str, JsonValue] | None = None


class UnslothBatch(HelixRequest):
    """Rows per step."""

    per_device_train_batch_size: int | None = None
    gradient_accumulation_steps: int | None = None


class UnslothOptimizer(HelixRequest):
    """The optimizer; a learning rate of 2e-4 by default."""

    learning_rate: float | None = None
    weight_decay: float | None = None
    optim: (
        Literal["adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "sgd"] | str | None
    ) = None
    adam_beta1: float | None = None
    adam_beta2: float | None = None
    adam_epsilon: float | None = None
    max_grad_norm: float | None = None
    label_smoothing_factor: float | None = None
    neftune_noise_alpha: float | None = None


class UnslothHardware(HelixRequest):
    """The GPUs and the precision."""

    gpus: str | None = None
    precision: Literal["bf16", "fp16"] | str | None = None


class UnslothOutput(HelixRequest):
    """What the job makes."""

    name: str | None = None
    description: str | None = None
    save_method: Literal["lora", "merged_16bit", "merged_4bit"] | str | None = None


class UnslothSpec(HelixRequest):
    """A job of the ``unsloth`` backend."""

    model: UnslothModel
    dataset: UnslothDataset
    training: UnslothTraining | None = None
    schedule: UnslothSchedule | None = None
    batch: UnslothBatch | None = None
    optimizer: UnslothOptimizer | None = None
    hardware: UnslothHardware | None = None
    integrations: Integrations | None = None
    output: UnslothOutput | None = None
    deployment_config: str | DeploymentParams | None = None
