"""Deployments, their configs, and the model servers that the gateway asks."""

from __future__ import annotations

from collections.abc import Mapping

from lawtags_client.errors import WaitTimeoutError
from lawtags_client.helix.collection import HelixCollection, Place
from lawtags_client.helix.types.deployments import (
    Deployment,
    DeploymentRequest,
    HelixDeploymentConfig,
    HelixDeploymentConfigRequest,
    Provider,
    ProviderChanges,
    ProviderRequest,
)
from lawtags_client.json_value import JsonValue
from lawtags_client.services.watching import Patience, Poller
from lawtags_client.transport.call import Call


class DeploymentConfigs(
    HelixCollection[HelixDeploymentConfig, HelixDeploymentConfigRequest, HelixDeploymentConfigRequest]
):
    """How models are to be deployed; an update makes a new version, and needs the whole config."""

    def __init__(self, place: Place) -> None:
        super().__init__(
            place,
            "models",
            "deployment-configs",
            HelixDeploymentConfig,
            HelixDeploymentConfigRequest,
            HelixDeploymentConfigRequest,
            what="deployment config",
            method="POST",
        )


class HelixDeployments(HelixCollection[Deployment, DeploymentRequest, DeploymentRequest]):
    """Models that are to be deployed."""

    def __init__(self, place: Place) -> None:
        super().__init__(
            place,
            "models",
            "deployments",
            Deployment,
            DeploymentRequest,
            DeploymentRequest,
            what="deployment",
            method="POST",
        )

    async def set_status(
        self, reference: str, status: str, message: str = "", *, provider: str | None = None
    ) -> Deployment:
        """Set the state of a deployment that someone else carries out.

        Args:
            reference: its name, or ``workspace/name``.
            status: such as ``READY``.
            message: for people.
            provider: the provider that serves it, ``workspace/name``.
        """
        body: dict[str, JsonValue] = {"status": status, "status_message": message}
        if provider is not None:
            body["model_provider_id"] = provider
        # Setting the same state twice is the same as once.
        call = Call("POST", f"{self._of(reference)}/status", json=body, repeatable=True)
        return await self._made(await self._place.http.json(call))


class Providers(HelixCollection[Provider, ProviderRequest, ProviderChanges]):
    """Model servers that the gateway asks.

    Deleting a provider without ``model_deployment_id`` deletes the models that only it serves, with their
    adapters, even if users made them. Register a server of tuned models with the id of a deployment.
    """

    def __init__(self, place: Place) -> None:
        super().__init__(
            place,
            "models",
            "providers",
            Provider,
            ProviderRequest,
            ProviderChanges,
            what="provider",
            method="PUT",
        )

    async def serving(self, model: str, *, workspace: str | None = None) -> Provider | None:
        """The provider that serves a model or an adapter, if there is one.

        Args:
            model: ``workspace/model`` or ``workspace/base&adapters/workspace/adapter``.
            workspace: where to look, if not in all.
        """
        async for provider in self.list(workspace=workspace or "-"):
            if any(served.model_entity_id == model for served in provider.served_models):
                return provider
        return None

    async def wait_serving(self, model: str, *, timeout: float = 600) -> Provider:
        """Wait until a provider serves a model or an adapter; Helix reads the servers every few seconds.

        Args:
            model: as for ``serving``.
            timeout: seconds to wait.

        Raises:
            WaitTimeoutError: no provider had it in time.
        """
        clock = self._place.clock
        begin, poller = clock.monotonic(), Poller(clock, Patience(longest=5.0).throughout(timeout))
        while True:
            listed = await poller.look(self._all)
            for provider in listed:
                if any(served.model_entity_id == model for served in provider.served_models):
                    return provider
            if clock.monotonic() - begin > timeout:
                raise _not_served(model, listed, timeout)
            await poller.rest()

    async def _all(self) -> list[Provider]:
        return [provider async for provider in self.list(workspace="-")]

    async def models(self, reference: str) -> list[Mapping[str, JsonValue]]:
        """What the server of a provider lists itself."""
        workspace, name = self._place.split(reference, "provider")
        path = f"{self._place.path('inference-gateway', workspace)}/provider/{name}/-/v1/models"
        data = await self._place.http.json(Call("GET", path))
        listed = data.get("data") if isinstance(data, dict) else None
        return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def _not_served(model: str, providers: list[Provider], timeout: float) -> WaitTimeoutError:
    found = [served.model_entity_id for provider in providers for served in provider.served_models]
    waiting = [provider.reference for provider in providers if provider.status != "READY"]
    others = ", ".join(sorted(found)[:10]) or "none"
    silent = f"; not ready: {', '.join(waiting[:5])}" if waiting else ""
    return WaitTimeoutError(
        f"{model} is not served after {timeout:g} s; served: {others}{silent}",
        hint="Start a server that lists it, and register that with helix.providers.create(name=..., "
        "host_url=..., model_deployment_id=...).",
    )
