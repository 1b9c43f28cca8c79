"""Deployment configs and model deployments."""

from __future__ import annotations

import re
from datetime import timedelta

from lawtags_client.errors import ConflictError, NotFoundError, ServerError, UnprocessableError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.entities import EntityKind, EntityTable
from lawtags_stack.http.ids import split_reference
from lawtags_stack.http.query import ListQuery
from lawtags_stack.http.select import EntityPage
from lawtags_stack.services.deployments.active import CONFIGS, ActiveDeployments
from lawtags_stack.services.deployments.protocols import InferenceServer
from lawtags_stack.services.deployments.records import DeploymentRecord, ModelsToServe
from lawtags_stack.store import Database
from lawtags_stack.store.codec import Codec
from lawtags_stack.times import Clock, read_moment, utc_now, zulu

_SERVED_BY = Codec(ModelsToServe)


class DeploymentsState:
    """Deployment Management, independent of HTTP.

    Args:
        database: stores the configs.
        kept: the deployments.
        inference: the inference server.
        inference_url: its URL.
        clock: returns the time.
        removal: how long a deleted deployment can still be read.
    """

    def __init__(
        self,
        database: Database,
        kept: ActiveDeployments,
        inference: InferenceServer,
        inference_url: str,
        *,
        clock: Clock = utc_now,
        removal: timedelta = timedelta(milliseconds=500),
    ) -> None:
        self.configs = EntityTable(database, CONFIGS, clock=clock)
        self._deployments = kept.entities
        self._inference = inference
        self._inference_url = inference_url
        self._clock = clock
        self._removal = removal

    @property
    def kind(self) -> EntityKind[DeploymentRecord]:
        """The entity kind of model deployments."""
        return self._deployments.kind

    def create(self, fields: JsonObject) -> JsonObject:
        """Create a deployment; it is ``pending`` until the inference server serves its models.

        Raises:
            NotFoundError: its config does not exist.
            UnprocessableError: the config has neither a model nor an external endpoint.
            ServerError: the name is taken. The real service responds with this status, and clients match its
                message.
        """
        self._purge()
        config = self._config(fields["config"])
        if not fields.get("models") and not _SERVED_BY.read(config).models:
            raise UnprocessableError(
                "The deployment's config names neither a model nor models of an endpoint"
            )
        document: JsonObject = {
            **fields,
            "config_found": config,
            "deployed": False,
            "status_details": {"status": "pending", "description": "Model deployment created"},
            "url": "",
        }
        try:
            created = self._deployments.create(document)
        except ConflictError:
            name = f"{fields.get('namespace') or 'default'}/{fields.get('name')}"
            raise ServerError(
                f"model deployment already exists: {name}. Choose another name, or delete this one first."
            ) from None
        self._inference.deployments_changed()
        return created

    def get(self, namespace: str, name: str) -> JsonObject:
        """Return a deployment with its current status.

        Raises:
            NotFoundError: it does not exist.
        """
        self._purge()
        self._update_status(self._deployments.stored(namespace, name))
        return self._deployments.get(namespace, name)

    def select(self, query: ListQuery) -> EntityPage:
        """Return the page of deployments for a list request."""
        self._purge()
        for deployment in self._deployments.all():
            self._update_status(deployment)
        return self._deployments.select(query)

    def patch(self, namespace: str, name: str, changes: JsonObject) -> JsonObject:
        """Update a deployment; a change of config or models sets it to ``pending``.

        Raises:
            NotFoundError: the deployment or config does not exist.
        """
        news: dict[str, JsonValue] = dict(changes)
        if news.get("config") is not None:
            news["config_found"] = self._config(news["config"])
        if news.get("config") is not None or news.get("models") is not None:
            details = {"status": "pending", "description": "Model deployment updated"}
            news |= {"deployed": False, "status_details": details}
        self._deployments.patch(namespace, name, news)
        self._inference.deployments_changed()
        return self.get(namespace, name)

    def delete(self, namespace: str, name: str) -> JsonObject:
        """Start deleting a deployment; it can be read for a short time.

        Raises:
            NotFoundError: it does not exist.
        """
        self._purge()
        now = self._clock()
        gone_at = zulu(now + self._removal)
        details: JsonObject = {"status": "pending", "description": "Model deployment is being deleted"}
        self._deployments.change(
            namespace,
            name,
            lambda _: {"gone_at": gone_at, "deployed": False, "status_details": details},
        )
        self._inference.deployments_changed()
        return {
            "message": "Resource deleted successfully.",
            "id": f"{namespace}/{name}",
            "deleted_at": zulu(now),
        }

    def _update_status(self, deployment: DeploymentRecord) -> None:
        before = deployment.status_details.status
        if deployment.gone_at is not None or before == "failed":
            return
        status, description = self._readiness(deployment)
        if (status, description) == (before, deployment.status_details.description):
            return
        ready = status == "ready"
        news: JsonObject = {
            "deployed": ready,
            "status_details": {"status": status, "description": description},
            "url": self._inference_url if ready else "",
        }
        self._deployments.change(deployment.namespace, deployment.name, lambda _: news)

    def _readiness(self, deployment: DeploymentRecord) -> tuple[str, str]:
        found = [self._inference.readiness(model) for model in deployment.served]
        for wanted in ("failed", "pending"):
            for readiness in found:
                if readiness.status == wanted:
                    return wanted, readiness.description or f"Model deployment is {wanted}"
        name = re.sub(r"[^a-z0-9-]", "-", f"{deployment.namespace}-{deployment.name}".lower())
        return "ready", f'Deployment "modeldeployment-{name}" successfully rolled out.'

    def _config(self, config: JsonValue) -> JsonObject:
        if isinstance(config, dict):
            return config
        return self.configs.document(*split_reference(str(config), what="config"))

    def _purge(self) -> None:
        for deployment in self._deployments.all():
            if deployment.gone_at is not None and read_moment(deployment.gone_at) <= self._clock():
                try:
                    self._deployments.delete(deployment.namespace, deployment.name)
                except NotFoundError:
                    continue  # already deleted by another request
