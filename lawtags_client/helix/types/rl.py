"""Wire models of the customization service: jobs of the rl backend."""

from __future__ import annotations

from typing import Literal

from lawtags_client.helix.types.common import HelixRequest
from lawtags_client.helix.types.training import DeploymentParams, Integrations, ProgressReporting
from lawtags_client.json_value import JsonValue


class RlParallelism(HelixRequest):
    """How the work is divided among GPUs; one by default."""

    num_gpus_per_node: int | None = None
    num_nodes: int | None = None
    tensor_parallel_size: int | None = None
    pipeline_parallel_size: int | None = None
    context_parallel_size: int | None = None
    expert_parallel_size: int | None = None
    sequence_parallel: bool | None = None


class DpoTraining(HelixRequest):
    """Direct preference optimization; all weights only."""

    type: Literal["dpo"]
    optimizer_type: str | None = None
    optimizer_name: str | None = None
    optimizer_kwargs: dict[str, JsonValue] | None = None
    learning_rate: float | None = None
    min_learning_rate: float | None = None
    weight_decay: float | None = None
    adam_beta1: float | None = None
    adam_beta2: float | None = None
    adam_eps: float | None = None
    warmup_steps: int | None = None
    epochs: int | None = None
    max_steps: int | None = None
    val_check_interval: float | None = None
    val_at_end: bool | None = None
    progress_reporting: ProgressReporting | None = None
    keep_top_k: int | None = None
    batch_size: int | None = None
    micro_batch_size: int | None = None
    activation_checkpointing: bool | None = None
    max_seq_length: int | None = None
    seed: int | None = None
    env_vars: dict[str, JsonValue] | None = None
    parallelism: RlParallelism | None = None
    execution_profile: str | None = None
    ref_policy_kl_penalty: float | None = None
    preference_average_log_probs: bool | None = None
    sft_average_log_probs: bool | None = None
    preference_loss_weight: float | None = None
    sft_loss_weight: float | None = None
    max_grad_norm: float | None = None


class RlOutput(HelixRequest):
    """What the job makes."""

    name: str | None = None


class RlSpec(HelixRequest):
    """A job of the ``rl`` backend."""

    model: str
    dataset: str
    training: DpoTraining | dict[str, JsonValue]
    environment: str | None = None
    integrations: Integrations | None = None
    output: RlOutput | None = None
    deployment_config: str | DeploymentParams | None = None
