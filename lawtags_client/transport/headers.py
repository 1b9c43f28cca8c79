"""Headers that users add: checked before they are sent, and kept out of everything that people read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from lawtags_client.errors import ConfigurationError

# The client sets these itself: another value would break the framing of a message, or its decoding.
_RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Headers whose values are never secret; masking them would garble messages.
_PUBLIC = frozenset({"accept", "accept-language", "cache-control", "content-type", "user-agent"})
# Servers differ in the name.
_REQUEST_IDS = ("x-request-id", "x-correlation-id", "request-id", "nvcf-reqid")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_PARTS = re.compile(r"[\s;,=]+")
_SHORTEST_PART = 8


def checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers that can be sent, by their names in lower case.

    Raises:
        ConfigurationError: a name or a value is invalid, or the client sets the header itself. The value,
            which may be a secret, is not repeated.
    """
    given: object = {} if headers is None else headers
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"the headers are a {type(given).__name__}", hint="Pass a dictionary of names and values."
        )
    found: dict[str, str] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"{str(name)[:60]!r} is not a valid name of a header",
                hint="Use letters, digits and hyphens.",
            )
        if name.lower() in _RESERVED:
            raise ConfigurationError(
                f"the header {name} is set by the client itself", hint="Remove it from the headers."
            )
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise ConfigurationError(
                f"the value of the header {name} is not valid",
                hint="Use printable ASCII text, without line breaks.",
            )
        found[name.lower()] = value.strip()
    return found


def secrets_in_headers(headers: Mapping[str, str]) -> Iterator[str]:
    """Every value that may be a secret, and its longer parts, such as what follows ``Bearer``."""
    for name, value in headers.items():
        if name.lower() not in _PUBLIC:
            yield value
            yield from (part for part in _PARTS.split(value) if len(part) >= _SHORTEST_PART)


def request_id(headers: Mapping[str, str]) -> str | None:
    """The server's id for a request, from the headers of its response."""
    for name in _REQUEST_IDS:
        if value := headers.get(name):
            return str(value)
    return None
