"""Named things with a namespace: what most resources of the API are."""

from __future__ import annotations

from lawtags_client.local.entities.routes import entity_routes
from lawtags_client.local.entities.store import Entities, EntityKind

__all__ = ["Entities", "EntityKind", "entity_routes"]
