"""Requests to providers: addresses, headers and secrets."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from lawtags_client.errors import ServerError
from lawtags_client.json_value import JsonObject
from lawtags_stack.helix.refusals import HelixError
from lawtags_stack.helix.secrets import Secrets
from lawtags_stack.helix.tables import split_reference
from lawtags_stack.http.bodies import LARGEST_JSON, strict_json
from lawtags_stack.service import StackContext
from lawtags_stack.services.evaluator.addresses import guarded_client, policy_of

_TIMEOUT = httpx.Timeout(600.0, connect=10.0)
_LISTING_SECONDS = 5.0
# Headers of one connection, and the caller's credentials for the platform.
_NOT_FORWARDED = frozenset(
    {
        "host", "content-length", "connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade",
        "proxy-authorization", "proxy-authenticate", "authorization", "accept-encoding", "cookie",
    }
)  # fmt: skip
_DEFAULT_FORMAT = "Authorization: Bearer {{ auth_secret }}"


class Upstream:
    """Calls providers.

    Args:
        context: the stack.
        secrets: the API keys of providers.
    """

    def __init__(self, context: StackContext, secrets: Secrets) -> None:
        self._secrets = secrets
        self._token = context.options.token
        self._policy = policy_of(context)
        self._client: httpx.AsyncClient | None = None

    async def models(self, provider: JsonObject) -> list[JsonObject]:
        """List the models of a provider.

        Raises:
            httpx.HTTPError: it does not respond.
            ServerError: its response is no list of models.
        """
        request = self.request(provider, "GET", "v1/models", "", {}, b"")
        request.extensions["timeout"] = httpx.Timeout(_LISTING_SECONDS).as_dict()
        response = await self.send(request)
        try:
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > LARGEST_JSON:
                    raise ServerError("the list of models is too large")
        finally:
            await response.aclose()
        body = strict_json(bytes(content)) if response.status_code == 200 else None
        data = body.get("data") if isinstance(body, dict) else None
        if not isinstance(data, list):
            raise ServerError(f"GET /v1/models: HTTP {response.status_code} without a list of models")
        return [each for each in data if isinstance(each, dict)]

    def request(
        self,
        provider: JsonObject,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> httpx.Request:
        """Build a request to a provider.

        Args:
            provider: the provider.
            method, path, query: of the request, below the provider's URL.
            headers: the caller's headers.
            body: the body.

        Raises:
            BadRequestError: the address is not allowed.
        """
        url = f"{str(provider['host_url']).rstrip('/')}/{path}{f'?{query}' if query else ''}"
        self._policy.check(url)
        sent = {name: each for name, each in headers.items() if name.lower() not in _NOT_FORWARDED}
        default, required = provider["default_extra_headers"], provider["required_extra_headers"]
        for name, each in default.items() if isinstance(default, dict) else ():
            sent.setdefault(name.lower(), str(each))
        for name, each in required.items() if isinstance(required, dict) else ():
            sent[name.lower()] = str(each)
        sent |= self._credentials(provider, url)
        return self._opened().build_request(method, url, headers=sent, content=body or None)

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the body of the response is not read yet."""
        return await self._opened().send(request, stream=True)

    async def stop(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = guarded_client(self._policy, _TIMEOUT)
        return self._client

    def _credentials(self, provider: JsonObject, url: str) -> dict[str, str]:
        name = provider["api_key_secret_name"]
        if isinstance(name, str):
            workspace = str(provider["workspace"])
            secret = self._secrets.value(*split_reference(name, workspace))
            if secret is None:
                raise HelixError(424, f"The secret '{name}' of the provider's API key does not exist.")
            template = str(provider["auth_header_format"] or _DEFAULT_FORMAT)
            field, _, value = template.partition(":")
            for variable in ("{{ auth_secret }}", "{{auth_secret}}"):
                value = value.replace(variable, secret)
            return {field.strip().lower(): value.strip()}
        if self._token is not None and self._policy.is_own(url):
            return {"authorization": f"Bearer {self._token}"}
        return {}
