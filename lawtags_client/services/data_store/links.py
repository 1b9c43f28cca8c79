"""LFS links, which may name a host that only the cluster itself can reach."""

from __future__ import annotations

import logging
from dataclasses import replace
from urllib.parse import SplitResult, urlsplit, urlunsplit

from lawtags_client.errors import ConnectionFailedError, ProtocolError
from lawtags_client.setting_options import LfsRewrite
from lawtags_client.transport.call import Call
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.transport.raw import Reply

logger = logging.getLogger(__name__)


class Links:
    """Follows links that the Data Store hands out.

    Args:
        http: the way to the Data Store.
        rewrite: ``"never"`` takes a link as it is, ``"always"`` puts the Data Store's own address in place of
            the link's, ``"auto"`` does so once a link's host proves unreachable.
    """

    def __init__(self, http: ServiceTransport, rewrite: LfsRewrite) -> None:
        self._http = http
        self._rewrite = rewrite
        self._unreachable: set[str] = set()

    async def send(self, call: Call) -> Reply:
        """Send a request to a link.

        Raises:
            ProtocolError: the link is not an HTTP address.
            ConnectionFailedError: neither the link's host nor the Data Store's answers.
        """
        own, host = urlsplit(self._http.address.url), _parsed(call.path).netloc
        moved = replace(call, path=self._at_own_address(call.path))
        if host == own.netloc or self._rewrite == "never":
            return await self._http.send(call)
        if self._rewrite == "always" or host in self._unreachable:
            return await self._http.send(moved)
        try:
            return await self._http.send(replace(call, max_retries=0))
        except ConnectionFailedError:
            logger.info(
                "the Data Store's links name %s, which cannot be reached; using its own address", host
            )
            self._unreachable.add(host)
        return await self._http.send(moved)

    def _at_own_address(self, link: str) -> str:
        own, parts = urlsplit(self._http.address.url), _parsed(link)
        below = f"{parts.path}/".startswith(f"{own.path}/")
        path = parts.path if below else own.path + parts.path
        return urlunsplit((own.scheme, own.netloc, path, parts.query, ""))


def _parsed(link: str) -> SplitResult:
    try:
        parts = urlsplit(link)
    except ValueError as error:
        raise _unusable(link) from error
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise _unusable(link)
    return parts


def _unusable(link: str) -> ProtocolError:
    return ProtocolError(
        f"the Data Store returned a link that is not an HTTP URL: {link.partition('?')[0][:200]!r}",
        hint="Check the Data Store's external address.",
        service="data_store",
    )
