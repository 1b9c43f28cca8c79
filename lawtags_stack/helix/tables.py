"""Entities of the Helix API by workspace and name, with ids and times."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lawtags_client.json_value import JsonObject
from lawtags_stack.helix.refusals import HelixError
from lawtags_stack.http.ids import new_id
from lawtags_stack.store import Database, Documents, DuplicateKeyError
from lawtags_stack.times import Clock, naive

ALL_WORKSPACES = "-"


class Table:
    """A table of entities, oldest first.

    Args:
        database: the database.
        name: name of the table.
        id_prefix: the prefix of ids, e.g. ``fileset``.
        clock: returns the time.
        exists: returns the message for a name that is taken; receives workspace and name.
        missing: returns the message for an unknown name.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        id_prefix: str,
        clock: Clock,
        *,
        exists: Callable[[str, str], str],
        missing: Callable[[str, str], str],
    ) -> None:
        self.database = database
        self._documents = Documents(database, f"helix_{name}")
        self._prefix = id_prefix
        self._clock = clock
        self._exists = exists
        self._missing = missing

    def now(self) -> str:
        """The current time in the format of the services."""
        return naive(self._clock())

    def insert(self, workspace: str, name: str, fields: JsonObject) -> JsonObject:
        """Insert an entity, and return it with ``id``, ``name``, ``workspace`` and times.

        Raises:
            HelixError: the name is taken (409).
        """
        now = self.now()
        entity: JsonObject = {
            "id": new_id(self._prefix),
            "name": name,
            "workspace": workspace,
            **fields,
            "created_at": now,
            "updated_at": now,
        }
        try:
            self._documents.insert(_key(workspace, name), entity)
        except DuplicateKeyError:
            raise HelixError(409, self._exists(workspace, name)) from None
        return entity

    def find(self, workspace: str, name: str) -> JsonObject | None:
        """Return an entity, or None."""
        return self._documents.get(_key(workspace, name))

    def get(self, workspace: str, name: str) -> JsonObject:
        """Return an entity.

        Raises:
            HelixError: it does not exist (404).
        """
        found = self.find(workspace, name)
        if found is None:
            raise self.missing(workspace, name)
        return found

    def missing(self, workspace: str, name: str) -> HelixError:
        """The error for an unknown name."""
        return HelixError(404, self._missing(workspace, name))

    def change(self, workspace: str, name: str, fields: JsonObject, *, touch: bool = True) -> JsonObject:
        """Replace fields of an entity, and return the result.

        Args:
            workspace, name: the entity.
            fields: the new values.
            touch: whether to set ``updated_at``.

        Raises:
            HelixError: it does not exist (404).
        """
        stamped = {**fields, "updated_at": self.now()} if touch else fields
        found = self._documents.update(_key(workspace, name), lambda entity: {**entity, **stamped})
        if found is None:
            raise self.missing(workspace, name)
        return found

    def delete(self, workspace: str, name: str) -> JsonObject:
        """Delete an entity, and return it.

        Raises:
            HelixError: it does not exist (404).
        """
        with self.database.transaction():
            found = self.get(workspace, name)
            self._documents.delete(_key(workspace, name))
        return found

    def within(self, workspace: str) -> Iterator[JsonObject]:
        """The entities of a workspace, oldest first; ``-`` for all."""
        return iter(self._documents if workspace == ALL_WORKSPACES else self._documents.below(workspace))


def _key(workspace: str, name: str) -> str:
    return f"{workspace}/{name}"


def split_reference(reference: str, workspace: str) -> tuple[str, str]:
    """Split ``name`` or ``workspace/name``.

    Args:
        reference: the reference.
        workspace: the workspace of a bare name.
    """
    first, slash, rest = reference.partition("/")
    return (first, rest) if slash else (workspace, first)
