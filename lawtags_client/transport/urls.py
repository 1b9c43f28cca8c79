"""Addresses of requests: taken apart, shown, compared."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from lawtags_client.errors import ProtocolError

if TYPE_CHECKING:
    import httpx


@lru_cache(maxsize=512)
def parsed(url: str) -> httpx.URL:
    """An address taken apart.

    Raises:
        ProtocolError: it is not valid.
    """
    import httpx

    try:
        parsed = httpx.URL(url)
        # Both can still find the name wrong.
        _ = parsed.host, parsed.port
    except (httpx.InvalidURL, ValueError) as error:
        raise ProtocolError(
            f"{url.partition('?')[0][:200]!r} is not a valid address: {error}",
            hint="Check the address, or ask who runs the service that gave it.",
        ) from error
    return parsed


def shown(url: httpx.URL) -> str:
    """An address for messages: without credentials and query, where signed links hold secrets."""
    path = url.raw_path.partition(b"?")[0].decode("ascii")
    return f"{url.scheme}://{url.netloc.decode('ascii')}{path}"


def same_place(here: httpx.URL, there: httpx.URL) -> bool:
    """Whether two addresses are of one server, or the second is the first by TLS."""
    if here.host != there.host:
        return False
    upgraded = here.scheme == "http" and there.scheme == "https" and not here.port and not there.port
    return upgraded or (here.scheme, here.port) == (there.scheme, there.port)
