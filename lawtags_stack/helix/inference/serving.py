"""Lets the stack's own inference server serve deployments of the Helix dialect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lawtags_client.json_value import JsonObject
from lawtags_stack.helix.files import FilesetFiles
from lawtags_stack.helix.inference.deployments import DeploymentTables
from lawtags_stack.helix.inference.providers import HelixProviders
from lawtags_stack.helix.models import Models
from lawtags_stack.helix.tables import split_reference
from lawtags_stack.services.data_store.hub_urls import FilesUrl
from lawtags_stack.services.data_store.trees import FileEntry
from lawtags_stack.services.deployments.protocols import Readiness
from lawtags_stack.services.deployments.records import (
    DeploymentRecord,
    DeploymentStatusRecord,
    ModelsToServe,
)
from lawtags_stack.services.entity_store.records import ModelRecord
from lawtags_stack.services.nim.protocols import DeploymentSource, ModelFiles, ModelSource

HELIX_URL = "helix://"
_WAITING = ("CREATED", "PENDING")


class ServingReadiness(Protocol):
    """The inference server."""

    def readiness(self, model: str) -> Readiness:
        """Whether a model is served."""
        ...

    def deployments_changed(self) -> None:
        """Look at the deployments again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HelixModelRecord(ModelRecord):
    """A model under the name that a server of Helix gives it: ``ws/base``, or ``ws--adapter``."""

    served_as: str = ""

    @property
    def reference(self) -> str:
        return self.served_as


class Serving:
    """The deployments that the stack serves itself, as its inference server sees them.

    A deployment that someone else registered a provider for is left alone.

    Args:
        models, files, deployments, providers: the Helix dialect.
        url: URL of the inference server.
    """

    def __init__(
        self,
        models: Models,
        files: FilesetFiles,
        deployments: DeploymentTables,
        providers: HelixProviders,
        url: str,
    ) -> None:
        self._models = models
        self._files = files
        self._deployments = deployments
        self._providers = providers
        self._url = url
        self._followed = False
        self.server: ServingReadiness | None = None

    def model_list(self) -> list[ModelRecord]:
        """The deployed models, and their adapters."""
        bases = {model for each in self.active() for model in each.served}
        found: list[ModelRecord] = [
            served_model(model, f"{model['workspace']}/{model['name']}", None)
            for model in self._models.all()
            if f"{model['workspace']}/{model['name']}" in bases
        ]
        for adapter in self._models.adapters():
            if adapter["model"] in bases and adapter.get("enabled", True):
                name = f"{adapter['workspace']}--{adapter['name']}"
                found.append(served_model(adapter, name, str(adapter["model"])))
        return found

    def resolve_url(self, files_url: str) -> tuple[FilesUrl, list[FileEntry]]:
        """The files of a fileset."""
        workspace, _, fileset = files_url.removeprefix(HELIX_URL).partition("/")
        files = [
            FileEntry(each.path, each.size, each.sha256, each.sha256, lfs=True)
            for each in self._files.within(workspace, fileset)
        ]
        return FilesUrl("model", workspace, fileset), files

    def active(self) -> list[DeploymentRecord]:
        """The deployments that the stack serves."""
        found: list[DeploymentRecord] = []
        for each in self._deployments.all():
            model = self._deployments.model_of(str(each["name"]), str(each["workspace"]))
            if model is not None and self._is_ours(each):
                found.append(deployment_of(each, model))
        return found

    def follow(self) -> None:
        """Put deployments to the state of their models, and register a provider once one is served."""
        if self.server is None:
            return
        if not self._followed:
            self._followed = True
            if self._providers.follow_server(self._url.rstrip("/")):
                self.server.deployments_changed()
        for each in self._deployments.all():
            model = self._deployments.model_of(str(each["name"]), str(each["workspace"]))
            if each["status"] not in _WAITING or model is None or not self._is_ours(each):
                continue
            readiness = self.server.readiness(model)
            message = readiness.description or ""
            if readiness.status == "ready":
                self._deployments.set_status(each, "READY", "", self._register(each))
            elif readiness.status == "failed":
                self._deployments.set_status(each, "ERROR", message[:1000])
            elif each["status"] != "PENDING":
                self._deployments.set_status(each, "PENDING", message[:1000])
                self.server.deployments_changed()

    def _register(self, deployment: JsonObject) -> str:
        workspace, name = str(deployment["workspace"]), str(deployment["name"])
        if self._providers.find(workspace, name) is None:
            body: JsonObject = {"host_url": self._url, "model_deployment_id": f"{workspace}/{name}"}
            self._providers.create(workspace, name, body)
        return f"{workspace}/{name}"

    def _is_ours(self, deployment: JsonObject) -> bool:
        if deployment["status"] not in (*_WAITING, "READY"):
            return False
        workspace = str(deployment["workspace"])
        reference = str(deployment["model_provider_id"] or deployment["name"])
        provider = self._providers.find(*split_reference(reference, workspace))
        if provider is None:
            return deployment["status"] in _WAITING
        return str(provider["host_url"]).rstrip("/") == self._url


