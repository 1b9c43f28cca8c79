"""Routes for namespaces, repositories, branches and tags."""

from __future__ import annotations

import re
from functools import partial
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from lawtags_client.errors import BadRequestError, ConflictError, UnprocessableError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_client.types.common import CamelModel, DeleteResponse, WireModel
from lawtags_client.types.data_store import (
    DataStoreNamespace,
    RepoCreated,
    RepoCreateRequest,
    RepoDeleteRequest,
    RepoInfo,
    RepoType,
)
from lawtags_stack.http.bodies import parse_json, read_limited, validate
from lawtags_stack.http.operations import Parameter
from lawtags_stack.http.responses import error_response
from lawtags_stack.http.routing import ApiRoute, RouteCall, route
from lawtags_stack.services.data_store.errors import header_text, hub_error_response
from lawtags_stack.services.data_store.hub_format import format_commit, format_repository
from lawtags_stack.services.data_store.repositories import RepositoryRecord, RepositoryTables
from lawtags_stack.services.data_store.state import DataStoreState

FORM_OR_JSON = ("application/x-www-form-urlencoded", "application/json")
_LIST_QUERY = (
    Parameter("author", about="The namespace."),
    Parameter("search", about="A part of the name."),
    Parameter("limit", "integer", "Maximum number of entries.", least=1),
)

REPO_TYPES: tuple[RepoType, ...] = ("dataset", "model")


class _NewNamespace(WireModel):
    namespace: str


class _NewTag(WireModel):
    tag: str


class _NewBranch(CamelModel):
    starting_point: str | None = None


class _Namespaces(WireModel):
    object: str
    data: list[DataStoreNamespace]


def namespace_routes(state: DataStoreState) -> list[ApiRoute]:
    """Routes for the Data Store's namespaces, which are separate from the Entity Store's."""
    repositories = state.repositories
    prefix = "/v1/datastore/namespaces"

    async def create(call: RouteCall) -> JsonObject:
        """Create a namespace."""
        body = validate(_NewNamespace, await form_or_json(call.request))
        return await run_in_threadpool(repositories.namespace_create, body.namespace)

    def read(call: RouteCall) -> JsonObject:
        """Get a namespace."""
        return repositories.namespace(call.path["name"])

    def list_all(call: RouteCall) -> JsonObject:
        """List all namespaces."""
        return {"object": "list", "data": repositories.namespaces()}

    def delete(call: RouteCall) -> JsonObject:
        """Delete a namespace."""
        repositories.namespace_delete(call.path["name"])
        return {"message": "Resource deleted successfully.", "id": call.path["name"]}

    added = partial(route, reads=_NewNamespace, accepts=FORM_OR_JSON, answers=DataStoreNamespace)
    return [
        *(added("POST", path, create, status=201) for path in (prefix, prefix + "/")),
        *(route("GET", path, list_all, answers=_Namespaces) for path in (prefix, prefix + "/")),
        # The real service responds to this GET with 201, and clients check for it.
        route("GET", prefix + "/{name}", read, status=201, answers=DataStoreNamespace),
        route("DELETE", prefix + "/{name}", delete, answers=DeleteResponse),
    ]


def repo_routes(state: DataStoreState) -> list[ApiRoute]:
    """Routes for dataset and model repositories."""
    hub = partial(route, on_error=hub_error_response)

    def create(call: RouteCall) -> JsonObject | Response:
        """Create a repository."""
        request = call.sent(RepoCreateRequest)
        repo_type, namespace, name = _target(request)
        prefix = "datasets/" if repo_type == "dataset" else ""
        made = {"url": f"{prefix}{namespace}/{name}", "name": f"{namespace}/{name}"}
        try:
            state.repo_create(repo_type, namespace, name, private=bool(request.private))
        except ConflictError as error:
            # Clients with exist_ok read the URL from the error response.
            told = {"X-Error-Message": header_text(error.message)}
            return error_response(409, error.message, headers=told, **made)
        return made

    def delete(call: RouteCall) -> JsonObject:
        """Delete a repository."""
        state.repo_delete(*_target(call.sent(RepoDeleteRequest)))
        return {"message": "Resource deleted successfully."}

    routes = [
        hub("POST", "/v1/hf/api/repos/create", create, body=RepoCreateRequest, answers=RepoCreated),
        hub("DELETE", "/v1/hf/api/repos/delete", delete, body=RepoDeleteRequest, answers=DeleteResponse),
        hub("POST", "/v1/hf/api/validate-yaml", _validate_card, body=dict, answers=dict),
        hub("GET", "/v1/hf/api/whoami-v2", _whoami, answers=dict),
    ]
    for repo_type in REPO_TYPES:
        routes += _repository_routes(state.repositories, repo_type)
        routes += _ref_routes(state.repositories, repo_type)
    return routes


def _named(repositories: RepositoryTables, repo_type: RepoType, call: RouteCall) -> RepositoryRecord:
    return repositories.get(repo_type, call.path["namespace"], call.path["repo"])


