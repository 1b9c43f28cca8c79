"""What all services share: typed calls, lists, and entities that are made, read, changed and dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pydantic import BaseModel

from lawtags_client.closing import closing
from lawtags_client.errors import (
    APIError,
    ConflictError,
    DoubtfulOutcomeError,
    NotFoundError,
    ServerError,
    UnprocessableError,
)
from lawtags_client.json_value import JsonValue
from lawtags_client.services.conflicts import conflict, differences, says_exists
from lawtags_client.services.extra_fields import extended_request, request_of, wire_filter
from lawtags_client.services.parsing import parse
from lawtags_client.transport.call import Call
from lawtags_client.transport.headers import checked_headers
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.transport.paging import walk
from lawtags_client.transport.paths import join, split_reference
from lawtags_client.transport.query import list_query
from lawtags_client.types.common import DeleteResponse, Page, WireModel, WireRequest

if TYPE_CHECKING:
    from lawtags_client.intents import IntentStore
    from lawtags_client.settings import Settings
    from lawtags_client.transport.clock import Clock

M = TypeVar("M", bound=BaseModel)
Req = TypeVar("Req", bound=WireRequest)
Upd = TypeVar("Upd", bound=WireRequest)
Flt = TypeVar("Flt", bound=WireRequest)

PAGE_SIZE = 100


class Owner(Protocol):
    """The client that a service belongs to; each service adds those that it needs."""

    @property
    def settings(self) -> Settings: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def intents(self) -> IntentStore: ...


class ListedPage(Generic[M]):
    """A page of a list, as the walk through pages wants it."""

    def __init__(self, page: Page[M]) -> None:
        self.entries = page.data
        self.total_pages = page.pagination.total_pages if page.pagination else None


class Listing(Generic[M, Flt]):
    """A collection that can be listed.

    Args:
        http: the transport of the service.
        path: of the list.
        model: the type of an entry.
    """

    def __init__(self, http: ServiceTransport, path: str, model: type[M]) -> None:
        self._http = http
        self._path = path
        self._model = model

    async def page(
        self,
        number: int = 1,
        *,
        page_size: int = PAGE_SIZE,
        sort: str | None = None,
        filter: Flt | None = None,
        search: Mapping[str, object] | None = None,
    ) -> Page[M]:
        """One page of the list.

        Args:
            number: counted from one.
            page_size: entries per page.
            sort: a field; ``-created_at`` gives the newest first.
            filter: exact matches.
            search: substrings; a list of values matches any of them.

        Raises:
            APIError: the service refused.
        """
        query = list_query(
            page=number,
            page_size=page_size,
            sort=sort,
            filter=wire_filter(filter),
            search=search,
        )
        data = await self._http.json(Call("GET", self._path, query=query))
        return await parse(Page[self._model], data, self._http)  # type: ignore[name-defined]

    async def list(
        self,
        *,
        page_size: int = PAGE_SIZE,
        sort: str | None = None,
        filter: Flt | None = None,
        search: Mapping[str, object] | None = None,
    ) -> AsyncIterator[M]:
        """Yield all entries of all pages, each one once.

        Example:
            ``async for job in nemo.customizer.jobs.list(sort="-created_at"): ...``

        Raises:
            APIError: the service refused.
        """

        async def fetch(number: int) -> ListedPage[M]:
            return ListedPage(
                await self.page(number, page_size=page_size, sort=sort, filter=filter, search=search)
            )

        async with closing(walk(fetch, _identity)) as entries:
            async for entry in entries:
                yield entry


def _identity(entry: BaseModel) -> tuple[str, ...]:
    # Not every entity carries an id on the wire; namespace and name are as good.
    # Where a model does not declare them, a server may send anything under these names.
    found = tuple(getattr(entry, name, None) for name in ("id", "namespace", "name"))
    return tuple(map(str, found)) if any(found) else (repr(entry),)


class Entities(Listing[M, Flt], Generic[M, Req, Upd, Flt]):
    """A collection of named entities.

    Args:
        http: the transport of the service.
        path: of the collection.
        model: the type of an entity.
        request: what creates one.
        changes: what changes one.
        key: the path below the collection, from a reference; ``namespace/name`` by default.
    """

    def __init__(
        self,
        http: ServiceTransport,
        path: str,
        model: type[M],
        request: type[Req],
        changes: type[Upd],
        key: Callable[[str], str] | None = None,
    ) -> None:
        super().__init__(http, path, model)
        self._request = request
        self._changes = changes
        self._key = key or _namespace_and_name

    async def create(
        self,
        request: Req | None = None,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: object,
    ) -> M:
        """Create an entity.

        Example:
            ``await nemo.entity_store.datasets.create(name="tags", namespace="law", files_url=url)``

        Args:
            request: the entity, instead of its fields.
            extra_headers: sent with this request only.
            extra_body: fields of the API that the request type does not have.
            fields: the fields of the request type.

        Raises:
            ConfigurationError: a field is unknown, missing or invalid, or is set twice.
            ConflictError: the name is taken, whichever status the service has for that.
            DoubtfulOutcomeError: the response was lost; check whether it exists.
        """
        body = extended_request(request_of(self._request, request, fields), extra_body)
        call = Call("POST", self._path, json=body, headers=checked_headers(extra_headers))
        try:
            data = await self._http.json(call)
        except (UnprocessableError, ServerError) as error:
            if "already exist" not in f"{error.message} {error.detail}".lower():
                raise
            raise conflict(error) from error
        return await parse(self._model, data, self._http)

    async def get(self, reference: str) -> M:
        """Read an entity.

        Args:
            reference: its ``namespace/name``.

        Raises:
            NotFoundError: it does not exist.
        """
        data = await self._http.json(Call("GET", self._path + self._key(reference)))
        return await parse(self._model, data, self._http)

    async def find(self, reference: str) -> M | None:
        """Read an entity, or None if it does not exist."""
        try:
            return await self.get(reference)
        except NotFoundError:
            return None

    async def update(
        self,
        reference: str,
        changes: Upd | None = None,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: object,
    ) -> M:
        """Change some fields of an entity.

        Example:
            ``await nemo.entity_store.datasets.update("law/tags", description="May 2025")``

        Args:
            reference: its ``namespace/name``.
            changes: the fields to change, instead of keyword arguments.
            extra_headers: sent with this request only.
            extra_body: fields of the API that the type of ``changes`` does not have.
            fields: the fields to change.

        Raises:
            ConfigurationError: a field is unknown or invalid, or is set twice.
            NotFoundError: it does not exist.
        """
        wanted = request_of(self._changes, changes, fields)
        body, headers = extended_request(wanted, extra_body), checked_headers(extra_headers)
        call = Call("PATCH", self._path + self._key(reference), json=body, headers=headers)
        return await parse(self._model, await self._http.json(call), self._http)

    async def delete(
        self, reference: str, *, missing_ok: bool = False, timeout: float | None = None
    ) -> DeleteResponse | None:
        """Delete an entity.

        Args:
            reference: its ``namespace/name``.
            missing_ok: whether a missing entity is not an error.
            timeout: seconds to wait for the response; a target's arrives only after its files are gone.

        Returns:
            The service's response; None if the entity did not exist.

        Raises:
            NotFoundError: it does not exist.
        """
        path = self._path + self._key(reference)
        try:
            reply = await self._http.send(Call("DELETE", path, read_timeout=timeout, total_timeout=timeout))
        except NotFoundError:
            if not missing_ok:
                raise
            return None
        return _receipt(reply.body)

    async def create_or_get(
        self,
        request: Req | None = None,
        *,
        compare: tuple[str, ...] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: object,
    ) -> M:
        """Create an entity, or return the existing one if it is the same.

        Args:
            request: the entity, with its name, instead of its fields.
            compare: the fields in which an existing one must agree; all that are set by default.
            extra_headers: sent with the request that creates it.
            extra_body: as for ``create``.
            fields: as for ``create``.

        Raises:
            ConfigurationError: as for ``create``.
            ConflictError: one of that name exists and differs; the message lists the fields.
        """
        asked = request_of(self._request, request, fields)
        reference = _reference_of(asked)
        create = partial(self.create, asked, extra_headers=extra_headers, extra_body=extra_body)
        try:
            return await create()
        except DoubtfulOutcomeError:
            found = await self.find(reference)
            if found is None:
                # A name can be taken only once: had the lost create come through, it would be there.
                return await create()
        except APIError as error:
            if not says_exists(error):
                raise
            found = await self.find(reference)
            if found is None:
                raise
        wanted = extended_request(asked, extra_body)
        if compare is not None:
            wanted = {name: value for name, value in wanted.items() if name in compare}
        differing = differences(wanted, found.model_dump(mode="json", by_alias=True))
        if differing:
            raise ConflictError(
                f"{reference} already exists and differs in {', '.join(differing)}",
                hint="Choose another name, change the existing one, or delete it.",
                service=self._http.address.service,
            )
        return found


def _receipt(body: bytes) -> DeleteResponse:
    # Services differ in what they say of a thing that is gone, and some say nothing.
    try:
        return DeleteResponse.model_validate_json(body)
    except ValueError:
        return DeleteResponse()


def _reference_of(request: WireModel) -> str:
    """The key under which what a request makes will be found."""
    values = request.model_dump()
    if values.get("id") is not None:
        return str(values["id"])
    return f"{values.get('namespace') or 'default'}/{values.get('name') or ''}"


def _namespace_and_name(reference: str) -> str:
    return join(*split_reference(reference))


def by_id(reference: str) -> str:
    """The path of a thing known by one id."""
    return join(reference)
