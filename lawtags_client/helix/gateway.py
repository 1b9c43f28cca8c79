"""The inference gateway: base models and adapters behind one address, in OpenAI's API.

A base model is asked as ``workspace/base``, an adapter as ``workspace/base&adapters/workspace/adapter``.
Log-probabilities and the fields of constraints pass through to the model server.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from lawtags_client.errors import LawtagsError, NotFoundError, WaitTimeoutError
from lawtags_client.helix.collection import HelixCollection, Place
from lawtags_client.helix.deployments import Providers
from lawtags_client.helix.names import split_adapter
from lawtags_client.helix.refusals import explained
from lawtags_client.helix.types.gateway import VirtualModel, VirtualModelChanges, VirtualModelRequest
from lawtags_client.json_value import JsonValue
from lawtags_client.services.base import Owner
from lawtags_client.services.inference import Inference
from lawtags_client.services.inference.guidance import Guidance, ServerMemory
from lawtags_client.services.inference.identity import Server, identify, probe
from lawtags_client.services.inference.served import Served
from lawtags_client.services.watching import Patience, Poller
from lawtags_client.transport.call import Call
from lawtags_client.transport.http import ServiceTransport, Transport

_MODELS = "/v1/models"


class Gateway:
    """Models that answer, and names for them.

    Args:
        transport: the connections.
        place: where requests go.
        owner: the client.
    """

    def __init__(self, transport: Transport, place: Place, owner: Owner) -> None:
        self._transport = transport
        self._place = place
        self._owner = owner
        self._memory = ServerMemory()
        self.virtual_models: HelixCollection[VirtualModel, VirtualModelRequest, VirtualModelChanges] = (
            HelixCollection(
                place,
                "inference-gateway",
                "virtual-models",
                VirtualModel,
                VirtualModelRequest,
                VirtualModelChanges,
                what="virtual model",
            )
        )

    def url(self, workspace: str | None = None) -> str:
        """The base URL for OpenAI's clients, and for evaluations.

        Args:
            workspace: if not the default one.
        """
        return f"{self._place.http.address.url}{self._route('openai', workspace)}/v1"

    def models(self, workspace: str | None = None) -> Inference:
        """Chats and completions of all models, by the names of their entities.

        Example:
            ``await helix.gateway.models().chat(model="law/gemma-2-2b-it", messages=[...])``

        Args:
            workspace: if not the default one.
        """
        return GatewayModels(self._at(self._route("openai", workspace)), self._owner, self._memory, self)

    def provider(self, reference: str) -> Inference:
        """Chats and completions of one model server, by the server's own names.

        Args:
            reference: the provider, its name or ``workspace/name``.
        """
        return Inference(self.server(reference), self._owner)

    def server(self, reference: str) -> ServiceTransport:
        """The transport of one model server, which gets bodies unchanged."""
        workspace, name = self._place.split(reference, "provider")
        return self._at(self._route(f"provider/{name}", workspace))

    def providers(self) -> Providers:
        """The model servers."""
        return Providers(self._place)

    def _route(self, kind: str, workspace: str | None) -> str:
        return f"{self._place.path('inference-gateway', workspace)}/{kind}/-"

    def _at(self, path: str) -> ServiceTransport:
        address = self._place.http.address
        return ServiceTransport(self._transport, replace(address, url=address.url + path), explained)


class GatewayModels(Inference):
    """Inference through the gateway, which lists no adapters and hides which server answers.

    Args:
        http: the transport of the gateway's OpenAI route.
        owner: the client.
        memory: what was found out about the servers.
        gateway: finds the server of a model.
    """

    def __init__(self, http: ServiceTransport, owner: Owner, memory: ServerMemory, gateway: Gateway) -> None:
        super().__init__(http, owner, memory)
        self._gateway = gateway
        self._served = _ServedEntities(http, owner, gateway.providers())
        self._guidance = Guidance(self._identify, partial(probe, http), owner.clock, memory)

    async def _identify(self, model: str) -> Server | None:
        """Ask the server behind the gateway what it is."""
        try:
            provider = await self._gateway.providers().serving(model)
        except LawtagsError:
            return None
        if provider is None:
            return None
        names = {served.model_entity_id: served.served_model_name for served in provider.served_models}
        server = self._gateway.server(provider.reference)
        return await identify(server, _MODELS, self._owner.settings, names[model])


class _ServedEntities(Served):
    """Which models and adapters are served, as the providers say."""

    def __init__(self, http: ServiceTransport, owner: Owner, providers: Providers) -> None:
        super().__init__(http, _MODELS, owner.clock)
        self._providers = providers

    async def wait(self, model: str, timeout: float) -> str:
        begin, poller = (
            self._clock.monotonic(),
            Poller(self._clock, Patience(longest=5.0).throughout(timeout)),
        )
        await self._providers.wait_serving(model, timeout=timeout)
        # The gateway reads the providers every few seconds. Until then, it has no route to a new adapter.
        while not await self._is_routed(model):
            if self._clock.monotonic() - begin > timeout:
                raise WaitTimeoutError(
                    f"a server has {model}, but the gateway has no route to it after {timeout:g} s",
                    hint="Look at the status of the provider: helix.providers.list(workspace='-')",
                )
            await poller.rest()
        return model

    async def _is_routed(self, model: str) -> bool:
        body: dict[str, JsonValue] = {"model": model, "prompt": " ", "max_tokens": 1}
        try:
            await self._http.json(Call("POST", "/v1/completions", json=body, repeatable=True))
        except NotFoundError:
            return False
        except LawtagsError:
            # Whatever refuses or fails here knows the model; real questions tell it with their own hints.
            return True
        return True

    async def advice(self, model: str) -> str | None:
        base, adapter = split_adapter(model)
        try:
            served = [
                entry.model_entity_id
                async for provider in self._providers.list(workspace="-")
                for entry in provider.served_models
            ]
        except LawtagsError:
            return None
        if model in served:
            return None
        near = [name for name in served if adapter and split_adapter(name)[0] == base]
        listed = ", ".join(sorted(near or served)[:10]) or "none"
        return f"Served models: {listed}. A server is read every few seconds; use one of these names."
