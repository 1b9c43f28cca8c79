"""What the wire models of all services of Helix share.

Lists leave out fields that are null, so every field of an entity has a default. Unknown fields and unknown
states are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from lawtags_client.errors import ConfigurationError
from lawtags_client.json_value import JsonValue
from lawtags_client.types.common import Items, Mapped, Page, Size, UtcDateTime, WireModel, WireRequest

__all__ = ["HelixRequest", "Items", "Mapped", "Page", "Resource", "Size", "UtcDateTime", "WireModel"]


class Resource(WireModel):
    """A named entity of a workspace."""

    id: str | None = None
    name: str
    workspace: str | None = None
    project: str | None = None
    description: str | None = None
    created_at: UtcDateTime | None = None
    updated_at: UtcDateTime | None = None
    created_by: str | None = None
    updated_by: str | None = None

    @property
    def reference(self) -> str:
        """``workspace/name``, or the bare name where the answer has no workspace."""
        return f"{self.workspace}/{self.name}" if self.workspace else self.name


class HelixRequest(WireRequest):
    """Base of request bodies; Helix ignores unknown fields silently, so they are refused here."""

    def to_wire(self) -> dict[str, JsonValue]:
        """The JSON object to send.

        Raises:
            ConfigurationError: a field, at any depth, is not one of the API, or a number is not finite.
        """
        unknown = next(_unknown(self, ""), None)
        if unknown is not None:
            place, known = unknown
            raise ConfigurationError(f"unknown field {place}", hint=f"Known fields there: {', '.join(known)}")
        return super().to_wire()


def _unknown(value: Any, place: str) -> Iterator[tuple[str, list[str]]]:
    if isinstance(value, HelixRequest):
        for name in sorted(value.model_extra or ()):
            yield f"{place}{name}", sorted(type(value).model_fields)
        for name in type(value).model_fields:
            yield from _unknown(getattr(value, name), f"{place}{name}.")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            if isinstance(inner, BaseModel):
                yield from _unknown(inner, f"{place}{index}.")
