"""Repositories, files and commits in the format of the Hugging Face Hub."""

from __future__ import annotations

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.services.data_store.git import pointer
from lawtags_stack.services.data_store.repositories import Commit, RepositoryRecord
from lawtags_stack.services.data_store.trees import FileEntry, FolderEntry


def format_repository(
    repository: RepositoryRecord, commit: Commit, files: list[FileEntry] | None, *, blobs: bool = False
) -> JsonObject:
    """A repository at a revision.

    Args:
        files: its files; ``None`` omits them, as in lists.
        blobs: whether to include sizes and object ids of files.
    """
    name = f"{repository.namespace}/{repository.name}"
    shown: dict[str, JsonValue] = {
        "_id": f"{repository.id:024x}",
        "id": name,
        "author": repository.namespace,
        "sha": commit.oid,
        "private": repository.private,
        "gated": False,
        "disabled": False,
        "createdAt": repository.created_at,
        "lastModified": commit.created_at,
        "downloads": 0,
        "likes": 0,
        "tags": [],
    }
    if repository.type == "model":
        shown["modelId"] = name
    if files is not None:
        shown["siblings"] = [_sibling(file, blobs) for file in files]
        shown["usedStorage"] = sum(file.size for file in files)
    return shown


def format_entry(entry: FileEntry | FolderEntry) -> JsonObject:
    """A file or folder of a tree."""
    if isinstance(entry, FolderEntry):
        return {"type": "directory", "oid": entry.oid, "size": 0, "path": entry.path}
    shown: dict[str, JsonValue] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": entry.path}
    if entry.lfs:
        shown["lfs"] = _lfs(entry, "oid")
    return shown


def format_commit(commit: Commit) -> JsonObject:
    """A commit of a history."""
    return {
        "id": commit.oid,
        "title": commit.title,
        "message": commit.message,
        "authors": [{"user": "lawtags"}],
        "date": commit.created_at,
    }


def _sibling(file: FileEntry, blobs: bool) -> JsonObject:
    if not blobs:
        return {"rfilename": file.path}
    shown: dict[str, JsonValue] = {"rfilename": file.path, "size": file.size, "blobId": file.oid}
    if file.lfs:
        shown["lfs"] = _lfs(file, "sha256")
    return shown


def _lfs(file: FileEntry, digest: str) -> JsonObject:
    size = len(pointer(file.sha256, file.size))
    return {digest: file.sha256, "size": file.size, "pointerSize": size}
