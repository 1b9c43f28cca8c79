"""Wire models of the customization service: parts that the specs of all backends share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lawtags_client.helix.types.common import HelixRequest
from lawtags_client.json_value import JsonValue


class ProgressReporting(HelixRequest):
    """How often progress is reported."""

    min_report_interval_seconds: float | None = None
    time_series_metrics: list[str] | None = None


class WandbIntegration(HelixRequest):
    """Weights & Biases; ``api_key_secret`` is the name of a secret, ``name`` or ``workspace/name``."""

    project: str | None = None
    name: str | None = None
    entity: str | None = None
    tags: list[str] | None = None
    notes: str | None = None
    base_url: str | None = None
    api_key_secret: str | None = None


class MlflowIntegration(HelixRequest):
    """MLflow."""

    experiment_name: str | None = None
    name: str | None = None
    tags: dict[str, JsonValue] | None = None
    description: str | None = None
    tracking_uri: str | None = None


class Integrations(HelixRequest):
    """Where else metrics go."""

    wandb: WandbIntegration | None = None
    mlflow: MlflowIntegration | None = None


class DeploymentParams(HelixRequest):
    """A deployment that follows the training."""

    engine: Literal["nim", "vllm"] | str | None = None
    gpu: int | None = None
    additional_envs: dict[str, JsonValue] | None = Field(default=None, repr=False)
    disk_size: str | None = None
    image_name: str | None = None
    image_tag: str | None = None
    lora_enabled: bool | None = None
    tool_call_config: dict[str, JsonValue] | None = None
