"""The settings of a new client: as given, or made of an address and a token."""

from __future__ import annotations

from lawtags_client.base_url import checked_url
from lawtags_client.credentials import TokenSource
from lawtags_client.errors import ConfigurationError
from lawtags_client.settings import Settings


def client_settings(
    client: str, settings: Settings | None, base_url: str | None, token: TokenSource
) -> Settings:
    """What a client is made with.

    Args:
        client: name of its class, for errors.
        settings: as passed to the client.
        base_url: of the platform, in place of settings.
        token: bearer token or a function that returns it, beside ``base_url``.

    Raises:
        ConfigurationError: neither is given, or both, or something else than settings.
    """
    if settings is None:
        if base_url is None:
            raise ConfigurationError(
                f"{client} needs a base_url",
                hint=f"Pass base_url or settings, or use {client}.from_env() to read the environment.",
            )
        return Settings(platform_url=checked_url("base_url", base_url), token=token)
    given: object = settings
    if not isinstance(given, Settings):
        kind = type(given).__name__
        raise ConfigurationError(
            f"{client} takes Settings, not {kind}",
            hint=f"Pass an address as base_url=..., and wrap an async client with sync.{client}.of(...).",
        )
    if base_url is not None or token is not None:
        raise ConfigurationError(
            f"{client} takes either settings, or base_url and token",
            hint="Set platform_url and token in the settings.",
        )
    return settings
