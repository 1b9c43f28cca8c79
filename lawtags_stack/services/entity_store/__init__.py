"""The Entity Store: namespaces, projects, datasets and models by name."""

from __future__ import annotations

from lawtags_stack.services.entity_store.routes import EntityStoreService

__all__ = ["EntityStoreService"]
