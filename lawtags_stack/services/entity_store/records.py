"""Stored records of datasets and models."""

from __future__ import annotations

from dataclasses import dataclass

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.entities import EntityRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRecord(EntityRecord):
    """A dataset.

    Args:
        files_url: the location of its files.
        limit: maximum number of rows in an evaluation.
    """

    files_url: str = ""
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class ModelEndpoint:
    """The endpoint of a model; ``APIEndpoint`` of the API."""

    url: str
    model_id: str
    api_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord(EntityRecord):
    """A model.

    Args:
        base_model: its base model: ``namespace/name``, or an object with a name.
        artifact: its files, in the API's format.
        peft: its fine-tuning method; None for full models.
        api_endpoint: its endpoint, if another server serves it.
    """

    base_model: JsonValue = None
    artifact: JsonObject | None = None
    peft: JsonObject | None = None
    api_endpoint: ModelEndpoint | None = None

    @property
    def base_name(self) -> str:
        """``namespace/name`` of the base model, without a version; empty if there is none."""
        base = self.base_model
        if isinstance(base, dict):
            base = f"{base.get('namespace', 'default')}/{base.get('name', '')}"
        return str(base or "").partition("@")[0]

    @property
    def is_adapter(self) -> bool:
        """Whether it is a LoRA adapter."""
        return bool(self.peft) and (self.peft or {}).get("finetuning_type", "lora") == "lora"

    @property
    def uploaded_url(self) -> str | None:
        """The location of its files, once the upload is complete."""
        artifact = self.artifact or {}
        url = artifact.get("files_url")
        return str(url) if url and artifact.get("status") == "upload_completed" else None
