"""The Data Store's state, shared by its routes and the other services."""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from lawtags_client.errors import APIError, BadRequestError, ConflictError, DataError
from lawtags_client.files import make_folder, sync
from lawtags_client.types.data_store import RepoType
from lawtags_stack.services.data_store import git
from lawtags_stack.services.data_store.errors import EntryMissingError, RevisionMissingError
from lawtags_stack.services.data_store.hub_urls import FilesUrl, check_path, parse_files_url
from lawtags_stack.services.data_store.repositories import RepositoryRecord, RepositoryTables
from lawtags_stack.services.data_store.trees import FileEntry
from lawtags_stack.store import Blob, Blobs, DamagedBlobError, Database
from lawtags_stack.times import Clock, utc_now

_SHORT_OID = re.compile("[0-9a-f]{7,40}")

LARGEST_REGULAR = 10 << 20
"""Files up to this size are sent in the commit; larger ones through LFS."""


class DataStoreState:
    """The Data Store, independent of HTTP.

    Example:
        >>> state.repo_create("model", "law", "tagger", make_namespace=True)
        >>> state.commit("model", "law", "tagger", {"README.md": b"# Tagger"}, "add a card")
        >>> state.read("model", "law", "tagger", "README.md")
        b'# Tagger'

    Args:
        database: stores names and commits.
        blobs: stores content.
        clock: returns the time.
    """

    def __init__(self, database: Database, blobs: Blobs, *, clock: Clock = utc_now) -> None:
        self.blobs = blobs
        self.repositories = RepositoryTables(database, clock)
        self._database = database

    def repo_create(
        self,
        repo_type: RepoType,
        namespace: str,
        repo: str,
        *,
        private: bool = False,
        exist_ok: bool = False,
        make_namespace: bool = False,
    ) -> RepositoryRecord:
        """Create a repository.

        Raises:
            ConflictError: it exists, and ``exist_ok`` is false.
            NotFoundError: its namespace does not exist, and ``make_namespace`` is false.
        """
        if make_namespace and all(each["namespace"] != namespace for each in self.repositories.namespaces()):
            self.repositories.namespace_create(namespace)
        try:
            return self.repositories.create(repo_type, namespace, repo, private=private)
        except ConflictError:
            if not exist_ok:
                raise
            return self.repositories.get(repo_type, namespace, repo)

    def repo_delete(self, repo_type: RepoType, namespace: str, repo: str) -> None:
        """Delete a repository; see ``RepositoryTables.delete``."""
        self.repositories.delete(repo_type, namespace, repo)

    def files(
        self, repo_type: RepoType, namespace: str, repo: str, revision: str = "main"
    ) -> list[FileEntry]:
        """The files of a repository at a branch, tag or commit, sorted by path.

        Raises:
            RepositoryMissingError: the repository does not exist.
            RevisionMissingError: the revision does not exist.
        """
        repository = self.repositories.get(repo_type, namespace, repo)
        commit = self.repositories.resolve(repository, revision)
        return [*self.repositories.trees.files(commit.tree).values()]

    def entry(
        self, repo_type: RepoType, namespace: str, repo: str, path: str, revision: str = "main"
    ) -> FileEntry:
        """One file of a repository.

        Raises:
            EntryMissingError: it does not exist; otherwise as ``files``.
        """
        for file in self.files(repo_type, namespace, repo, revision):
            if file.path == path:
                return file
        raise EntryMissingError(f"{namespace}/{repo} at {revision} has no file {path[:200]!r}")

    def path(self, repo_type: RepoType, namespace: str, repo: str, path: str, revision: str = "main") -> Path:
        """The local path of a file's content, for reading only. Raises as ``entry``."""
        return self.blobs.path(self.entry(repo_type, namespace, repo, path, revision).sha256)

    def open(
        self, repo_type: RepoType, namespace: str, repo: str, path: str, revision: str = "main"
    ) -> BinaryIO:
        """Open a file for reading. Raises as ``entry``."""
        return self.path(repo_type, namespace, repo, path, revision).open("rb")

    def read(
        self, repo_type: RepoType, namespace: str, repo: str, path: str, revision: str = "main"
    ) -> bytes:
        """Read a small file. Raises as ``entry``."""
        return self.path(repo_type, namespace, repo, path, revision).read_bytes()

    def resolve_url(self, files_url: str) -> tuple[FilesUrl, list[FileEntry]]:
        """Resolve a ``files_url`` to files: one file, those in a folder, or the whole repository.

        Raises:
            UnprocessableError: it is not a URL of the Data Store.
            EntryMissingError: there are no files; otherwise as ``files``.
        """
        url = parse_files_url(files_url)
        files = self.files(url.repo_type, url.namespace, url.repo, url.revision)
        if url.path:
            files = [file for file in files if file.path == url.path or file.path.startswith(url.path + "/")]
            if not files:
                raise EntryMissingError(f"{files_url} is not present in the Data Store")
        return url, files

    def download(
        self, repo_type: RepoType, namespace: str, repo: str, folder: Path, revision: str = "main"
    ) -> Path:
        """Copy the files of a repository to a new folder, atomically.

        Args:
            folder: must not exist yet.

        Raises:
            FileExistsError: the folder exists; otherwise as ``files``.
        """
        if folder.exists():
            raise FileExistsError(folder)
        make_folder(folder.parent)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as made:
            whole = Path(made) / "files"
            whole.mkdir()
            for file in self.files(repo_type, namespace, repo, revision):
                place = whole / check_path(file.path)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.blobs.path(file.sha256), place)
                sync(place)
            for each in (whole, *(path for path in whole.rglob("*") if path.is_dir())):
                sync(each)
            whole.rename(folder)
            sync(folder.parent)
        return folder

    def commit(
        self,
        repo_type: RepoType,
        namespace: str,
        repo: str,
        files: Mapping[str, bytes | Path],
        message: str,
        *,
        revision: str = "main",
        delete: Iterable[str] = (),
    ) -> str:
        """Add and replace files in one commit, and return its id.

        Args:
            files: content, or a file to copy it from, by path in the repository.
            message: the commit message.
            revision: the branch; created from ``main`` if it does not exist.
            delete: paths of files or folders to delete.

        Raises:
            RepositoryMissingError: the repository does not exist.
            BadPathError: a path is not allowed.
        """
        repository = self.repositories.get(repo_type, namespace, repo)
        entries = [self.stored_entry(path, self.blobs.put(content)) for path, content in files.items()]
        if revision not in self.repositories.refs(repository, "branch"):
            self.repositories.ref_create(repository, "branch", revision, "main")
        return self.add_commit(repository, revision, entries, title=message, delete=delete)

    def stored_entry(self, path: str, blob: Blob, *, lfs: bool | None = None) -> FileEntry:
        """Create the entry of a stored blob at a path.

        Args:
            lfs: whether git stores only a pointer; None decides by size.
        """
        check_path(path)
        if lfs is None:
            lfs = blob.size > LARGEST_REGULAR
        if lfs:
            oid = git.pointer_oid(blob.sha256, blob.size)
        else:
            with self.blobs.open(blob.sha256) as stream:
                oid = git.blob_oid(blob.size, stream)
        return FileEntry(path, blob.size, oid, blob.sha256, lfs)

    def lfs_entry(self, path: str, sha256: str, size: int | None) -> FileEntry:
        """Create the entry of a file that was uploaded through LFS.

        Raises:
            BadRequestError: it was not uploaded, or has another size.
        """
        try:
            stored = self.blobs.path(sha256).stat().st_size
        except DamagedBlobError:
            raise BadRequestError(
                f"The LFS object {sha256} of {path[:200]!r} is damaged on this server; upload it again"
            ) from None
        except DataError:
            raise BadRequestError(
                f"The LFS object {sha256[:80]} of {path[:200]!r} was not uploaded"
            ) from None
        if size is not None and size != stored:
            raise BadRequestError(f"The LFS object of {path[:200]!r} has {stored} bytes, not {size}")
        return self.stored_entry(path, Blob(sha256, stored), lfs=True)

    def add_commit(
        self,
        repository: RepositoryRecord,
        branch: str,
        entries: Iterable[FileEntry],
        *,
        title: str,
        message: str = "",
        delete: Iterable[str] = (),
        expected_parent: str | None = None,
    ) -> str:
        """Commit stored files to a branch, and return the commit's id.

        A commit without changes does not move the branch.

        Raises:
            RevisionMissingError: the branch does not exist.
            EntryMissingError: a path to delete does not exist.
            BadRequestError: a path would be both a file and a folder.
            APIError: with status 412 if the branch is no longer at ``expected_parent``.
        """
        with self._database.transaction():
            if branch not in self.repositories.refs(repository, "branch"):
                raise RevisionMissingError(f"There is no branch {branch[:200]!r} to commit to")
            parent = self.repositories.resolve(repository, branch)
            if expected_parent is not None and not _SHORT_OID.fullmatch(expected_parent):
                raise BadRequestError(
                    f"parentCommit {expected_parent[:80]!r} is not a commit id: 7 to 40 hexadecimal digits"
                )
            if expected_parent is not None and not parent.oid.startswith(expected_parent):
                raise APIError(
                    f"The branch {branch} is at {parent.oid}, not at {expected_parent}",
                    status=412,
                )
            files = self.repositories.trees.files(parent.tree)
            _remove(files, delete)
            files.update({entry.path: entry for entry in entries})
            _check_shape(files)
            tree = self.repositories.trees.write(files.values())
            if tree[0] == parent.tree:
                return parent.oid
            return self.repositories.commit(
                repository, branch, parent=parent, tree=tree, title=title, message=message
            )

    def size(self) -> int:
        """Total size of all blobs in bytes."""
        return sum(blob.size for blob in self.blobs)

    def put_base64(self, path: str, content: bytes) -> FileEntry:
        """Store a file that was sent in a commit."""
        return self.stored_entry(path, self.blobs.put(io.BytesIO(content)), lfs=False)


def _remove(files: dict[str, FileEntry], paths: Iterable[str]) -> None:
    for path in paths:
        folder = path.rstrip("/") + "/"
        gone = [known for known in files if known == path or known.startswith(folder)]
        if not gone:
            raise EntryMissingError(f"There is no {path[:200]!r} to delete")
        for known in gone:
            del files[known]


def _check_shape(files: Mapping[str, FileEntry]) -> None:
    for path in files:
        parts = path.split("/")
        for length in range(1, len(parts)):
            above = "/".join(parts[:length])
            if above in files:
                raise BadRequestError(f"{above[:200]!r} cannot be both a file and a folder")
