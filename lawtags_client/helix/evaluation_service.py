"""The way to the evaluation service: NeMo Helix calls it ``evals``, nemo-platform ``evaluator``.

The platform is asked which name it has, once per client. The question names no workspace, so that a missing
workspace is never taken for a missing service.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from lawtags_client.errors import ConfigurationError, NotFoundError, ProtocolError
from lawtags_client.helix.refusals import explained
from lawtags_client.json_value import JsonValue
from lawtags_client.settings import ServiceAddress
from lawtags_client.transport.call import Call
from lawtags_client.transport.http import ServiceTransport, Transport
from lawtags_client.transport.raw import Reply

EVALUATION = "evals"
"""The name in the paths of calls, until the name that the platform has is put in its place."""

NAMES = (EVALUATION, "evaluator")
"""What platforms call the service, the newest name first."""


class EvaluationTransport(ServiceTransport):
    """Sends each call to the evaluation service under the name that the platform has for it.

    A call raises ConfigurationError where the platform has no such service.

    Args:
        transport: the connections.
        address: of the platform.
    """

    def __init__(self, transport: Transport, address: ServiceAddress) -> None:
        super().__init__(transport, address, explained)
        self._name: str | None = None

    async def name(self) -> str | None:
        """The name of the service on this platform, or None without one.

        Raises:
            APIError: the platform refuses to say.
        """
        if self._name is None:
            # That there is none is not kept: the service may be added while the client lives.
            self._name = await self._ask()
        return self._name

    async def json(self, call: Call) -> JsonValue:
        return await super().json(await self._named(call))

    async def json_reply(self, call: Call) -> tuple[Reply, JsonValue]:
        return await super().json_reply(await self._named(call))

    async def send(self, call: Call) -> Reply:
        return await super().send(await self._named(call))

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[tuple[Reply, AsyncIterator[bytes]]]:
        async with super().stream(await self._named(call)) as opened:
            yield opened

    async def _named(self, call: Call) -> Call:
        prefix = f"/apis/{EVALUATION}/"
        if not call.path.startswith(prefix):
            return call
        name = await self.name()
        if name is None:
            # Not a NotFoundError: that would say that a job does not exist.
            raise ConfigurationError(
                f"{self.address.url} has no evaluation service",
                hint=f"Start the platform with its service {' or '.join(NAMES)}, or correct the address; "
                f"it comes from {self.address.origin}.",
                service=self.address.service,
            )
        return replace(call, path=f"/apis/{name}/{call.path.removeprefix(prefix)}")

    async def _ask(self) -> str | None:
        for name in NAMES:
            try:
                answer = await super().json(Call("GET", f"/apis/{name}/v1/healthz"))
            except (NotFoundError, ProtocolError):
                continue
            if isinstance(answer, dict):
                return name
        return None
