"""Entities with a name and a namespace, which most resources of the API are."""

from __future__ import annotations

from lawtags_stack.entities.routes import entity_routes
from lawtags_stack.entities.store import EntityKind, EntityRecord, EntityTable

__all__ = ["EntityKind", "EntityRecord", "EntityTable", "entity_routes"]
