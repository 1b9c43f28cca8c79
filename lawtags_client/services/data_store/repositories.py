"""Namespaces and repositories of the Data Store."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from lawtags_client.errors import (
    APIError,
    DoubtfulOutcomeError,
    LawtagsError,
    NotFoundError,
    ProtocolError,
    ServerError,
    WaitTimeoutError,
)
from lawtags_client.json_value import JsonValue
from lawtags_client.services.conflicts import says_exists
from lawtags_client.services.extra_fields import extended_request
from lawtags_client.services.parsing import parse, parse_list
from lawtags_client.transport.call import Call
from lawtags_client.transport.headers import checked_headers
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.transport.paths import file_path, join, segment, split_reference
from lawtags_client.transport.retry import is_passing
from lawtags_client.types.data_store import (
    DataStoreNamespace,
    RepoCreateRequest,
    RepoDeleteRequest,
    RepoInfo,
    RepoRefs,
    RepoType,
    TreeEntry,
)

_NAMESPACES = "/v1/datastore/namespaces"
_POLL_FROM, _POLL_TO = 0.1, 2.0
_NEXT_LINK = re.compile(r'<([^<>]+)>\s*;[^,]*\brel="?next"?')
# Looking through a longer one would take time that grows with the square of its length.
_LONGEST_LINK = 8192
_MOST_PAGES = 10_000
_WEIGHTS = (".safetensors", ".bin", ".nemo", ".gguf", ".pt")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository by its name.

    Args:
        namespace: its namespace.
        name: its name in there.
        type: ``"dataset"`` or ``"model"``.
    """

    namespace: str
    name: str
    type: RepoType = "dataset"

    @classmethod
    def of(cls, reference: str, type: RepoType = "dataset") -> Repository:
        """The repository of a ``namespace/name``."""
        namespace, name = split_reference(reference, type)
        return cls(namespace, name, type)

    @property
    def api(self) -> str:
        """The path of its API."""
        return f"/v1/hf/api/{self.type}s{join(self.namespace, self.name)}"

    @property
    def files(self) -> str:
        """The path below which its files are."""
        kind = "/datasets" if self.type == "dataset" else ""
        return f"/v1/hf{kind}{join(self.namespace, self.name)}"

    @property
    def url(self) -> str:
        """The URL by which other services refer to it."""
        kind = "datasets/" if self.type == "dataset" else ""
        return f"hf://{kind}{self.namespace}/{self.name}"

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Namespaces:
    """Namespaces of the Data Store, which are not those of the Entity Store.

    Args:
        http: the transport of the service.
    """

    def __init__(self, http: ServiceTransport) -> None:
        self._http = http

    async def create(
        self, name: str, *, extra_headers: Mapping[str, str] | None = None
    ) -> DataStoreNamespace:
        """Create a namespace.

        Args:
            name: of the namespace.
            extra_headers: sent with this request only.

        Raises:
            ConflictError: it exists.
        """
        segment(name, "namespace")
        # Real servers take a form here, and not all of them take JSON.
        form = urlencode({"namespace": name}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded", **checked_headers(extra_headers)}
        data = await self._http.json(Call("POST", _NAMESPACES, content=form, headers=headers))
        return await parse(DataStoreNamespace, data, self._http)

    async def get(self, name: str) -> DataStoreNamespace:
        """Read a namespace.

        Raises:
            NotFoundError: there is none of that name.
        """
        data = await self._http.json(Call("GET", _NAMESPACES + join(name)))
        return await parse(DataStoreNamespace, data, self._http)

    async def list(self) -> list[DataStoreNamespace]:
        """Every namespace."""
        data = await self._http.json(Call("GET", _NAMESPACES))
        # Releases differ in whether the list stands in an envelope.
        entries = data.get("data") if isinstance(data, dict) else data
        return await parse_list(DataStoreNamespace, entries, self._http)

    async def delete(self, name: str) -> None:
        """Drop a namespace."""
        await self._http.send(Call("DELETE", _NAMESPACES + join(name)))

    async def create_or_get(self, name: str) -> DataStoreNamespace:
        """The namespace of that name, made where it is missing."""
        try:
            return await self.create(name)
        except DoubtfulOutcomeError:
            try:
                return await self.get(name)
            except NotFoundError:
                return await self.create(name)
        except APIError as error:
            if error.status not in (409, 422) and not says_exists(error):
                raise
            return await self.get(name)


class Repositories:
    """Repositories of the Data Store.

    Args:
        http: the transport of the service.
    """

    def __init__(self, http: ServiceTransport) -> None:
        self._http = http

    async def create(
        self,
        repository: Repository,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> None:
        """Create a repository; it is usable once ``ready`` returns.

        Args:
            repository: its name and type.
            extra_headers: sent with this request only.
            extra_body: fields of the API that the client does not know.

        Raises:
            ConflictError: it exists.
        """
        request = RepoCreateRequest(
            name=repository.name, organization=repository.namespace, type=repository.type
        )
        body, headers = extended_request(request, extra_body), checked_headers(extra_headers)
        await self._http.json(Call("POST", "/v1/hf/api/repos/create", json=body, headers=headers))

    async def create_or_get(self, repository: Repository) -> None:
        """See that a repository is there, making it where it is missing."""
        try:
            await self.create(repository)
        except DoubtfulOutcomeError:
            try:
                await self.info(repository)
            except NotFoundError:
                await self.create(repository)
        except APIError as error:
            if error.status != 409 and not says_exists(error):
                raise

    async def delete(self, repository: Repository, *, missing_ok: bool = False, timeout: float = 60) -> None:
        """Drop a repository and wait until it is gone.

        Raises:
            NotFoundError: the repository does not exist.
            WaitTimeoutError: it was still there after the time.
        """
        request = RepoDeleteRequest(
            name=repository.name, organization=repository.namespace, type=repository.type
        )
        try:
            await self._http.send(Call("DELETE", "/v1/hf/api/repos/delete", json=request.to_wire()))
        except NotFoundError:
            if missing_ok:
                return
            raise
        clock = self._http.clock
        begin, pause = clock.monotonic(), _POLL_FROM
        while True:
            try:
                await self.info(repository)
            except NotFoundError:
                return
            if clock.monotonic() - begin > timeout:
                raise WaitTimeoutError(f"the repository {repository} still exists after {timeout:g} s")
            await clock.sleep(pause)
            pause = min(pause * 2, _POLL_TO)

    async def has_file(self, repository: Repository, path: str, revision: str = "main") -> bool:
        """Whether a repository holds a file."""
        address = f"{repository.files}/resolve/{segment(revision)}/{file_path(path)}"
        try:
            await self._http.send(Call("HEAD", address))
        except NotFoundError:
            return False
        return True

    async def info(self, repository: Repository, revision: str | None = None) -> RepoInfo:
        """Read a repository, at a revision where one is given.

        Raises:
            NotFoundError: the repository or the revision does not exist.
        """
        path = repository.api if revision is None else f"{repository.api}/revision/{segment(revision)}"
        return await parse(RepoInfo, await self._http.json(Call("GET", path)), self._http)

    async def ready(self, repository: Repository, *, timeout: float = 120) -> RepoInfo:
        """Wait until a new repository can be written to.

        Raises:
            WaitTimeoutError: it was not ready in time.
        """
        clock = self._http.clock
        begin, pause = clock.monotonic(), _POLL_FROM
        path = f"{repository.api}/revision/main"
        while True:
            # A fresh repository answers 500 for some seconds; that is no outage to back off from.
            try:
                data = await self._http.json(Call("GET", path, max_retries=0))
                return await parse(RepoInfo, data, self._http)
            except LawtagsError as error:
                if not (isinstance(error, NotFoundError | ServerError) or is_passing(error)):
                    raise
                if clock.monotonic() - begin + pause > timeout:
                    raise WaitTimeoutError(
                        f"the repository {repository} was not ready after {timeout:g} s: {error.message}",
                        hint="Delete the repository and create it again; some never leave this state.",
                        service="data_store",
                    ) from error
            await clock.sleep(pause)
            pause = min(pause * 2, _POLL_TO)

    async def tree(self, repository: Repository, revision: str = "main") -> list[TreeEntry]:
        """All files of a repository.

        Raises:
            NotFoundError: the repository or the revision does not exist.
        """
        path = f"{repository.api}/tree/{segment(revision)}"
        query: Sequence[tuple[str, str]] = (("recursive", "true"), ("expand", "false"))
        found: list[TreeEntry] = []
        asked: set[tuple[str, str]] = set()
        while (path, str(query)) not in asked:
            asked.add((path, str(query)))
            if len(asked) > _MOST_PAGES:
                raise ProtocolError(f"the list of files in {repository} does not end", service="data_store")
            reply, data = await self._http.json_reply(Call("GET", path, query=query))
            found += await parse_list(TreeEntry, data, self._http)
            link = _NEXT_LINK.search(reply.headers.get("link", "")[:_LONGEST_LINK])
            if not link:
                break
            # Only its query is taken: its host may be one that is reachable from inside the cluster alone.
            query = _pairs(link[1].partition("#")[0].partition("?")[2])
        return [entry for entry in found if entry.type == "file"]

    async def revisions(self, repository: Repository) -> dict[str, str]:
        """The branches of a repository and the commits they are at.

        Raises:
            NotFoundError: there is no such repository, or the server does not list branches.
        """
        data = await self._http.json(Call("GET", f"{repository.api}/refs"))
        return {ref.name: ref.target_commit for ref in (await parse(RepoRefs, data, self._http)).branches}

    async def default_revision(self, repository: Repository) -> str:
        """The branch that is meant where none is named: ``main``, or the only other one of a model.

        Raises:
            NotFoundError: there is no such repository, or none or several of its branches could be meant.
        """
        entries: list[TreeEntry] = []
        try:
            entries = await self.tree(repository)
        except NotFoundError:
            await self.info(repository)
        weights = any(entry.path.endswith(_WEIGHTS) for entry in entries)
        if entries and (weights or repository.type != "model"):
            return "main"
        try:
            others = sorted(name for name in await self.revisions(repository) if name != "main")
        except APIError:
            others = []
        if len(others) == 1:
            return others[0]
        if entries and not others:
            return "main"
        found = f"its branches are: {', '.join(others)}" if others else "the server lists no other branch"
        raise NotFoundError(
            f"{repository} holds no {'weights' if entries else 'files'} on main; {found}",
            hint="Name one with revision=, or as NAMESPACE/NAME@REVISION.",
            service="data_store",
        )

    async def list(self, namespace: str | None = None, type: RepoType = "dataset") -> list[RepoInfo]:
        """The repositories of a type, of one namespace or of all.

        Args:
            namespace: whose.
            type: ``"dataset"`` or ``"model"``.
        """
        query = [("author", namespace)] if namespace is not None else []
        data = await self._http.json(Call("GET", f"/v1/hf/api/{type}s", query=query))
        return await parse_list(RepoInfo, data, self._http)


def _pairs(query: str) -> list[tuple[str, str]]:
    from urllib.parse import parse_qsl

    return parse_qsl(query, keep_blank_values=True)
