"""Lists, and named entities that are created, read, changed and deleted; one form for all services."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from lawtags_client.closing import closing
from lawtags_client.errors import ConfigurationError, ConflictError, DoubtfulOutcomeError, NotFoundError
from lawtags_client.helix.names import ANY_WORKSPACE, check_name, split_reference
from lawtags_client.helix.types.common import HelixRequest, Page, Resource, WireModel
from lawtags_client.json_value import JsonValue
from lawtags_client.services.extra_fields import extended_request, request_of
from lawtags_client.services.parsing import parse
from lawtags_client.transport.call import Call
from lawtags_client.transport.clock import Clock
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.transport.paging import walk
from lawtags_client.transport.paths import join

L = TypeVar("L", bound=WireModel)
Ent = TypeVar("Ent", bound=Resource)
EntRequest = TypeVar("EntRequest", bound=HelixRequest)
EntChanges = TypeVar("EntChanges", bound=HelixRequest)
Filter = Mapping[str, JsonValue]

PAGE_SIZE = 100
"""Entries per page: no list of Helix takes fewer as its limit."""

# Fields that hold a reference, which may be given without its workspace.
_REFERENCES = frozenset(
    {"fileset", "base_model", "model", "config", "model_deployment_id", "default_model_entity"}
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where requests go.

    Args:
        http: the transport of the platform.
        clock: time, sleep and chance.
        workspace: of references that do not name one.
    """

    http: ServiceTransport
    clock: Clock
    workspace: str

    def path(self, service: str, workspace: str | None = None) -> str:
        """The path of a service in a workspace.

        Args:
            service: such as ``files``.
            workspace: if not the default one; ``-`` for all, in lists.

        Raises:
            ConfigurationError: the name of the workspace breaks the rule.
        """
        chosen = self.workspace if workspace is None else workspace
        if chosen != ANY_WORKSPACE:
            check_name(chosen, "workspace")
        return f"/apis/{service}/v2/workspaces/{chosen}"

    def split(self, reference: str, what: str = "name") -> tuple[str, str]:
        """Workspace and name of a reference; raises ConfigurationError where a part breaks the rule."""
        return split_reference(reference, self.workspace, what)


@dataclass(frozen=True, slots=True)
class _Entries(Generic[L]):
    entries: list[L]
    total_pages: int | None


class HelixListing(Generic[L]):
    """A list with pages.

    Args:
        place: where requests go.
        service: the service, as in paths.
        collection: the path of the list below the workspace.
        model: the type of an entry.
    """

    def __init__(self, place: Place, service: str, collection: str, model: type[L]) -> None:
        self._place = place
        self._service = service
        self._collection = collection
        self._model = model

    @property
    def model(self) -> type[L]:
        """The type of an entry."""
        return self._model

    def _path(self, workspace: str | None = None) -> str:
        return f"{self._place.path(self._service, workspace)}/{self._collection}"

    async def page(
        self,
        number: int = 1,
        *,
        workspace: str | None = None,
        page_size: int = PAGE_SIZE,
        sort: str | None = None,
        filter: Filter | None = None,
    ) -> Page[L]:
        """One page of the list.

        Args:
            number: counted from one.
            workspace: if not the default one; ``-`` for all.
            page_size: entries per page.
            sort: a field; ``-created_at`` gives the newest first.
            filter: fields and their values; a list of values matches any of them, and a mapping is an
                expression of Helix, such as ``{"$like": "law%"}``.

        Raises:
            APIError: the service refused.
        """
        query = [("page", str(number)), ("page_size", str(page_size)), *filter_query(filter)]
        if sort:
            query.append(("sort", sort))
        data = await self._place.http.json(Call("GET", self._path(workspace), query=query))
        return await parse(Page[self._model], data, self._place.http)  # type: ignore[name-defined]

    async def list(
        self,
        *,
        workspace: str | None = None,
        page_size: int = PAGE_SIZE,
        sort: str | None = None,
        filter: Filter | None = None,
    ) -> AsyncIterator[L]:
        """Yield all entries of all pages, each one once; arguments as for ``page``.

        Raises:
            APIError: the service refused.
        """

        async def fetch(number: int) -> _Entries[L]:
            page = await self.page(number, workspace=workspace, page_size=page_size, sort=sort, filter=filter)
            return _Entries(page.data, page.pagination.total_pages if page.pagination else None)

        async with closing(walk(fetch, _identity)) as entries:
            async for entry in entries:
                yield entry


