"""The Data Store: repositories of data sets and models behind the Hugging Face protocol."""

from __future__ import annotations

from lawtags_client.local.data_store.routes import create

__all__ = ["create"]
