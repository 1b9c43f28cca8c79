"""Deployment configs and model deployments: what the routes and the inference server both use."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from lawtags_client.errors import ConflictError, NotFoundError, ServerError, UnprocessableError
from lawtags_stack.entities import Entities, EntityKind
from lawtags_stack.entities.secrets import masked
from lawtags_stack.http.ids import split_reference
from lawtags_stack.http.query import ListQuery
from lawtags_stack.http.select import Page
from lawtags_stack.service import InferenceState
from lawtags_stack.store import Database
from lawtags_stack.times import Clock, read_moment, utc_now, zulu

Document = dict[str, Any]

# Kept beside what the API shows: the config as it was found, and when a deleted deployment is to go.
_HIDDEN = ("config_found", "gone_at", "hf_token")

CONFIGS = EntityKind(
    label="deployment config",
    table="deployments_configs",
    id_prefix="deployment-config",
    nulls=False,
    defaults={},
    stamp=zulu,
    shows_id=False,
    present=masked,
)
DEPLOYMENTS = EntityKind(
    label="model deployment",
    table="deployments_model_deployments",
    id_prefix="model-deployment",
    fields=(
        "async_enabled", "config", "created_at", "deployed", "description", "models", "name", "namespace",
        "status_details", "updated_at", "url",
    ),
    nulls=False,
    defaults={"async_enabled": False},
    stamp=zulu,
    shows_id=False,
    present=lambda document: masked({k: v for k, v in document.items() if k not in _HIDDEN}),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment as the inference server sees it.

    Args:
        namespace: its namespace.
        name: its name.
        models: the models to serve, as ``namespace/name[@version]``.
        external_endpoint: ``host_url``, ``api_key`` and ``enabled_models`` of a hosted API to pass on to;
            ``None`` where the models are served here.
    """

    namespace: str
    name: str
    models: tuple[str, ...]
    external_endpoint: Mapping[str, Any] | None = None


class DeploymentsState:
    """Deployment Management without its HTTP.

    Args:
        database: where configs and deployments live.
        inference: gives the inference server, once it is there.
        inference_url: where it answers.
        clock: tells the time.
        removal: how long a deleted deployment can still be read.
    """

    def __init__(
        self,
        database: Database,
        inference: Callable[[], InferenceState],
        inference_url: str,
        *,
        clock: Clock = utc_now,
        removal: timedelta = timedelta(milliseconds=500),
    ) -> None:
        self.configs = Entities(database, CONFIGS, clock=clock)
        self._deployments = Entities(database, DEPLOYMENTS, clock=clock)
        self._inference = inference
        self._inference_url = inference_url
        self._clock = clock
        self._removal = removal

    @property
    def kind(self) -> EntityKind:
        """What model deployments are."""
        return self._deployments.kind

    def active(self) -> list[Deployed]:
        """The deployments to serve, oldest first; those being deleted are left out."""
        return [_deployed(each) for each in self._deployments.all() if "gone_at" not in each]

    def create(self, fields: Mapping[str, Any]) -> Document:
        """Add a deployment; it is ``pending`` until the inference server answers for its models.

        Raises:
            NotFoundError: the config it names does not exist.
            UnprocessableError: the config names neither a model nor an external endpoint.
            ServerError: there is one of this name. The real service answers so, and clients look for its
                words.
        """
        self._purge()
        document = {
            **fields,
            "config_found": self._config(fields["config"]),
            "deployed": False,
            "status_details": {"status": "pending", "description": "Model deployment created"},
            "url": "",
        }
        _check_serves(document)
        try:
            created = self._deployments.create(document)
        except ConflictError:
            name = f"{fields.get('namespace') or 'default'}/{fields.get('name')}"
            raise ServerError(f"model deployment already exists: {name}") from None
        self._inference().deployments_changed()
        return created

    def get(self, namespace: str, name: str) -> Document:
        """A deployment with its present state.

        Raises:
            NotFoundError: there is none of this name.
        """
        self._purge()
        self._look(self._deployments.stored(namespace, name))
        return self._deployments.get(namespace, name)

    def select(self, query: ListQuery) -> Page:
        """The page of deployments that a list request asks for."""
        self._purge()
        for document in self._deployments.all():
            self._look(document)
        return self._deployments.select(query)

    def patch(self, namespace: str, name: str, changes: Mapping[str, Any]) -> Document:
        """Change a deployment; another config or other models make it ``pending`` again.

        Raises:
            NotFoundError: there is no such deployment or config.
        """
        news = dict(changes)
        if news.get("config") is not None:
            news["config_found"] = self._config(news["config"])
        if news.get("config") is not None or news.get("models") is not None:
            details = {"status": "pending", "description": "Model deployment updated"}
            news |= {"deployed": False, "status_details": details}
        self._deployments.patch(namespace, name, news)
        self._inference().deployments_changed()
        return self.get(namespace, name)

    def delete(self, namespace: str, name: str) -> Document:
        """Begin to remove a deployment; it can be read for a moment more.

        Raises:
            NotFoundError: there is none of this name.
        """
        self._purge()
        now = self._clock()
        gone_at = zulu(now + self._removal)
        details = {"status": "pending", "description": "Model deployment is being deleted"}
        self._deployments.change(
            namespace,
            name,
            lambda document: {**document, "gone_at": gone_at, "deployed": False, "status_details": details},
        )
        self._inference().deployments_changed()
        return {
            "message": "Resource deleted successfully.",
            "id": f"{namespace}/{name}",
            "deleted_at": zulu(now),
        }

    def _look(self, document: Document) -> None:
        if "gone_at" in document or document["status_details"]["status"] == "failed":
            return
        status, description = self._readiness(document)
        if status == document["status_details"]["status"]:
            return
        details = {"status": status, "description": description}
        ready = status == "ready"
        url = self._inference_url if ready else ""

        def changed(now: Document) -> Document:
            return now | {"deployed": ready, "status_details": details, "url": url}

        self._deployments.change(document["namespace"], document["name"], changed)

    def _readiness(self, document: Document) -> tuple[str, str]:
        found = [self._inference().readiness(model) for model in _deployed(document).models]
        for wanted in ("failed", "pending"):
            for readiness in found:
                if readiness.status == wanted:
                    return wanted, readiness.description or f"Model deployment is {wanted}"
        name = re.sub(r"[^a-z0-9-]", "-", f"{document['namespace']}-{document['name']}".lower())
        return "ready", f'Deployment "modeldeployment-{name}" successfully rolled out.'

    def _config(self, config: str | Mapping[str, Any]) -> Document:
        if not isinstance(config, str):
            return dict(config)
        return self.configs.stored(*split_reference(config, what="config"))

    def _purge(self) -> None:
        for document in self._deployments.all():
            gone_at = document.get("gone_at")
            if gone_at is not None and read_moment(gone_at) <= self._clock():
                try:
                    self._deployments.delete(document["namespace"], document["name"])
                except NotFoundError:
                    continue  # another reader was quicker


def _check_serves(document: Document) -> None:
    if not _deployed({"namespace": "", "name": "", **document}).models:
        raise UnprocessableError("The deployment's config names neither a model nor models of an endpoint")


def _deployed(document: Document) -> Deployed:
    config = document["config_found"]
    endpoint = config.get("external_endpoint")
    models = document.get("models") or (endpoint or {}).get("enabled_models")
    if not models:
        model = config.get("model")
        if isinstance(model, dict):
            model = f"{model.get('namespace') or 'default'}/{model.get('name')}"
        models = [model] if model else []
    return Deployed(document["namespace"], document["name"], tuple(models), endpoint)
