"""Wire models of the customization service: jobs of the automodel backend."""

from __future__ import annotations

from typing import Literal

from lawtags_client.helix.types.common import HelixRequest
from lawtags_client.helix.types.training import DeploymentParams, Integrations, ProgressReporting
from lawtags_client.json_value import JsonValue


class AutomodelDataset(HelixRequest):
    """The rows: only the training fileset is downloaded, so validation rows belong into it, too."""

    training: str
    validation: str | None = None
    prompt_template: str | None = None
    shuffle: bool | None = None


class AutomodelLora(HelixRequest):
    """A low-rank adapter; rank 16 and alpha 32 by default."""

    rank: int | None = None
    alpha: int | None = None
    dropout: float | None = None
    merge: bool | None = None
    target_modules: list[str] | None = None
    exclude_modules: list[str] | None = None
    use_triton: bool | None = None
    use_memory_efficient_lora: bool | None = None


class AutomodelTraining(HelixRequest):
    """The method."""

    training_type: Literal["sft", "distillation"] | str | None = None
    recipe: Literal["auto", "sft", "bi_encoder", "cross_encoder"] | str | None = None
    finetuning_type: Literal["lora", "all_weights", "lora_merged"] | str | None = None
    lora: AutomodelLora | None = None
    max_seq_length: int | None = None
    precision: Literal["bf16", "fp16", "fp32", "fp8"] | str | None = None
    attn_implementation: Literal["sdpa", "flash_attention_2", "eager"] | str | None = None
    execution_profile: str | None = None
    teacher_model: str | None = None
    distillation_ratio: float | None = None
    distillation_temperature: float | None = None
    teacher_precision: Literal["bf16", "fp16", "fp32"] | str | None = None
    offload_teacher: bool | None = None
    retrieval: dict[str, JsonValue] | None = None
    activation_checkpointing: bool | None = None
    mtp: dict[str, JsonValue] | None = None
    backend: dict[str, JsonValue] | None = None


class AutomodelSchedule(HelixRequest):
    """How long to train; one epoch by default."""

    epochs: int | None = None
    max_steps: int | None = None
    val_check_interval: float | None = None
    validation_split: float | None = None
    checkpoint_selection: Literal["best", "last", "both"] | str | None = None
    seed: int | None = None
    progress_reporting: ProgressReporting | None = None


class AutomodelBatch(HelixRequest):
    """Rows per step; 8 by default, one at a time."""

    global_batch_size: int | None = None
    micro_batch_size: int | None = None
    sequence_packing: bool | None = None
    sequence_packing_max_samples: int | None = None
    packed_sequence_size: int | None = None


class AutomodelOptimizer(HelixRequest):
    """The optimizer; a learning rate of 5e-6 by default."""

    learning_rate: float | None = None
    min_learning_rate: float | None = None
    weight_decay: float | None = None
    adam_beta1: float | None = None
    adam_beta2: float | None = None
    warmup_steps: int | None = None
    adam_eps: float | None = None
    optimizer: Literal["auto", "Adam", "AdamW", "FusedAdam"] | str | None = None
    lr_decay_style: Literal["cosine", "linear", "constant"] | str | None = None


class AutomodelParallelism(HelixRequest):
    """How the work is divided among GPUs; one by default."""

    num_nodes: int | None = None
    num_gpus_per_node: int | None = None
    tensor_parallel_size: int | None = None
    pipeline_parallel_size: int | None = None
    context_parallel_size: int | None = None
    expert_parallel_size: int | None = None
    sequence_parallel: bool | None = None
    pipeline: dict[str, JsonValue] | None = None


class AutomodelOutput(HelixRequest):
    """What the job makes, and in which fileset of the same name."""

    name: str
    description: str | None = None


class AutomodelSpec(HelixRequest):
    """A job of the ``automodel`` backend: LoRA, merged LoRA, or all weights."""

    model: str
    dataset: AutomodelDataset
    training: AutomodelTraining
    schedule: AutomodelSchedule | None = None
    batch: AutomodelBatch | None = None
    optimizer: AutomodelOptimizer | None = None
    parallelism: AutomodelParallelism | None = None
    output: AutomodelOutput | None = None
    integrations: Integrations | None = None
    deployment_config: str | DeploymentParams | None = None