def _repository_routes(repositories: RepositoryTables, repo_type: RepoType) -> list[ApiRoute]:
    hub = partial(route, on_error=hub_error_response)
    named = partial(_named, repositories, repo_type)
    every = f"/v1/hf/api/{repo_type}s"
    one = every + "/{namespace}/{repo}"

    def list_all(call: RouteCall) -> list[JsonObject]:
        """List all repositories of this type."""
        query = call.request.query_params
        found = repositories.all(repo_type, query.get("author"))
        wanted = query.get("search", "").lower()
        found = [each for each in found if wanted in f"{each.namespace}/{each.name}".lower()]
        limit = query.get("limit", "")
        found = found[: int(limit)] if re.fullmatch("[0-9]{1,9}", limit) else found
        return [format_repository(each, repositories.resolve(each, "main"), None) for each in found]

    def read(call: RouteCall) -> JsonObject:
        """Get a repository at a revision, with its files."""
        repository = named(call)
        commit = repositories.resolve(repository, call.path.get("revision", "main"))
        files = [*repositories.trees.files(commit.tree).values()]
        blobs = call.request.query_params.get("blobs", "").lower() in ("true", "1")
        return format_repository(repository, commit, files, blobs=blobs)

    def history(call: RouteCall) -> list[JsonObject]:
        """List the commits up to a revision."""
        return [format_commit(each) for each in repositories.history(named(call), call.path["revision"])]

    return [
        hub("GET", every, list_all, answers=list[RepoInfo], query=_LIST_QUERY),
        hub("GET", one, read, answers=RepoInfo),
        hub("GET", one + "/revision/{revision}", read, answers=RepoInfo),
        hub("GET", one + "/commits/{revision}", history, answers=list[dict[str, object]]),
    ]


def _ref_routes(repositories: RepositoryTables, repo_type: RepoType) -> list[ApiRoute]:
    hub = partial(route, on_error=hub_error_response)
    named = partial(_named, repositories, repo_type)
    one = f"/v1/hf/api/{repo_type}s/{{namespace}}/{{repo}}"

    def refs(call: RouteCall) -> JsonObject:
        """List branches and tags."""
        repository = named(call)
        shown: dict[str, JsonValue] = {
            key: [
                {"name": name, "ref": f"refs/{folder}/{name}", "targetCommit": oid}
                for name, oid in repositories.refs(repository, kind).items()
            ]
            for key, kind, folder in (("branches", "branch", "heads"), ("tags", "tag", "tags"))
        }
        return shown | {"converts": [], "pullRequests": []}

    def tag_create(call: RouteCall) -> None:
        """Create a tag."""
        repositories.ref_create(named(call), "tag", call.sent(_NewTag).tag, call.path["revision"])

    async def branch_create(call: RouteCall) -> None:
        """Create a branch."""
        body = await read_limited(call.request)
        wanted = validate(_NewBranch, parse_json(body)) if body.strip() else _NewBranch()
        start = wanted.starting_point or "main"
        await run_in_threadpool(
            lambda: repositories.ref_create(named(call), "branch", call.path["branch"], start)
        )

    def ref_delete(kind: str, call: RouteCall) -> None:
        """Delete a branch or tag."""
        repositories.ref_delete(named(call), kind, call.path["name"])

    return [
        hub("GET", one + "/refs", refs, answers=dict),
        hub("POST", one + "/tag/{revision}", tag_create, body=_NewTag),
        hub("DELETE", one + "/tag/{name}", partial(ref_delete, "tag")),
        hub("POST", one + "/branch/{branch}", branch_create, reads=_NewBranch),
        hub("DELETE", one + "/branch/{name}", partial(ref_delete, "branch")),
    ]


async def form_or_json(request: Request) -> JsonObject:
    """Parse a body that some clients send as a form and others as JSON; repeated form fields become lists.

    Raises:
        UnprocessableError: it is neither.
    """
    body = await read_limited(request)
    if "form" in request.headers.get("content-type", ""):
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}
    value = parse_json(body)
    if not isinstance(value, dict):
        raise UnprocessableError("The body is not an object")
    return value


def _target(request: RepoCreateRequest | RepoDeleteRequest) -> tuple[RepoType, str, str]:
    repo_type = request.type or "model"
    if repo_type not in REPO_TYPES:
        raise BadRequestError(f"Repositories are datasets or models, not {repo_type[:80]!r}")
    namespace, name = request.organization, request.name
    if namespace is None:
        namespace, _, name = name.rpartition("/")
    if not namespace:
        raise BadRequestError("A repository needs a namespace (organization)")
    return repo_type, namespace, name


def _validate_card(call: RouteCall) -> JsonObject:
    """Validate the metadata of a model or dataset card."""
    # The Hub validates it; this Data Store accepts any text.
    return {"errors": [], "warnings": []}


def _whoami(call: RouteCall) -> JsonObject:
    """Get the user of the token."""
    return {
        "type": "user",
        "name": "default",
        "fullname": "default",
        "orgs": [],
        "auth": {"type": "access_token"},
    }
