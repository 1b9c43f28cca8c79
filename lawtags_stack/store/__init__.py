"""Persistent storage of the services: one SQLite file and a folder of content-addressed blobs."""

from __future__ import annotations

from lawtags_stack.store.blobs import Blob, Blobs, BlobWriter, DamagedBlobError
from lawtags_stack.store.database import Database
from lawtags_stack.store.documents import Documents, DuplicateKeyError, Records

__all__ = [
    "Blob",
    "BlobWriter",
    "Blobs",
    "DamagedBlobError",
    "Database",
    "Documents",
    "DuplicateKeyError",
    "Records",
]
