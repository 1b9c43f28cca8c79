"""Entities by ``namespace/name``: create, read, update, list and delete, independent of HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from lawtags_client.errors import ConflictError, NotFoundError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.http.ids import check_name, new_id, sent_name, split_reference
from lawtags_stack.http.query import ListQuery
from lawtags_stack.http.select import EntityPage, select
from lawtags_stack.store import Database, Documents, DuplicateKeyError
from lawtags_stack.store.codec import Codec
from lawtags_stack.times import Clock, naive, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityRecord:
    """The fields of every entity; a namespace is named by its id, and is in no namespace."""

    id: str
    created_at: str
    updated_at: str
    namespace: str = ""
    name: str = ""

    @property
    def reference(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"


RecordT = TypeVar("RecordT", bound=EntityRecord)


@dataclass(frozen=True, slots=True)
class EntityKind(Generic[RecordT]):
    """What distinguishes one kind of entity from another.

    Args:
        record: type of the fields that the stack itself reads.
        label: its name in messages, e.g. ``"dataset"``.
        table: its database table, e.g. ``"entity_store_datasets"``.
        id_prefix: prefix of generated ids; the id is the default for the name.
        fields: fields of a response in the order of the API; others follow.
        nulls: whether unset fields appear as ``null``.
        defaults: values of fields that were not sent.
        sorts: fields that a list can be sorted by.
        stamp: formats timestamps.
        keyed_by_id: whether the id is the name and there is no namespace, as for namespaces themselves.
        shows_id: whether responses contain ``id``.
        present: converts a stored entity to a response, e.g. masks secrets.
        found_by: returns the fields that lists can be filtered by.
    """

    record: type[RecordT]
    label: str
    table: str
    id_prefix: str
    fields: tuple[str, ...] = ()
    nulls: bool = True
    defaults: JsonObject = field(default_factory=lambda: {"custom_fields": {}})
    sorts: tuple[str, ...] = ("created_at",)
    stamp: Callable[[datetime], str] = naive
    keyed_by_id: bool = False
    shows_id: bool = True
    present: Callable[[JsonObject], JsonObject] = dict
    found_by: Callable[[JsonObject], JsonObject] = dict


class EntityTable(Generic[RecordT]):
    """All entities of one kind.

    Requests and responses are JSON; the stack itself reads records.

    Example:
        >>> targets = EntityTable(database, EntityKind(TargetRecord, "target", "customizer_targets",
            "target"))
        >>> targets.create({"namespace": "meta", "name": "llama@2.0", "enabled": True})["name"]
        'llama@2.0'
        >>> targets.stored("meta", "llama@2.0").enabled
        True

    Args:
        database: stores the entities.
        kind: the kind of entity.
        clock: returns the time.
    """

    def __init__(self, database: Database, kind: EntityKind[RecordT], *, clock: Clock = utc_now) -> None:
        self.kind = kind
        self._documents = Documents(database, kind.table)
        self._codec = Codec(kind.record)
        self._clock = clock

    def create(self, fields: JsonObject) -> JsonObject:
        """Create an entity, and return the response; arguments and errors as in ``add``."""
        return self.shown(self._added(fields))

    def add(self, fields: JsonObject) -> RecordT:
        """Create an entity.

        Args:
            fields: its fields. ``name`` defaults to the generated id, ``namespace`` to ``default``.

        Raises:
            ConflictError: the name is taken.
            UnprocessableError: the name or namespace is invalid.
        """
        return self._codec.read(self._added(fields))

    def put(self, fields: JsonObject) -> JsonObject:
        """Create an entity, or update the fields of an existing one."""
        document = self._completed(fields)
        key = self._key_of(document)
        try:
            self._documents.insert(key, document)
        except DuplicateKeyError:
            return self.patch(*self._names_of(document), fields)
        return self.shown(document)

    def get(self, namespace: str, name: str) -> JsonObject:
        """Return an entity as a response.

        Raises:
            NotFoundError: it does not exist.
        """
        return self.shown(self.document(namespace, name))

    def document(self, namespace: str, name: str) -> JsonObject:
        """Return an entity as it is stored, including secrets.

        Raises:
            NotFoundError: it does not exist.
        """
        document = self._documents.get(self._key(namespace, name))
        if document is None:
            raise self._missing(namespace, name)
        return document

    def stored(self, namespace: str, name: str) -> RecordT:
        """Return an entity as a record.

        Raises:
            NotFoundError: it does not exist.
        """
        return self._codec.read(self.document(namespace, name))

    def find(self, reference: str) -> RecordT | None:
        """Find an entity by ``namespace/name``; None if it does not exist."""
        namespace, name = split_reference(reference, what=self.kind.label)
        document = self._documents.get(self._key(namespace, name))
        return None if document is None else self._codec.read(document)

    def exists(self, namespace: str, name: str) -> bool:
        """Whether an entity exists."""
        return self._documents.get(self._key(namespace, name)) is not None

    def patch(self, namespace: str, name: str, changes: JsonObject) -> JsonObject:
        """Update fields of an entity; a field that is ``null`` or missing keeps its value.

        Raises:
            NotFoundError: it does not exist.
        """
        fixed = {"id", "name", "namespace", "created_at", "updated_at"}
        news = {key: value for key, value in changes.items() if key not in fixed and value is not None}
        return self.change(namespace, name, lambda _: news)

    def change(self, namespace: str, name: str, change: Callable[[RecordT], JsonObject]) -> JsonObject:
        """Update an entity with the fields that a function returns for it, in one transaction.

        Raises:
            NotFoundError: it does not exist.
        """

        def stamped(document: JsonObject) -> JsonObject:
            fields = change(self._codec.read(document))
            return {**document, **fields, "updated_at": self.kind.stamp(self._clock())}

        document = self._documents.update(self._key(namespace, name), stamped)
        if document is None:
            raise self._missing(namespace, name)
        return self.shown(document)

    def delete(self, namespace: str, name: str) -> JsonObject:
        """Delete an entity, and return the API's receipt.

        Raises:
            NotFoundError: it does not exist.
        """
        document = self._documents.get(self._key(namespace, name))
        if document is None or not self._documents.delete(self._key(namespace, name)):
            raise self._missing(namespace, name)
        return {
            "message": "Resource deleted successfully.",
            "id": document.get("id") or self._key(namespace, name),
            "deleted_at": self.kind.stamp(self._clock()),
        }

    def select(self, query: ListQuery) -> EntityPage:
        """Return the page of entities for a list request."""
        if not query.filter and not query.search and query.sort.removeprefix("-") == "created_at":
            documents = self._documents.page(
                query.page_size, (query.page - 1) * query.page_size, newest_first=query.sort.startswith("-")
            )
            page = EntityPage(documents, self._documents.count(), query)
        else:
            page = select(self._documents, query, found_by=self._findable)
        return EntityPage([self.shown(document) for document in page.data], page.total, query)

    def count(self) -> int:
        """The number of entities."""
        return self._documents.count()

    def all(self) -> list[RecordT]:
        """All entities, oldest first."""
        return [self._codec.read(document) for document in self._documents]

    def documents(self) -> list[JsonObject]:
        """All entities as they are stored, oldest first."""
        return [*self._documents]

    def shown(self, document: JsonObject) -> JsonObject:
        """Convert a stored entity to a response, with the API's field order and nulls."""
        presented = self.kind.present(document)
        if not self.kind.shows_id:
            presented = {key: value for key, value in presented.items() if key != "id"}
        hidden = {"namespace"} if self.kind.keyed_by_id else set()
        names = [name for name in dict.fromkeys((*self.kind.fields, *presented)) if name not in hidden]
        shown: dict[str, JsonValue] = {name: presented.get(name) for name in names}
        return shown if self.kind.nulls else {k: v for k, v in shown.items() if v is not None}

    def _added(self, fields: JsonObject) -> JsonObject:
        document = self._completed(fields)
        try:
            self._documents.insert(self._key_of(document), document)
        except DuplicateKeyError:
            raise ConflictError(self._exists(document)) from None
        return document

    def _findable(self, document: JsonObject) -> JsonObject:
        # For namespaces themselves, filter[namespace] means their id.
        found = self.kind.found_by(document)
        return {**found, "namespace": document["id"]} if self.kind.keyed_by_id else found

    def _completed(self, fields: JsonObject) -> JsonObject:
        label = self.kind.label
        now = self.kind.stamp(self._clock())
        sent = {key: value for key, value in fields.items() if value is not None}
        identity = new_id(self.kind.id_prefix)
        if self.kind.keyed_by_id and "id" in sent:
            identity = str(sent["id"])
        document = {**self.kind.defaults, **sent, "id": identity, "created_at": now, "updated_at": now}
        if self.kind.keyed_by_id:
            check_name(identity, what=f"{label} id", versioned=False)
        else:
            document["name"] = sent_name(sent.get("name"), identity, what=f"{label} name")
            document["namespace"] = sent_name(
                sent.get("namespace"), "default", what="namespace", versioned=False
            )
        return document

    def _names_of(self, document: JsonObject) -> tuple[str, str]:
        if self.kind.keyed_by_id:
            return "", str(document["id"])
        return str(document["namespace"]), str(document["name"])

    def _key_of(self, document: JsonObject) -> str:
        return self._key(*self._names_of(document))

    def _key(self, namespace: str, name: str) -> str:
        return name if self.kind.keyed_by_id else f"{namespace}/{name}"

    def _exists(self, document: JsonObject) -> str:
        namespace, name = self._names_of(document)
        label = self.kind.label.capitalize()
        if self.kind.keyed_by_id:
            return f"{label} {name} already exists"
        return f"{label} {name} already exists in namespace {namespace}"

    def _missing(self, namespace: str, name: str) -> NotFoundError:
        return NotFoundError(f"{self.kind.label.capitalize()} {self._key(namespace, name)} not found")
