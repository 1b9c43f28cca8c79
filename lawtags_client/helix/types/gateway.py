"""Wire models of the inference gateway; its answers are those of OpenAI's API."""

from __future__ import annotations

from pydantic import Field

from lawtags_client.helix.types.common import HelixRequest, Items, Resource
from lawtags_client.json_value import JsonValue


class VirtualModel(Resource):
    """A name of its own for a model or for an adapter."""

    default_model_entity: str | None = None
    autoprovisioned: bool | None = None
    models: Items[JsonValue] = Field(default_factory=list)


class VirtualModelRequest(HelixRequest):
    """What creates a virtual model."""

    name: str
    default_model_entity: str


class VirtualModelChanges(HelixRequest):
    """What changes a virtual model."""

    default_model_entity: str | None = None
