"""Database tables of namespaces, repositories, commits, branches and tags."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from datetime import datetime

from lawtags_client.errors import BadRequestError, ConflictError, NotFoundError
from lawtags_client.json_value import JsonObject
from lawtags_client.types.data_store import RepoType
from lawtags_stack.http.ids import check_name
from lawtags_stack.services.data_store import git
from lawtags_stack.services.data_store.errors import RepositoryMissingError, RevisionMissingError
from lawtags_stack.services.data_store.trees import MIGRATION as TREES
from lawtags_stack.services.data_store.trees import Trees
from lawtags_stack.store import Database
from lawtags_stack.times import Clock, zulu_milliseconds, zulu_seconds

MIGRATIONS = [
    """
    CREATE TABLE data_store_namespaces (
        name TEXT PRIMARY KEY, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
    CREATE TABLE data_store_repositories (
        id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
        private INTEGER NOT NULL, created_at TEXT NOT NULL, UNIQUE (type, namespace, name));
    CREATE TABLE data_store_commits (
        repository INTEGER NOT NULL REFERENCES data_store_repositories (id) ON DELETE CASCADE,
        oid TEXT NOT NULL, parent TEXT, tree TEXT NOT NULL, title TEXT NOT NULL, message TEXT NOT NULL,
        created_at TEXT NOT NULL, PRIMARY KEY (repository, oid));
    CREATE TABLE data_store_refs (
        repository INTEGER NOT NULL REFERENCES data_store_repositories (id) ON DELETE CASCADE,
        kind TEXT NOT NULL, name TEXT NOT NULL, oid TEXT NOT NULL, PRIMARY KEY (repository, kind, name));
    """,
    TREES,
]

_OID = re.compile(r"[0-9a-f]{40}\Z")
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+\-]{0,127}\Z")


@dataclass(frozen=True, slots=True)
class RepositoryRecord:
    """A repository."""

    id: int
    type: RepoType
    namespace: str
    name: str
    private: bool
    created_at: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: its git id, its parent's, the key of its snapshot, and its message."""

    oid: str
    parent: str | None
    tree: str
    title: str
    message: str
    created_at: str


class RepositoryTables:
    """The metadata of all repositories, without their files."""

    def __init__(self, database: Database, clock: Clock) -> None:
        database.migrate("data_store", MIGRATIONS)
        self._database = database
        self._clock = clock
        self.trees = Trees(database)

    def namespace_create(self, name: str) -> JsonObject:
        """Create a namespace.

        Raises:
            ConflictError: it exists.
            UnprocessableError: the name is invalid.
        """
        check_name(name, what="namespace", versioned=False)
        now = zulu_seconds(self._clock())
        try:
            self._database.execute("INSERT INTO data_store_namespaces VALUES (?, ?, ?)", (name, now, now))
        except sqlite3.IntegrityError:
            raise ConflictError(f"Namespace {name} already exists") from None
        return self.namespace(name)

    def namespace(self, name: str) -> JsonObject:
        """Return a namespace.

        Raises:
            NotFoundError: it does not exist.
        """
        row = self._database.row("SELECT * FROM data_store_namespaces WHERE name = ?", (name,))
        if row is None:
            raise NotFoundError(f"Namespace {name} does not exist")
        return _shown(row)

    def namespaces(self) -> list[JsonObject]:
        """All namespaces, oldest first."""
        return [
            _shown(row) for row in self._database.rows("SELECT * FROM data_store_namespaces ORDER BY rowid")
        ]

    def namespace_delete(self, name: str) -> None:
        """Delete an empty namespace.

        Raises:
            NotFoundError: it does not exist.
            ConflictError: it contains repositories.
        """
        with self._database.transaction():
            self.namespace(name)
            if self._database.row("SELECT 1 FROM data_store_repositories WHERE namespace = ?", (name,)):
                raise ConflictError(f"Namespace {name} still has repositories; delete them first")
            self._database.execute("DELETE FROM data_store_namespaces WHERE name = ?", (name,))

    def create(
        self, repo_type: RepoType, namespace: str, name: str, *, private: bool = False
    ) -> RepositoryRecord:
        """Create a repository with an empty first commit on ``main``.

        Raises:
            ConflictError: it exists.
            NotFoundError: its namespace does not exist.
            UnprocessableError: the name is invalid.
        """
        check_name(name, what="repository name", versioned=False)
        now = self._clock()
        with self._database.transaction() as connection:
            self.namespace(namespace)
            try:
                identity = connection.execute(
                    "INSERT INTO data_store_repositories (type, namespace, name, private, created_at) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (repo_type, namespace, name, int(private), zulu_milliseconds(now)),
                ).lastrowid
            except sqlite3.IntegrityError:
                raise ConflictError(
                    f"The {repo_type} repository {name} already exists in namespace {namespace}"
                ) from None
            assert identity is not None
            key, oid = self.trees.write([])
            self._add_commit(identity, "main", None, key, oid, "initial commit", "", now)
        return self.get(repo_type, namespace, name)

    def get(self, repo_type: RepoType, namespace: str, name: str) -> RepositoryRecord:
        """Return a repository.

        Raises:
            RepositoryMissingError: it does not exist.
        """
        row = self._database.row(
            "SELECT * FROM data_store_repositories WHERE type = ? AND namespace = ? AND name = ?",
            (repo_type, namespace, name),
        )
        if row is None:
            raise RepositoryMissingError(f"The {repo_type} repository {namespace}/{name} does not exist")
        return _repository(row)

    def created_at(self, repo_type: RepoType, namespace: str, name: str) -> str:
        """The creation time of a repository. Raises as ``get``."""
        return self.get(repo_type, namespace, name).created_at

    def delete(self, repo_type: RepoType, namespace: str, name: str) -> None:
        """Delete a repository with all its commits.

        Raises:
            RepositoryMissingError: it does not exist.
        """
        repository = self.get(repo_type, namespace, name)
        self._database.execute("DELETE FROM data_store_repositories WHERE id = ?", (repository.id,))

    def all(self, repo_type: RepoType | None = None, namespace: str | None = None) -> list[RepositoryRecord]:
        """The repositories of a type and namespace, oldest first."""
        rows = self._database.rows(
            "SELECT * FROM data_store_repositories WHERE (? IS NULL OR type = ?) "
            "AND (? IS NULL OR namespace = ?) ORDER BY id",
            (repo_type, repo_type, namespace, namespace),
        )
        return [_repository(row) for row in rows]

    def resolve(self, repository: RepositoryRecord, revision: str) -> Commit:
        """Resolve a branch, a tag or a full commit id to a commit.

        Raises:
            RevisionMissingError: it does not exist.
        """
        row = self._database.row(
            "SELECT oid FROM data_store_refs WHERE repository = ? AND name = ? ORDER BY kind LIMIT 1",
            (repository.id, revision),
        )
        found = self._database.row(
            "SELECT * FROM data_store_commits WHERE repository = ? AND oid = ?",
            (repository.id, row["oid"] if row else revision),
        )
        if found is None:
            raise RevisionMissingError(
                f"{repository.namespace}/{repository.name} has no revision {revision[:200]!r}"
            )
        return _commit(found)

    def commit(
        self,
        repository: RepositoryRecord,
        branch: str,
        *,
        parent: Commit,
        tree: tuple[str, str],
        title: str,
        message: str = "",
    ) -> str:
        """Add a commit, move the branch to it, and return its id. Call it in a transaction."""
        return self._add_commit(
            repository.id, branch, parent.oid, *tree, title=title, message=message, now=self._clock()
        )

    def history(self, repository: RepositoryRecord, revision: str) -> list[Commit]:
        """The commits up to a revision, newest first."""
        commits: list[Commit] = []
        oid: str | None = self.resolve(repository, revision).oid
        while oid is not None:
            commits.append(self.resolve(repository, oid))
            oid = commits[-1].parent
        return commits

    def refs(self, repository: RepositoryRecord, kind: str) -> dict[str, str]:
        """Branches (``"branch"``) or tags (``"tag"``) by name, with their commit ids."""
        rows = self._database.rows(
            "SELECT name, oid FROM data_store_refs WHERE repository = ? AND kind = ? ORDER BY name",
            (repository.id, kind),
        )
        return {row["name"]: row["oid"] for row in rows}

    def ref_create(self, repository: RepositoryRecord, kind: str, name: str, revision: str) -> None:
        """Create a branch or tag.

        Raises:
            BadRequestError: the name is invalid.
            ConflictError: the name is taken.
            RevisionMissingError: the revision does not exist.
        """
        if not _REF.match(name) or ".." in name or _OID.match(name):
            raise BadRequestError(f"{name[:80]!r} is not a valid name for a {kind}")
        target = self.resolve(repository, revision)
        try:
            self._database.execute(
                "INSERT INTO data_store_refs VALUES (?, ?, ?, ?)", (repository.id, kind, name, target.oid)
            )
        except sqlite3.IntegrityError:
            raise ConflictError(f"The {kind} {name} already exists") from None

    def ref_delete(self, repository: RepositoryRecord, kind: str, name: str) -> None:
        """Delete a branch or tag; its commits stay.

        Raises:
            BadRequestError: it is the main branch.
            RevisionMissingError: it does not exist.
        """
        if (kind, name) == ("branch", "main"):
            raise BadRequestError("The branch main cannot be deleted")
        removed = self._database.execute(
            "DELETE FROM data_store_refs WHERE repository = ? AND kind = ? AND name = ?",
            (repository.id, kind, name),
        )
        if not removed:
            raise RevisionMissingError(f"There is no {kind} {name[:80]!r}")

    def _add_commit(
        self,
        repository: int,
        branch: str,
        parent: str | None,
        key: str,
        tree: str,
        title: str,
        message: str,
        now: datetime,
    ) -> str:
        text = f"{title}\n\n{message}" if message else title
        oid = git.commit_oid(tree, parent, now, text)
        # Equal commits within one second get the same id, as in git.
        self._database.execute(
            "INSERT OR IGNORE INTO data_store_commits VALUES (?, ?, ?, ?, ?, ?, ?)",
            (repository, oid, parent, key, title, message, zulu_milliseconds(now)),
        )
        self._database.execute(
            "INSERT INTO data_store_refs VALUES (?, 'branch', ?, ?) "
            "ON CONFLICT (repository, kind, name) DO UPDATE SET oid = excluded.oid",
            (repository, branch, oid),
        )
        return oid


def _repository(row: sqlite3.Row) -> RepositoryRecord:
    return RepositoryRecord(
        row["id"], row["type"], row["namespace"], row["name"], bool(row["private"]), row["created_at"]
    )


def _commit(row: sqlite3.Row) -> Commit:
    return Commit(row["oid"], row["parent"], row["tree"], row["title"], row["message"], row["created_at"])


def _shown(row: sqlite3.Row) -> JsonObject:
    return {"namespace": row["name"], "created_at": row["created_at"], "updated_at": row["updated_at"]}
