"""Distinguishes requests of programs from those that a web page made a browser send."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope

_DEFAULT_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/@\\?#]+)(?::([0-9]{1,5}))?")
_LAST_PORT = 65535
_OWN_SITES = frozenset({"same-origin", "none"})


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """Rejects requests that a web page may have sent.

    A browser states where a request comes from (``Origin``, ``Sec-Fetch-Site``) and which host it addressed
    (``Host``); after DNS rebinding, that is not one of the stack's hosts.

    Args:
        hosts: additional host names of the stack.
        any_host: accept every host name. Safe if each request needs a token, which a browser never adds by
            itself; names of container services then work without being listed.
    """

    hosts: frozenset[str] = frozenset()
    any_host: bool = False

    @classmethod
    def of(cls, bound: str, allowed: Iterable[str], *, token: bool) -> OriginPolicy:
        """Create the policy of a stack.

        Args:
            bound: the address or name that it is bound to.
            allowed: additional host names, without ports.
            token: whether every request must carry a token.
        """
        return cls(frozenset(map(_plain_host, (bound, *allowed))), any_host=token)

    def refusal(self, scope: Scope) -> str | None:
        """Return why a request is rejected; ``None`` if it is accepted.

        Args:
            scope: the ASGI scope of an HTTP request.
        """
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if not self.any_host and not all(self._own(host, scope) for host in hosts):
            return (
                f"This stack does not accept requests for the host {hosts[0][:200]!r}. Use the address that "
                "it prints at startup, or allow the name: lawtags local up --allow-host NAME"
            )
        sites = headers.getlist("sec-fetch-site")
        foreign = [each for each in sites if each.lower() not in _OWN_SITES]
        foreign += [origin for origin in headers.getlist("origin") if not _same(origin, hosts)]
        if foreign:
            return (
                f"A web page of another origin ({foreign[-1][:200]!r}) sent this request. "
                "Only programs may use this stack, and they send neither Origin nor Sec-Fetch-Site."
            )
        return None

    def _own(self, host: str, scope: Scope) -> bool:
        found = _authority(host)
        if found is None:
            return False
        plain, _ = found
        server = scope.get("server")
        local = _plain_host(str(server[0])) if server else None
        return is_loopback_name(plain) or plain in self.hosts or plain == local


def is_loopback_name(host: str) -> bool:
    """Whether a URL's host always means this machine: localhost, 127.0.0.0/8, ::1."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return _unmapped(ipaddress.ip_address(host)).is_loopback
    except ValueError:
        return False


def _plain_host(host: str) -> str:
    plain = host.strip("[]").lower().removesuffix(".")
    try:
        return str(_unmapped(ipaddress.ip_address(plain)))
    except ValueError:
        return plain


def _unmapped(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _authority(text: str) -> tuple[str, int | None] | None:
    """Parse ``name[:port]``; None if there is anything else, such as a login or a path."""
    found = _AUTHORITY.fullmatch(text)
    port = int(found[2]) if found and found[2] else None
    if found is None or (port is not None and port > _LAST_PORT):
        return None
    return _plain_host(found[1]), port


def _same(origin: str, hosts: list[str]) -> bool:
    """Whether an origin is the requested host; behind a proxy the scheme may differ."""
    scheme, _, rest = origin.partition("://")
    default = _DEFAULT_PORTS.get(scheme.lower())
    given = _authority(rest)
    if default is None or given is None:
        return False
    asked = filter(None, map(_authority, hosts))
    return any((name, port or default) == (given[0], given[1] or default) for name, port in asked)
