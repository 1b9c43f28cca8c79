"""Deployment Management: configs and deployments of NIMs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lawtags_client.errors import ConfigurationError, NotFoundError, WaitTimeoutError
from lawtags_client.services.base import Entities, Owner
from lawtags_client.services.waiting import Awaited, Look
from lawtags_client.services.watching import Patience
from lawtags_client.settings import LOCAL_PROFILE, Settings
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.transport.paths import split_reference
from lawtags_client.types.deployments import (
    DeploymentConfig,
    DeploymentConfigRequest,
    DeploymentConfigUpdate,
    DeploymentFilter,
    ModelDeployment,
    ModelDeploymentRequest,
    ModelDeploymentUpdate,
    NIMDeploymentConfig,
)
from lawtags_client.types.entity_store import Model, ModelFilter, ModelRequest, ModelUpdate

_PATIENCE = Patience(shortest=1.0, longest=20.0)
_ENDS = frozenset({"ready", "completed", "failed", "cancelled"})
_POLL = 1.0


class _Models(Protocol):
    @property
    def models(self) -> Entities[Model, ModelRequest, ModelUpdate, ModelFilter]: ...


class DeploymentsOwner(Owner, Protocol):
    """The client, as far as deployments need it."""

    @property
    def entity_store(self) -> _Models: ...


class Deployments:
    """Deployed models.

    Args:
        http: the transport of the service.
        owner: the client.
    """

    def __init__(self, http: ServiceTransport, owner: DeploymentsOwner) -> None:
        self._owner = owner
        self.configs = Entities[
            DeploymentConfig, DeploymentConfigRequest, DeploymentConfigUpdate, DeploymentFilter
        ](http, "/v1/deployment/configs", DeploymentConfig, DeploymentConfigRequest, DeploymentConfigUpdate)
        self.deployments = Entities[
            ModelDeployment, ModelDeploymentRequest, ModelDeploymentUpdate, DeploymentFilter
        ](
            http,
            "/v1/deployment/model-deployments",
            ModelDeployment,
            ModelDeploymentRequest,
            ModelDeploymentUpdate,
        )

    async def deploy(
        self,
        name: str,
        *,
        model: str,
        image: str | None = None,
        gpus: int = 1,
        nim: NIMDeploymentConfig | None = None,
        hf_token: str | None = None,
        wait: bool = True,
        timeout: float = 3600,
        on_state: Callable[[str], None] | None = None,
    ) -> ModelDeployment:
        """Deploy a model and wait until it is ready.

        Example:
            ``await nemo.deployments.deploy("law/tagger", model="law/tagger@v1", image="registry/nim:1.13")``

        Args:
            name: ``namespace/name`` of the deployment and of its config.
            model: the model to serve.
            image: of the container, with its tag; omit it to let the platform decide.
            gpus: number of GPUs of the container.
            nim: the whole container, in place of ``image`` and ``gpus``.
            hf_token: for models of the public hub.
            wait: whether to wait until it is ready.
            timeout: seconds to wait.
            on_state: called with each new state and the service's message.

        Raises:
            ConfigurationError: ``name`` has another form, the image has no tag, or was passed beside ``nim``,
                or the model has no weights and no container is given that may bring them.
            ConflictError: a deployment or config of that name differs from this one.
            JobFailedError: it failed.
            WaitTimeoutError: it was not ready in time.
        """
        if image is not None:
            if nim is not None:
                raise ConfigurationError("deploy takes either image, or nim", hint="Pass one of the two.")
            nim = _container(image, gpus)
        namespace, short = split_reference(name, "deployment")
        if nim is None and self._owner.settings.has_address("entity_store"):
            _check_weights(model, await self._owner.entity_store.models.find(model))
        config = DeploymentConfigRequest(name=short, namespace=namespace, model=model)
        if nim is not None:
            config.nim_deployment = nim
        # Servers do not echo every field of the container (the volume's size, for one).
        await self.configs.create_or_get(config, compare=("model",))
        request = ModelDeploymentRequest(name=short, namespace=namespace, config=name)
        if hf_token is not None:
            request.hf_token = hf_token
        deployment = await self.deployments.create_or_get(request, compare=("name", "namespace"))
        return await self.ready(name, timeout=timeout, on_state=on_state) if wait else deployment

    async def ready(
        self, name: str, *, timeout: float = 3600, on_state: Callable[[str], None] | None = None
    ) -> ModelDeployment:
        """Wait until a deployment is ready.

        Args:
            name: its ``namespace/name``.
            timeout: seconds to wait.
            on_state: called with each new state and the service's message.

        Raises:
            JobFailedError: it failed.
            JobCancelledError: it was cancelled.
            NotFoundError: the deployment does not exist.
            WaitTimeoutError: it was not ready in time.
        """
        seen = await self.deployments.get(name)
        told = ""

        async def look() -> Look:
            nonlocal seen, told
            before, seen = seen, await self.deployments.get(name)
            details = seen.status_details
            state = "ready" if seen.deployed else details.status if details else None
            words = ": ".join(filter(None, (state, details.description if details else None)))
            if on_state is not None and words != told:
                on_state(words)
            told = words
            return Look(state, seen != before, details.description if details else None)

        awaited = Awaited(
            f"the deployment {name}",
            "deployments",
            look,
            _ENDS.__contains__,
            advice=_advice(self._owner.settings, name),
            goes_on="If the message names a cause, fix it. Otherwise wait longer: a cluster can take "
            "half an hour to pull an image and load the weights.",
        )
        await awaited.end(self._owner.clock, timeout=timeout, patience=_PATIENCE)
        return seen

    async def remove(self, name: str, *, timeout: float = 600) -> None:
        """Delete a deployment, wait until it is gone, and delete its config.

        Raises:
            WaitTimeoutError: it still exists after the timeout.
        """
        clock = self._owner.clock
        begin = clock.monotonic()
        await self.deployments.delete(name, missing_ok=True)
        while await self.deployments.find(name) is not None:
            if clock.monotonic() - begin > timeout:
                raise WaitTimeoutError(f"the deployment {name} still exists after {timeout:g} s")
            await clock.sleep(_POLL)
        try:
            await self.configs.delete(name)
        except NotFoundError:
            return


def _check_weights(model: str, found: Model | None) -> None:
    """Refuse a registered model that has no files and never will have any by itself.

    Raises:
        ConfigurationError: it has none.
    """
    # What is not registered may still be known to the platform, such as a base model.
    if found is None or found.api_endpoint is not None:
        return
    artifact = found.artifact
    if artifact is None or not artifact.files_url:
        raise ConfigurationError(
            f"{model} has no weights to deploy: its entity names no files",
            hint="Upload its weights and set artifact.files_url, or deploy a job's output model instead.",
        )
    if artifact.status == "upload_failed":
        raise ConfigurationError(
            f"{model} has no weights to deploy: their upload failed",
            hint="Train it again; `lawtags jobs ls` lists the jobs.",
        )


def _advice(settings: Settings, name: str) -> str:
    """What to do about a deployment that failed; the embedded stack has no pods."""
    again = (
        f"Fix the reported cause, remove the deployment with nemo.deployments.remove({name!r}), and retry."
    )
    return again if settings.profile == LOCAL_PROFILE else f"{again} In a cluster, its pods have the details."


def _container(image: str, gpus: int) -> NIMDeploymentConfig:
    name, _, tag = image.rpartition(":")
    # A colon before the last slash belongs to the registry's port.
    if not name or not tag or "/" in tag:
        raise ConfigurationError(f"the image {image} has no tag", hint="Write it as NAME:TAG.")
    return NIMDeploymentConfig(image_name=name, image_tag=tag, gpu=gpus)
