"""Repositories, files and commits as Hugging Face clients read them."""

from __future__ import annotations

from typing import Any

from lawtags_stack.services.data_store.git import pointer
from lawtags_stack.services.data_store.repositories import Commit, Repository
from lawtags_stack.services.data_store.trees import FileEntry, FolderEntry


def repository_shown(
    repository: Repository, commit: Commit, files: list[FileEntry] | None, *, blobs: bool = False
) -> dict[str, Any]:
    """A repository at a revision.

    Args:
        files: its files; ``None`` leaves them out, as in lists.
        blobs: whether files carry size and object names.
    """
    name = f"{repository.namespace}/{repository.name}"
    shown: dict[str, Any] = {
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


def entry_shown(entry: FileEntry | FolderEntry) -> dict[str, Any]:
    """A file or folder of a tree."""
    if isinstance(entry, FolderEntry):
        return {"type": "directory", "oid": entry.oid, "size": 0, "path": entry.path}
    shown: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": entry.path}
    if entry.lfs:
        shown["lfs"] = _lfs(entry, "oid")
    return shown


def commit_shown(commit: Commit) -> dict[str, Any]:
    """A commit of a history."""
    return {
        "id": commit.oid,
        "title": commit.title,
        "message": commit.message,
        "authors": [{"user": "lawtags"}],
        "date": commit.created_at,
    }


def _sibling(file: FileEntry, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": file.path}
    shown: dict[str, Any] = {"rfilename": file.path, "size": file.size, "blobId": file.oid}
    if file.lfs:
        shown["lfs"] = _lfs(file, "sha256")
    return shown


def _lfs(file: FileEntry, digest: str) -> dict[str, Any]:
    size = len(pointer(file.sha256, file.size))
    return {digest: file.sha256, "size": file.size, "pointerSize": size}
