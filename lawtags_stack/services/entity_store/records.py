"""What the stack reads of data sets and models."""

from __future__ import annotations

from dataclasses import dataclass

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.entities import EntityRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRecord(EntityRecord):
    """A data set.

    Args:
        files_url: where its files are.
        limit: the most rows that an evaluation takes of it.
    """

    files_url: str = ""
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class ModelEndpoint:
    """Where a model answers; see ``APIEndpoint`` of the wire."""

    url: str
    model_id: str
    api_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord(EntityRecord):
    """A model.

    Args:
        base_model: what it was made from: ``namespace/name``, or an object that says so.
        artifact: its files, as the wire shows them.
        peft: how it was fine-tuned; None for whole models.
        api_endpoint: where it answers, if not here.
    """

    base_model: JsonValue = None
    artifact: JsonObject | None = None
    peft: JsonObject | None = None
    api_endpoint: ModelEndpoint | None = None

    @property
    def base_name(self) -> str:
        """``namespace/name`` of the base model, without a version; empty where there is none."""
        base = self.base_model
        if isinstance(base, dict):
            base = f"{base.get('namespace', 'default')}/{base.get('name', '')}"
        return str(base or "").partition("@")[0]

    @property
    def is_adapter(self) -> bool:
        """Whether it is a LoRA on another model."""
        return bool(self.peft) and (self.peft or {}).get("finetuning_type", "lora") == "lora"

    @property
    def uploaded_url(self) -> str | None:
        """Where its files are, once all of them are there."""
        artifact = self.artifact or {}
        url = artifact.get("files_url")
        return str(url) if url and artifact.get("status") == "upload_completed" else None
