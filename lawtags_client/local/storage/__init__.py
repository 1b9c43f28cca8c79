"""What the services keep on disk: one SQLite file and a folder of content-addressed blobs."""

from __future__ import annotations

from lawtags_client.local.storage.blobs import Blob, Blobs, BlobWriter, DamagedBlobError
from lawtags_client.local.storage.database import Database
from lawtags_client.local.storage.documents import Document, Documents, DuplicateKeyError

__all__ = [
    "Blob",
    "BlobWriter",
    "Blobs",
    "DamagedBlobError",
    "Database",
    "Document",
    "Documents",
    "DuplicateKeyError",
]