class HelixCollection(HelixListing[Ent], Generic[Ent, EntRequest, EntChanges]):
    """Named entities.

    Args:
        place: where requests go.
        service: the service, as in paths.
        collection: the path of the list below the workspace.
        model: the type of an entity.
        request: what creates one.
        changes: what changes one.
        what: what one is called, for messages.
        method: the HTTP method of changes.
    """

    def __init__(
        self,
        place: Place,
        service: str,
        collection: str,
        model: type[Ent],
        request: type[EntRequest],
        changes: type[EntChanges],
        *,
        what: str,
        method: str = "PATCH",
    ) -> None:
        super().__init__(place, service, collection, model)
        self._request = request
        self._changes = changes
        self._what = what
        self._method = method

    def _of(self, reference: str) -> str:
        workspace, name = self._place.split(reference, self._what)
        return self._path(workspace) + join(name)

    async def _made(self, data: JsonValue) -> Ent:
        return await parse(self._model, data, self._place.http)

    async def create(
        self,
        request: EntRequest | None = None,
        *,
        workspace: str | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: object,
    ) -> Ent:
        """Create an entity.

        Args:
            request: the entity, instead of its fields.
            workspace: if not the default one.
            extra_body: fields of the API that the request type does not have.
            fields: the fields of the request type.

        Raises:
            ConfigurationError: the name breaks the rule, or a field is unknown, missing or invalid.
            ConflictError: the name is taken, even if by an equal one.
            NotFoundError: the workspace does not exist.
            DoubtfulOutcomeError: the response was lost; check whether it exists.
        """
        asked = request_of(self._request, request, fields)
        self._check(asked)
        body = extended_request(asked, extra_body)
        return await self._made(await self._place.http.json(Call("POST", self._path(workspace), json=body)))

    def _check(self, request: HelixRequest) -> str:
        name = getattr(request, "name", None)
        return check_name(str(name or ""), self._what)

    async def get(self, reference: str) -> Ent:
        """Read an entity.

        Args:
            reference: its name, or ``workspace/name``.

        Raises:
            NotFoundError: it does not exist.
        """
        return await self._made(await self._place.http.json(Call("GET", self._of(reference))))

    async def find(self, reference: str) -> Ent | None:
        """Read an entity, or None if it does not exist."""
        try:
            return await self.get(reference)
        except NotFoundError:
            return None

    async def update(
        self,
        reference: str,
        changes: EntChanges | None = None,
        *,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: object,
    ) -> Ent:
        """Change some fields of an entity; maps such as ``custom_fields`` are replaced whole.

        Args:
            reference: its name, or ``workspace/name``.
            changes: the fields to change, instead of keyword arguments.
            extra_body: fields of the API that the type of ``changes`` does not have.
            fields: the fields to change.

        Raises:
            ConfigurationError: a field is unknown or invalid.
            NotFoundError: it does not exist.
        """
        body = extended_request(request_of(self._changes, changes, fields), extra_body)
        data = await self._place.http.json(Call(self._method, self._of(reference), json=body))
        return await self._made(data)

    async def delete(self, reference: str, *, missing_ok: bool = False) -> bool:
        """Delete an entity.

        Args:
            reference: its name, or ``workspace/name``.
            missing_ok: whether a missing entity is not an error.

        Returns:
            Whether it existed.

        Raises:
            NotFoundError: it does not exist.
            ConflictError: something still needs it.
        """
        try:
            await self._place.http.send(Call("DELETE", self._of(reference)))
        except NotFoundError:
            if not missing_ok:
                raise
            return False
        return True

    async def ensure(
        self,
        request: EntRequest | None = None,
        *,
        workspace: str | None = None,
        compare: tuple[str, ...] | None = None,
        **fields: object,
    ) -> Ent:
        """Create an entity, or return the existing one if it is the same.

        Args:
            request: the entity, instead of its fields.
            workspace: if not the default one.
            compare: the fields in which an existing one must agree; all that are set by default.
            fields: as for ``create``.

        Raises:
            ConfigurationError: as for ``create``.
            ConflictError: one of that name exists and differs; the message lists the fields.
        """
        asked = request_of(self._request, request, fields)
        name = self._check(asked)
        chosen = workspace or self._place.workspace
        reference = f"{chosen}/{name}"
        try:
            return await self.create(asked, workspace=workspace)
        except DoubtfulOutcomeError:
            found = await self.find(reference)
            if found is None:
                # A name can be taken only once: had the lost request come through, it would be there.
                return await self.create(asked, workspace=workspace)
        except ConflictError:
            found = await self.find(reference)
            if found is None:
                raise
        differing = self._differences(asked, found, compare, chosen)
        if differing:
            raise ConflictError(
                f"the {self._what} {reference} exists and differs in {', '.join(differing)}",
                field=differing[0],
                hint="Choose another name, change the existing one, or delete it.",
                service=self._place.http.address.service,
            )
        return found

    def _differences(
        self, asked: EntRequest, found: Ent, compare: tuple[str, ...] | None, workspace: str
    ) -> list[str]:
        wanted = asked.to_wire()
        present = found.model_dump(mode="json", by_alias=True)
        names = compare if compare is not None else tuple(name for name in wanted if name != "value")
        return sorted(
            name
            for name in names
            if name in wanted
            and _full(name, wanted[name], workspace) != _full(name, present.get(name), workspace)
        )


def _full(field: str, value: object, workspace: str) -> object:
    """A value as it is compared: references with their workspace, and nothing for what is empty."""
    if field in _REFERENCES and isinstance(value, str) and "/" not in value:
        return f"{workspace}/{value}"
    if isinstance(value, Mapping):
        return {key: inner for key, inner in value.items() if inner is not None}
    return value if value not in ("", None) else None


def filter_query(filter: Filter | None) -> list[tuple[str, str]]:
    """The query of a filter: plain values one by one, anything else as an expression.

    Raises:
        ConfigurationError: a list of values is empty, or JSON cannot hold a value.
    """
    if not filter:
        return []
    plain = {name: value for name, value in filter.items() if isinstance(value, str | bool | int | float)}
    if len(plain) == len(filter):
        return [(f"filter[{name}]", _text(value)) for name, value in plain.items()]
    expression: dict[str, object] = {}
    for name, value in filter.items():
        if isinstance(value, list | tuple) and not name.startswith("$"):
            if not value:
                raise ConfigurationError(f"the filter of {name} has no values", hint="Leave it out.")
            expression[name] = {"$in": list(value)}
        else:
            expression[name] = value
    return [("filter", json.dumps(expression))]


def _text(value: str | bool | int | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _identity(entry: WireModel) -> tuple[str, ...]:
    found = tuple(getattr(entry, name, None) for name in ("id", "workspace", "name"))
    return tuple(map(str, found)) if any(found) else (repr(entry),)
