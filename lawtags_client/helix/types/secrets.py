"""Wire models of the secrets service."""

from __future__ import annotations

from pydantic import Field

from lawtags_client.helix.types.common import HelixRequest, Resource


class Secret(Resource):
    """A secret without its value."""


class SecretValue(Resource):
    """A secret with its value, which no repr shows."""

    value: str | None = Field(default=None, repr=False)


class SecretRequest(HelixRequest):
    """What creates a secret."""

    name: str
    value: str = Field(repr=False)
    description: str | None = None


class SecretChanges(HelixRequest):
    """What changes a secret."""

    value: str | None = Field(default=None, repr=False)
    description: str | None = None
