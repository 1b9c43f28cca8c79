"""Which HTTP client carries a request: its proxies, certificates and limits."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from lawtags_client.errors import ClientClosedError, ConfigurationError
from lawtags_client.settings import Settings

if TYPE_CHECKING:
    import ssl

    import httpx

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# Shorter than the five seconds after which common servers hang up, or requests meet closed doors.
_KEEPALIVE = 3.0


def _load_httpx() -> None:
    """Import httpx without its command line, whose rich, click and pygments take longer than all the rest.

    It does without where they are not installed; they are held to be missing while it is imported.
    """
    if "httpx" in sys.modules:
        return
    held = "httpx._main"
    sys.modules[held] = None  # type: ignore[assignment]
    try:
        import httpx  # noqa: F401
    finally:
        sys.modules.pop(held, None)


_POOLED = "lawtags_client.transport.pooled"


def _is_imported(module: str, name: str) -> bool:
    """Whether a module has a name already, as one does not that another thread still imports."""
    return hasattr(sys.modules.get(module), name)


class _Use(NamedTuple):
    """What a client is used for."""

    loop: asyncio.AbstractEventLoop
    trust_env: bool
    secure: bool
    pooled: bool
    process: int


class Connections:
    """The HTTP clients behind one client of ours, a set for each event loop it is used in.

    Requests that may be repeated go over aiohttp's connections, which cost little however many are in flight.
    Creates, deletes, bodies sent in pieces, and everything that goes through a proxy use httpx's own.

    Args:
        settings: certificates, proxies, patience.
        handler: answers instead of the network, for tests.
    """

    def __init__(self, settings: Settings, handler: httpx.AsyncBaseTransport | None = None) -> None:
        _load_httpx()
        self._settings = settings
        self._handler = handler
        self._clients: dict[_Use, httpx.AsyncClient] = {}
        self._closed = False

    async def client(self, url: httpx.URL, *, repeatable: bool = False) -> httpx.AsyncClient:
        """The HTTP client for a request.

        Args:
            url: where it goes; what is on this machine never goes through a proxy.
            repeatable: sending it twice is the same as sending it once, and its body is at hand.

        Raises:
            ClientClosedError: the client is closed.
        """
        if self._closed:
            raise ClientClosedError()
        local, secure = url.host in _LOOPBACK, url.scheme == "https"
        trust_env = self._settings.trust_env and not local
        pooled = repeatable and not self.may_use_proxy(url)
        use = _Use(asyncio.get_running_loop(), trust_env, secure, pooled, os.getpid())
        if use not in self._clients:
            if pooled and self._handler is None and not _is_imported(_POOLED, "PooledTransport"):
                # Beside the loop: aiohttp takes longer to import than many a request takes to be answered.
                await asyncio.to_thread(importlib.import_module, _POOLED)
                return await self.client(url, repeatable=repeatable)
            self._clients[use] = self._make(use)
            await self._drop_orphans()
        return self._clients[use]

    def may_use_proxy(self, url: httpx.URL) -> bool:
        """Whether the environment may have a proxy carry a request."""
        return self._settings.trust_env and url.host not in _LOOPBACK and self._proxies

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        here = asyncio.get_running_loop()
        await self._drop_orphans()
        # What belongs to the process that this one was forked from is neither used nor closed here.
        clients = {use: client for use, client in self._clients.items() if use.process == os.getpid()}
        self._clients = {use: client for use, client in self._clients.items() if use not in clients}
        for use, client in clients.items():
            if use.loop is here:
                await client.aclose()
            elif use.loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(client.aclose(), use.loop)
                await asyncio.wrap_future(closing)

    async def _drop_orphans(self) -> None:
        """Let go of clients whose event loop has been closed."""
        own = os.getpid()
        for use in [use for use in self._clients if use.process == own and use.loop.is_closed()]:
            client = self._clients.pop(use)
            # httpx's own connections cannot be closed without their loop.
            if use.pooled:
                await client.aclose()

    def _make(self, use: _Use) -> httpx.AsyncClient:
        import httpx

        from lawtags_client.transport.redact import mask_logs_of_httpx

        transport = self._handler
        if use.pooled and transport is None:
            from lawtags_client.transport.pooled import PooledTransport

            transport = PooledTransport(
                self._tls if use.secure else _trusting_nobody(),
                max_connections=self._settings.max_connections,
                keepalive=_KEEPALIVE,
            )
        mask_logs_of_httpx()
        try:
            return self._client_of(transport, trust_env=use.trust_env, secure=use.secure)
        except (ValueError, httpx.InvalidURL):
            # What cannot be read may be a part of a password, so it is neither repeated nor chained.
            raise ConfigurationError(
                "the environment names a proxy that is not a URL (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY)",
                hint="Use the form http://host:port, with special characters of a password percent-encoded. "
                "Or set NO_PROXY, or trust_env = false.",
            ) from None
        except ImportError as error:
            # Of the packages that httpx brings by extras only this one can be asked for by the environment.
            raise ConfigurationError(
                "the environment names a SOCKS proxy (ALL_PROXY, HTTPS_PROXY or HTTP_PROXY), which needs the "
                "package 'socksio'",
                hint="Install it with: pip install 'httpx[socks]'. Or set NO_PROXY, or trust_env = false.",
            ) from error

    def _client_of(
        self, transport: httpx.AsyncBaseTransport | None, *, trust_env: bool, secure: bool
    ) -> httpx.AsyncClient:
        import httpx

        settings, most = self._settings, self._settings.max_connections
        return httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(settings.read_timeout, connect=settings.connect_timeout),
            limits=httpx.Limits(
                max_connections=most, max_keepalive_connections=most, keepalive_expiry=_KEEPALIVE
            ),
            trust_env=trust_env,
            verify=self._tls if secure or (trust_env and self._proxies) else _trusting_nobody(),
        )

    @cached_property
    def _proxies(self) -> bool:
        """Whether the environment, or the system's settings, name any proxy."""
        from urllib.request import getproxies

        return any(kind in ("http", "https", "all") for kind in getproxies())

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        import ssl

        import httpx

        settings = self._settings
        if not settings.ca_file and not settings.client_cert:
            return httpx.create_ssl_context(trust_env=settings.trust_env)
        try:
            context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
            if settings.client_cert:
                key = str(settings.client_key) if settings.client_key else None
                context.load_cert_chain(str(settings.client_cert), key)
        except OSError as error:
            raise ConfigurationError(
                f"the TLS certificates cannot be loaded: {error}",
                hint="Check ca_file, client_cert, and client_key.",
            ) from error
        return context


def _trusting_nobody() -> ssl.SSLContext:
    """A context for clients that never speak TLS: reading the list of authorities would be for nothing."""
    import ssl

    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
