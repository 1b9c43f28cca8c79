"""The Data Store: repositories of datasets and models, with the Hugging Face Hub API."""

from __future__ import annotations

from lawtags_stack.services.data_store.routes import DataStoreService

__all__ = ["DataStoreService"]
