"""The form of a service's address."""

from __future__ import annotations

from collections.abc import Mapping

from lawtags_client.errors import ConfigurationError

# People paste the base of an OpenAI or Hugging Face client, which already holds a part of our paths.
_KNOWN_SUFFIXES: Mapping[str, str] = {"inference_url": "/v1", "data_store_url": "/v1/hf"}


def checked_url(name: str, value: str) -> str:
    """A base URL without a slash at its end.

    Args:
        name: the setting or argument, for messages.
        value: the URL.

    Raises:
        ConfigurationError: it is not one.
    """
    from urllib.parse import urlsplit

    given: object = value
    if not isinstance(given, str):
        raise ConfigurationError(f"{name} is a {type(given).__name__}", hint="Pass the URL as text.")
    try:
        parts = urlsplit(value.strip())
        _ = parts.port
    except ValueError as error:
        if "@" in value:
            # What cannot be read as a port may be a part of a password.
            raise _has_credentials(name) from None
        raise ConfigurationError(f"{name} is not a URL: {error}") from None
    if parts.username or parts.password:
        raise _has_credentials(name)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        if "@" in value:
            raise _has_credentials(name)
        # A query may hold a key.
        shown = value.partition("?")[0].partition("#")[0]
        raise ConfigurationError(
            f"{name} is not a base URL: {shown!r}{' with a query' if parts.query else ''}",
            hint="Use the form http://host:port, without a query.",
        )
    base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    base = base.removesuffix(_KNOWN_SUFFIXES.get(name, "\0"))
    if base.endswith("/v1"):
        raise ConfigurationError(f"{name} ends with /v1", hint="Remove /v1 from its end; lawtags adds it.")
    return base


def _has_credentials(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name} contains credentials", hint="Pass them as a token; URLs appear in messages and logs."
    )
