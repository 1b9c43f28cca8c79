"""The Data Store: repositories of data sets and models behind the Hugging Face protocol."""

from __future__ import annotations

from lawtags_stack.services.data_store.routes import DataStoreService

__all__ = ["DataStoreService"]
