"""Wire models of the platform itself."""

from __future__ import annotations

from pydantic import Field

from lawtags_client.helix.types.common import Items, WireModel


class ClusterInfo(WireModel):
    """What tells Helix from other platforms."""

    platform_version: str
    revision: str | None = None


class CustomizationHealth(WireModel):
    """Which training backends the customization service has."""

    status: str | None = None
    contributors: Items[str] = Field(default_factory=list)
