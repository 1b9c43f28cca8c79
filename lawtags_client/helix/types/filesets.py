"""Wire models of the files service."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from lawtags_client.helix.types.common import HelixRequest, Items, Mapped, Resource, Size, WireModel
from lawtags_client.json_value import JsonValue

Purpose: TypeAlias = Literal["dataset", "environment", "generic", "model"] | str
"""A label; it changes nothing else."""

SERVICE_MARK = "service_source"
"""The custom field that makes the files of a fileset immutable for ordinary callers."""


class Fileset(Resource):
    """A folder of files on the platform."""

    purpose: Purpose | None = None
    storage: Mapped[JsonValue] = Field(default_factory=dict)
    metadata: Mapped[JsonValue] = Field(default_factory=dict)
    custom_fields: Mapped[JsonValue] = Field(default_factory=dict)

    @property
    def is_locked(self) -> bool:
        """Whether a service has uploaded the files, so that ordinary callers cannot change them."""
        return bool(self.custom_fields.get(SERVICE_MARK))


class FilesetRequest(HelixRequest):
    """What creates a fileset."""

    name: str
    purpose: Purpose | None = None
    description: str | None = None
    project: str | None = None
    metadata: dict[str, JsonValue] | None = None
    custom_fields: dict[str, JsonValue] | None = None
    storage: dict[str, JsonValue] | None = None


class FilesetChanges(HelixRequest):
    """What changes a fileset; maps are replaced whole."""

    purpose: Purpose | None = None
    description: str | None = None
    project: str | None = None
    metadata: dict[str, JsonValue] | None = None
    custom_fields: dict[str, JsonValue] | None = None


class FilesetFile(WireModel):
    """A file of a fileset; there is no checksum."""

    path: str
    size: Size | None = None
    file_ref: str | None = None
    file_url: str | None = None
    cache_status: str | None = None


class FilesetListing(WireModel):
    """The files of a fileset, in no order."""

    data: Items[FilesetFile] = Field(default_factory=list)
