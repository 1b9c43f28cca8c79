"""The Entity Store: namespaces, projects, data sets and models by name."""

from __future__ import annotations

from lawtags_client.local.entity_store.routes import create

__all__ = ["create"]
