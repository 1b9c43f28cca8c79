"""Namespaces, projects, data sets and models: what the routes and the other services both use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lawtags_client.errors import BadRequestError, ConflictError, NotFoundError
from lawtags_stack.entities import Entities, EntityKind
from lawtags_stack.entities.secrets import masked
from lawtags_stack.http.ids import split_reference
from lawtags_stack.store import Database
from lawtags_stack.times import Clock, utc_now

DEFAULT_NAMESPACE = "default"

NAMESPACES = EntityKind(
    label="namespace",
    table="entity_store_namespaces",
    id_prefix="namespace",
    fields=("id", "created_at", "updated_at", "description", "project", "custom_fields", "ownership"),
    keyed_by_id=True,
)
PROJECTS = EntityKind(
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
    label="dataset",
    table="entity_store_datasets",
    id_prefix="dataset",
    fields=(
        "created_at", "updated_at", "name", "namespace", "description", "format", "files_url",
        "hf_endpoint", "split", "limit", "id", "project", "custom_fields", "ownership",
    ),
    sorts=("created_at", "name"),
)  # fmt: skip


def _model_found_by(document: dict[str, Any]) -> dict[str, Any]:
    # filter[peft][lora]=true means the kind of fine-tuning, whether or not more is known of the adapter.
    peft = document.get("peft")
    if not isinstance(peft, dict):
        return document
    return {**document, "peft": {**peft, "lora": peft.get("lora") or peft.get("finetuning_type") == "lora"}}


MODELS = EntityKind(
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
    """The Entity Store without its HTTP.

    Example:
        >>> state.model_put("law", "tagger@v1", {"base_model": "google/gemma-2-2b"})["name"]
        'tagger@v1'

    Args:
        database: where the entities live.
        clock: tells the time.
    """

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self.namespaces = Entities(database, NAMESPACES, clock=clock)
        self.projects = Entities(database, PROJECTS, clock=clock)
        self.datasets = Entities(database, DATASETS, clock=clock)
        self.models = Entities(database, MODELS, clock=clock)
        self.namespace_ensure(DEFAULT_NAMESPACE)

    def namespace_ensure(self, name: str) -> None:
        """Add a namespace where there is none of this name."""
        if not self.namespaces.exists("", name):
            self.namespaces.create({"id": name})

    def namespace_delete(self, name: str) -> dict[str, Any]:
        """Remove a namespace; the receipt.

        Raises:
            BadRequestError: it is the one that always exists.
            ConflictError: something is left in it.
            NotFoundError: there is none of this name.
        """
        if name == DEFAULT_NAMESPACE:
            raise BadRequestError(f"Namespace {name} always exists and cannot be deleted")
        for entities in (self.projects, self.datasets, self.models):
            if any(each["namespace"] == name for each in entities.all()):
                raise ConflictError(f"Namespace {name} still holds a {entities.kind.label}; delete it first")
        return self.namespaces.delete("", name)

    def add(self, entities: Entities, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Add an entity to an existing namespace.

        Raises:
            NotFoundError: there is no such namespace.
            ConflictError: the name is taken.
        """
        namespace = fields.get("namespace") or DEFAULT_NAMESPACE
        if not self.namespaces.exists("", namespace):
            raise NotFoundError(f"Namespace {namespace} does not exist")
        return entities.create(fields)

    def model_put(self, namespace: str, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Add a model, or lay fields over the one of this name; the namespace is made where missing."""
        self.namespace_ensure(namespace)
        return self.models.put({**fields, "namespace": namespace, "name": name})

    def model_get(self, reference: str) -> dict[str, Any] | None:
        """The model that ``namespace/name[@version]`` names, as it is kept, if there is one."""
        return self.models.find(reference)

    def dataset_get(self, reference: str) -> dict[str, Any]:
        """The data set that ``namespace/name`` names.

        Raises:
            NotFoundError: there is none of this name.
        """
        namespace, name = split_reference(reference, what="dataset")
        return self.datasets.get(namespace, name)
