"""The Entity Store's state, shared by its routes and the other services."""

from __future__ import annotations

from typing import TypeVar

from lawtags_client.errors import BadRequestError, ConflictError, NotFoundError
from lawtags_client.json_value import JsonObject
from lawtags_stack.entities import EntityKind, EntityRecord, EntityTable
from lawtags_stack.entities.secrets import masked
from lawtags_stack.http.ids import sent_name, split_reference
from lawtags_stack.services.entity_store.records import DatasetRecord, ModelRecord
from lawtags_stack.store import Database
from lawtags_stack.times import Clock, utc_now

DEFAULT_NAMESPACE = "default"
RecordT = TypeVar("RecordT", bound=EntityRecord)

NAMESPACES = EntityKind(
    record=EntityRecord,
    label="namespace",
    table="entity_store_namespaces",
    id_prefix="namespace",
    fields=("id", "created_at", "updated_at", "description", "project", "custom_fields", "ownership"),
    keyed_by_id=True,
)
PROJECTS = EntityKind(
    record=EntityRecord,
    label="project",
    table="entity_store_projects",
    id_prefix="project",
    fields=(
        "created_at",
        "updated_at",
        "name",
        "namespace",
        "description",
        "id",
        "custom_fields",
        "ownership",
    ),
    sorts=("created_at", "name"),
)
DATASETS = EntityKind(
    record=DatasetRecord,
    label="dataset",
    table="entity_store_datasets",
    id_prefix="dataset",
    fields=(
        "created_at", "updated_at", "name", "namespace", "description", "format", "files_url",
        "hf_endpoint", "split", "limit", "id", "project", "custom_fields", "ownership",
    ),
    sorts=("created_at", "name"),
)  # fmt: skip


def _model_found_by(document: JsonObject) -> JsonObject:
    # filter[peft][lora]=true matches the fine-tuning type, whether or not the adapter has more details.
    peft = document.get("peft")
    if not isinstance(peft, dict):
        return document
    return {**document, "peft": {**peft, "lora": peft.get("lora") or peft.get("finetuning_type") == "lora"}}


MODELS = EntityKind(
    record=ModelRecord,
    label="model",
    table="entity_store_models",
    id_prefix="model",
    fields=(
        "created_at", "updated_at", "name", "namespace", "description", "base_model", "spec", "artifact",
        "api_endpoint", "peft", "prompt", "guardrails", "model_providers", "id", "project",
        "custom_fields", "ownership", "schema_version",
    ),
    sorts=("created_at", "name"),
    present=masked,
    found_by=_model_found_by,
)  # fmt: skip


class EntityStoreState:
    """The Entity Store, independent of HTTP.

    Example:
        >>> state.model_put("law", "tagger@v1", {"base_model": "google/gemma-2-2b"})["name"]
        'tagger@v1'

    Args:
        database: stores the entities.
        clock: returns the time.
    """

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self.namespaces = EntityTable(database, NAMESPACES, clock=clock)
        self.projects = EntityTable(database, PROJECTS, clock=clock)
        self.datasets = EntityTable(database, DATASETS, clock=clock)
        self.models = EntityTable(database, MODELS, clock=clock)
        self.namespace_ensure(DEFAULT_NAMESPACE)

    def namespace_ensure(self, name: str) -> None:
        """Create a namespace if it does not exist."""
        if not self.namespaces.exists("", name):
            self.namespaces.create({"id": name})

    def namespace_delete(self, name: str) -> JsonObject:
        """Delete a namespace, and return the API's receipt.

        Raises:
            BadRequestError: it is the default namespace.
            ConflictError: it is not empty.
            NotFoundError: it does not exist.
        """
        if name == DEFAULT_NAMESPACE:
            raise BadRequestError(f"Namespace {name} always exists and cannot be deleted")
        held = {
            "project": self.projects.documents(),
            "dataset": self.datasets.documents(),
            "model": self.models.documents(),
        }
        for label, documents in held.items():
            if any(each["namespace"] == name for each in documents):
                raise ConflictError(f"Namespace {name} still contains a {label}; delete it first")
        return self.namespaces.delete("", name)

    def add(self, entities: EntityTable[RecordT], fields: JsonObject) -> JsonObject:
        """Create an entity in an existing namespace.

        Raises:
            NotFoundError: the namespace does not exist.
            ConflictError: the name is taken.
        """
        namespace = sent_name(fields.get("namespace"), DEFAULT_NAMESPACE, what="namespace", versioned=False)
        if not self.namespaces.exists("", namespace):
            raise NotFoundError(f"Namespace {namespace} does not exist")
        return entities.create(fields)

    def model_put(self, namespace: str, name: str, fields: JsonObject) -> JsonObject:
        """Create a model, or update fields of an existing one; creates the namespace if missing."""
        self.namespace_ensure(namespace)
        return self.models.put({**fields, "namespace": namespace, "name": name})

    def model_find(self, reference: str) -> ModelRecord | None:
        """Find a model by ``namespace/name[@version]``; None if it does not exist."""
        return self.models.find(reference)

    def model_list(self) -> list[ModelRecord]:
        """All models, oldest first."""
        return self.models.all()

    def artifact_status(self, reference: str, status: str, precision: str | None) -> None:
        """Set the status of a model's files, and their training precision, unless the model was deleted."""
        found = self.models.find(reference)
        if found is not None:
            self.models.change(
                found.namespace,
                found.name,
                lambda model: {
                    "artifact": {**(model.artifact or {}), "status": status, "precision": precision}
                },
            )

    def dataset_find(self, reference: str) -> DatasetRecord | None:
        """Find a dataset by ``namespace/name``; None if it does not exist."""
        return self.datasets.find(reference)

    def dataset_get(self, reference: str) -> DatasetRecord:
        """Find a dataset by ``namespace/name``.

        Raises:
            NotFoundError: it does not exist.
        """
        namespace, name = split_reference(reference, what="dataset")
        return self.datasets.stored(namespace, name)