class JoinedModels:
    """Models and their files from several sources.

    Args:
        sources: the sources.
        files: the files of models outside of Helix; None if there are none.
        serving: the Helix dialect, which has the files of its own.
    """

    def __init__(self, sources: Sequence[ModelSource], files: ModelFiles | None, serving: Serving) -> None:
        self._sources = sources
        self._files = files
        self._serving = serving

    def model_list(self) -> list[ModelRecord]:
        """The models of all sources."""
        return [model for source in self._sources for model in source.model_list()]

    def resolve_url(self, files_url: str) -> tuple[FilesUrl, list[FileEntry]]:
        """The files behind a URL."""
        if self._files is None or files_url.startswith(HELIX_URL):
            return self._serving.resolve_url(files_url)
        return self._files.resolve_url(files_url)


class JoinedDeployments:
    """Deployments from several sources.

    Args:
        sources: the sources.
    """

    def __init__(self, sources: Sequence[DeploymentSource]) -> None:
        self._sources = sources

    def active(self) -> list[DeploymentRecord]:
        """The deployments of all sources."""
        return [each for source in self._sources for each in source.active()]


def served_model(entity: JsonObject, name: str, base: str | None) -> HelixModelRecord:
    """A model or an adapter of Helix, as the inference server sees it.

    Args:
        entity: as the API shows it.
        name: the name to serve it by.
        base: an adapter's base model, by the name that it is served by; None for a model.
    """
    workspace, fileset = str(entity["workspace"]), entity.get("fileset")
    artifact: JsonObject | None = None
    if isinstance(fileset, str):
        place = "/".join(split_reference(fileset, workspace))
        artifact = {"files_url": f"{HELIX_URL}{place}", "status": "upload_completed"}
    return HelixModelRecord(
        id=str(entity.get("id", name)),
        created_at=str(entity["created_at"]),
        updated_at=str(entity["updated_at"]),
        namespace=workspace,
        name=str(entity["name"]),
        base_model=base,
        artifact=artifact,
        peft={"finetuning_type": "lora"} if base is not None else None,
        served_as=name,
    )


def deployment_of(entity: JsonObject, model: str) -> DeploymentRecord:
    """A deployment of Helix, as the inference server sees it.

    Args:
        entity: as the API shows it.
        model: its model, ``workspace/name``.
    """
    return DeploymentRecord(
        id=str(entity["id"]),
        created_at=str(entity["created_at"]),
        updated_at=str(entity["updated_at"]),
        namespace=str(entity["workspace"]),
        name=str(entity["name"]),
        config_found=ModelsToServe(model=model),
        status_details=DeploymentStatusRecord(status=str(entity["status"])),
    )
