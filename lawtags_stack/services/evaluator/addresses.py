"""Restricts the addresses that evaluations may call; blocks cloud metadata services."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Iterator
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from lawtags_client.errors import BadRequestError
from lawtags_client.json_value import JsonValue
from lawtags_stack.http.origin import is_loopback_name
from lawtags_stack.service import StackContext
from lawtags_stack.services.evaluator.model_spec import ModelFields
from lawtags_stack.services.evaluator.spec import ParsedEvaluation

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
# Cloud metadata services that are not link-local: AWS and Google over IPv6, Alibaba, Oracle, Azure.
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PORTS = {"http": 80, "https": 443}


class AddressPolicy:
    """Checks URLs before a request, and again the addresses that their host names resolve to.

    Args:
        link_local: allow link-local addresses and metadata services.
        own: URLs of the stack itself.
    """

    def __init__(self, *, link_local: bool, own: Iterable[str] = ()) -> None:
        self._link_local = link_local
        self._own = frozenset(_origin(httpx.URL(url)) for url in own)

    def check(self, url: str) -> None:
        """Reject a URL that is invalid or not allowed; resolves no names.

        Raises:
            BadRequestError: it is not an HTTP URL, or its address is not allowed.
        """
        parsed = _parsed(url)
        if not self._link_local:
            self._check_host(url, parsed.host)

    def is_own(self, url: str) -> bool:
        """Whether a URL belongs to the stack: the same scheme, host and port."""
        try:
            return _origin(_parsed(url)) in self._own
        except BadRequestError:
            return False

    async def resolve(self, host: str, port: int) -> list[str]:
        """Resolve a host to addresses, all of which are allowed.

        Raises:
            BadRequestError: an address is not allowed.
            OSError: the host cannot be resolved.
        """
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        if not self._link_local:
            for address in addresses:
                if is_metadata(ipaddress.ip_address(address.partition("%")[0])):
                    raise _refused(host, address)
        return addresses

    async def check_proxied(self, url: str) -> None:
        """Check a URL that a proxy will call, if its host can be resolved locally.

        Raises:
            BadRequestError: it is not allowed.
        """
        parsed = _parsed(url)
        try:
            await self.resolve(parsed.host, parsed.port or _PORTS[parsed.scheme])
        except (OSError, UnicodeError):
            return  # only the proxy can resolve it

    def _check_host(self, url: str, host: str) -> None:
        plain = host.lower().rstrip(".")
        if plain in _METADATA_NAMES or plain.endswith(".instance-data.ec2.internal"):
            raise _refused(url, plain)
        address = _literal(plain)
        if address is not None and is_metadata(address):
            raise _refused(url, str(address))


def policy_of(context: StackContext) -> AddressPolicy:
    """The policy for a stack's options; the stack's token is sent only to its own URLs."""
    return AddressPolicy(
        link_local=context.options.link_local, own=(context.urls.inference, context.urls.platform)
    )


def addresses_in(spec: ParsedEvaluation) -> Iterator[str]:
    """The URLs in an evaluation: of its model and of its judges."""
    model = spec.target.model
    if isinstance(model, ModelFields):
        url = model.api_endpoint.url if model.api_endpoint else model.url
        if url is not None:
            yield url
    for task in spec.config.tasks.values():
        for metric in (task.metrics or {}).values():
            yield from _address((metric.params or {}).get("model"))


def _address(model: JsonValue) -> Iterator[str]:
    """The URL of the model in a metric's parameters."""
    if isinstance(model, dict):
        endpoint = model.get("api_endpoint") or model
        if isinstance(endpoint, dict) and endpoint.get("url") is not None:
            yield str(endpoint["url"])


def is_metadata(address: Address) -> bool:
    """Whether an address is link-local or a metadata service, including IPv4 addresses embedded in IPv6."""
    return any(each.is_link_local or each in _METADATA for each in _unwrapped(address))


def guarded_client(policy: AddressPolicy, timeout: httpx.Timeout) -> httpx.AsyncClient:
    """A client without proxies that connects to allowed addresses only."""
    transport = httpx.AsyncHTTPTransport(trust_env=False)
    # httpx has no parameter for it. The name is resolved once, so the checked address is the one called.
    transport._pool = httpcore.AsyncConnectionPool(
        ssl_context=httpx.create_ssl_context(),
        max_connections=100,
        max_keepalive_connections=20,
        keepalive_expiry=5.0,
        network_backend=_CheckedNetwork(policy),
    )
    return httpx.AsyncClient(transport=transport, timeout=timeout, follow_redirects=False)


def is_proxied(url: str) -> bool:
    """Whether the environment configures a proxy for a URL; local URLs are always called directly."""
    parsed = _parsed(url)
    if is_loopback_name(parsed.host) or proxy_bypass(parsed.host):
        return False
    proxies = getproxies()
    return bool(proxies.get(parsed.scheme) or proxies.get("all"))


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await asyncio.wait_for(self._policy.resolve(host, port), timeout)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} could not be resolved in time") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host}: {error}") from error
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
        host, port = parsed.host, parsed.port  # accessing the host decodes international names
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise BadRequestError(f"The address {url[:200]!r} is invalid: {error}") from None
    if parsed.scheme not in _PORTS or not host or (port is not None and not 0 < port < 65536):
        raise BadRequestError(f"The address {url[:200]!r} is invalid; it must begin with http:// or https://")
    return parsed


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host.lower(), url.port or _PORTS.get(url.scheme, 0)


def _literal(host: str) -> Address | None:
    """Parse a host that is an IP address, in any notation that the resolver accepts."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        pass
    try:
        # Decimal, octal and hexadecimal forms, and forms with fewer than four parts.
        return ipaddress.ip_address(socket.inet_aton(host))
    except (OSError, UnicodeError, ValueError):
        return None


def _unwrapped(address: Address) -> Iterator[Address]:
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        for inner in (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())):
            if inner is not None:
                yield inner
        if address in _NAT64 or int(address) < 1 << 32:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _refused(url: str, address: str) -> BadRequestError:
    return BadRequestError(
        f"The address {url[:200]!r} is not allowed: {address} is link-local or a metadata service. "
        "Allow such addresses with: lawtags local up --allow-link-local"
    )
