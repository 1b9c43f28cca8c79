"""Which models are served."""

from __future__ import annotations

from lawtags_client.errors import APIError, ConfigurationError, LawtagsError, WaitTimeoutError
from lawtags_client.json_value import JsonValue
from lawtags_client.services.parsing import parse
from lawtags_client.services.watching import Patience, Poller
from lawtags_client.transport.call import Call
from lawtags_client.transport.clock import Clock
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.types.inference import ServedModel, ServedModels

_BEHIND_ONE_HOST = "/nim/v1/models"
_MOST_NAMED = 10


class Served:
    """The list of served models.

    Args:
        http: the transport of the service.
        path: where the list is.
        clock: time and sleep.
    """

    def __init__(self, http: ServiceTransport, path: str, clock: Clock) -> None:
        self._http, self._models_path, self._clock = http, path, clock

    async def models(self) -> list[ServedModel]:
        """What is served now, adapters included."""
        data = await self._http.json(Call("GET", self._models_path))
        if _is_registry(data):
            data = await self._proxy_models()
        return (await parse(ServedModels, data, self._http)).data

    async def _proxy_models(self) -> JsonValue:
        """The list where one host carries all services, so that ``/v1/models`` is the Entity Store's."""
        try:
            data = await self._http.json(Call("GET", _BEHIND_ONE_HOST))
        except APIError:
            data = None
        if data is None or _is_registry(data):
            address = self._http.address
            raise ConfigurationError(
                f"{address.url}{self._models_path} lists the Entity Store's models, not the served ones",
                hint=f"The address comes from {address.origin}. Set LAWTAGS_INFERENCE_URL to "
                "the address of the NIM Proxy.",
                service="inference",
            )
        self._models_path = _BEHIND_ONE_HOST
        return data

    async def wait(self, model: str, timeout: float) -> str:
        """Wait until a model is listed; an adapter needs a refresh of the server after its training.

        Args:
            model: its id, ``namespace/name@version``.
            timeout: seconds to wait.

        Raises:
            WaitTimeoutError: it was not listed in time.
        """
        clock = self._clock
        begin, poller = clock.monotonic(), Poller(clock, Patience(longest=10.0).throughout(timeout))
        while True:
            listed = [served.id for served in await poller.look(self.models)]
            if model in listed:
                return model
            if clock.monotonic() - begin > timeout:
                others = ", ".join(listed[:10]) or "none"
                raise WaitTimeoutError(
                    f"{model} is not served after {timeout:g} s; served models: {others}",
                    hint="An adapter needs a running server of its base model that loads adapters; "
                    "merged and full models need a deployment.",
                    service="inference",
                )
            await poller.rest()

    async def advice(self, model: str) -> str | None:
        """What to say of a model that was not found; None where that cannot be told."""
        try:
            served = [entry.id for entry in await self.models()]
        except LawtagsError:
            return None
        if model in served:
            return None
        versions = [name for name in served if name.partition("@")[0] == model.partition("@")[0]]
        if versions:
            return f"Served versions of it: {', '.join(versions[:_MOST_NAMED])}. Use one of them."
        others = ", ".join(served[:_MOST_NAMED]) or "none"
        return f"Served models: {others}. List all with: lawtags models ls"


def _is_registry(data: object) -> bool:
    # OpenAI's list has neither pages nor namespaces.
    if not isinstance(data, dict):
        return False
    entries = data.get("data")
    named = isinstance(entries, list) and any(isinstance(e, dict) and "namespace" in e for e in entries)
    return "pagination" in data or named
