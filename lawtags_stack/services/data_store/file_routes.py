"""Routes for files: preupload, commit, list, download."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated
from urllib.parse import quote, urlencode

from pydantic import BeforeValidator
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from lawtags_client.errors import BadRequestError
from lawtags_client.json_value import JsonObject
from lawtags_client.types.common import WireModel
from lawtags_client.types.data_store import (
    CommitInfo,
    CommitLine,
    PreuploadRequest,
    PreuploadResponse,
    RepoType,
    TreeEntry,
)
from lawtags_stack.http.bodies import validate
from lawtags_stack.http.operations import BINARY, Parameter
from lawtags_stack.http.responses import JsonResponse, error_response
from lawtags_stack.http.routing import ApiRoute, RouteCall, route
from lawtags_stack.services.data_store.commits import read_changes
from lawtags_stack.services.data_store.errors import EntryMissingError, hub_error_response
from lawtags_stack.services.data_store.hub_format import format_entry
from lawtags_stack.services.data_store.hub_urls import check_path
from lawtags_stack.services.data_store.repo_routes import FORM_OR_JSON, REPO_TYPES, form_or_json
from lawtags_stack.services.data_store.state import LARGEST_REGULAR, DataStoreState
from lawtags_stack.services.data_store.trees import FileEntry, FolderEntry

_TREE_PAGE = 1000
_XET = "This Data Store does not support Xet. Set HF_HUB_DISABLE_XET=1 to send large files through LFS."


_TREE_QUERY = (
    Parameter("recursive", "boolean", "Include subfolders."),
    Parameter("limit", "integer", "Maximum number of entries; the `Link` header has the next page.", least=1),
    Parameter("cursor", about="Cursor from the `Link` header."),
)


class _WantedPaths(WireModel):
    # A form with a single path sends a string.
    paths: Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]


def file_routes(state: DataStoreState, *, empty_commit_url: bool = False) -> list[ApiRoute]:
    """Routes for files of datasets and models.

    Args:
        state: the Data Store.
        empty_commit_url: respond to commits with an empty ``commitUrl``, as real services do; huggingface_hub
            1.20 and later cannot parse it.
    """
    routes: list[ApiRoute] = []
    for repo_type in REPO_TYPES:
        routes += _api_routes(state, repo_type, empty_commit_url)
    hub = partial(route, on_error=hub_error_response)
    resolve = "{namespace}/{repo}/resolve/{revision}/{path:path}"
    return [
        *routes,
        hub(
            "GET",
            f"/v1/hf/datasets/{resolve}",
            partial(_fetch, state, "dataset"),
            answers=bytes,
            gives=BINARY,
        ),
        hub("GET", f"/v1/hf/{resolve}", partial(_fetch, state, "model"), answers=bytes, gives=BINARY),
    ]


def _api_routes(state: DataStoreState, repo_type: RepoType, empty_commit_url: bool) -> list[ApiRoute]:
    hub = partial(route, on_error=hub_error_response)
    one = f"/v1/hf/api/{repo_type}s/{{namespace}}/{{repo}}"
    commit, paths = _Commit(state, repo_type, empty_commit_url), _PathsInfo(state, repo_type)
    tree = partial(_tree, state, repo_type)
    return [
        hub(
            "POST",
            one + "/preupload/{revision}",
            partial(_preupload, state, repo_type),
            body=PreuploadRequest,
            answers=PreuploadResponse,
        ),
        hub(
            "POST",
            one + "/commit/{revision}",
            commit.answer,
            reads=list[CommitLine],
            accepts=("application/x-ndjson",),
            answers=CommitInfo,
        ),
        hub("GET", one + "/tree/{revision}", tree, answers=list[TreeEntry], query=_TREE_QUERY),
        hub("GET", one + "/tree/{revision}/{path:path}", tree, answers=list[TreeEntry], query=_TREE_QUERY),
        hub(
            "POST",
            one + "/paths-info/{revision}",
            paths.answer,
            reads=_WantedPaths,
            accepts=FORM_OR_JSON,
            answers=list[TreeEntry],
        ),
        hub("GET", one + "/xet-{direction}-token/{revision}", _no_xet),
    ]


def _preupload(state: DataStoreState, repo_type: RepoType, call: RouteCall) -> JsonObject:
    """Announce files."""
    request = call.sent(PreuploadRequest)
    files = state.files(repo_type, call.path["namespace"], call.path["repo"], call.path["revision"])
    announced = {file.path for file in request.files}
    known = {
        file.path: file.oid
        for file in files
        if file.path in announced and state.blobs.has(file.sha256, file.size)
    }
    return {
        "files": [
            {
                "path": check_path(file.path),
                "uploadMode": "lfs" if file.size > LARGEST_REGULAR else "regular",
                "shouldIgnore": False,
                # Lets clients skip files that are already stored unchanged.
                "oid": known.get(file.path),
            }
            for file in request.files
        ]
    }


class _Commit:
    """Handles commits to repositories of one type."""

    def __init__(self, state: DataStoreState, repo_type: RepoType, empty_url: bool) -> None:
        self._state = state
        self._repo_type: RepoType = repo_type
        self._empty_url = empty_url

    async def answer(self, call: RouteCall) -> JsonObject:
        """Create a commit."""
        namespace, name, branch = call.path["namespace"], call.path["repo"], call.path["revision"]
        if call.request.query_params.get("create_pr") in ("1", "true", "True"):
            raise BadRequestError("This Data Store does not support pull requests")
        repository = await run_in_threadpool(self._state.repositories.get, self._repo_type, namespace, name)
        changes = await read_changes(call.request.stream(), self._state)
        assert changes.header is not None
        oid = await run_in_threadpool(
            partial(
                self._state.add_commit,
                repository,
                branch,
                changes.entries,
                title=changes.header.summary,
                message=changes.header.description,
                delete=changes.deleted,
                expected_parent=changes.parent,
            )
        )
        prefix = "datasets/" if self._repo_type == "dataset" else ""
        url = "" if self._empty_url else f"{prefix}{namespace}/{name}/commit/{oid}"
        return {"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""}


class _PathsInfo:
    """Looks up paths in repositories of one type."""

    def __init__(self, state: DataStoreState, repo_type: RepoType) -> None:
        self._state = state
        self._repo_type: RepoType = repo_type

    async def answer(self, call: RouteCall) -> list[JsonObject]:
        """Look up paths."""
        wanted = validate(_WantedPaths, await form_or_json(call.request))
        return await run_in_threadpool(self._found, call, {path.strip("/") for path in wanted.paths})

    def _found(self, call: RouteCall, paths: set[str]) -> list[JsonObject]:
        entries = _entries(self._state, self._repo_type, call, "", recursive=True)
        return [format_entry(entry) for entry in entries if entry.path in paths]


def _tree(state: DataStoreState, repo_type: RepoType, call: RouteCall) -> Response:
    """List files and folders of a revision."""
    query = call.request.query_params
    recursive = query.get("recursive", "").lower() in ("true", "1")
    entries = _entries(state, repo_type, call, call.path.get("path", "").strip("/"), recursive)
    entries.sort(key=lambda entry: entry.path)
    limit = query.get("limit", "")
    size = min(int(limit), _TREE_PAGE) if re.fullmatch("[1-9][0-9]{0,8}", limit) else _TREE_PAGE
    after = query.get("cursor", "")
    page = [entry for entry in entries if entry.path > after][: size + 1]
    headers = {}
    if len(page) > size:
        page = page[:size]
        rest = {**query, "cursor": page[-1].path}
        url = f"{call.base_url}{quote(call.request.url.path)}?{urlencode(rest)}"
        headers["Link"] = f'<{url}>; rel="next"'
    return JsonResponse([format_entry(entry) for entry in page], headers=headers)


def _entries(
    state: DataStoreState, repo_type: RepoType, call: RouteCall, path: str, recursive: bool
) -> list[FileEntry | FolderEntry]:
    repository = state.repositories.get(repo_type, call.path["namespace"], call.path["repo"])
    commit = state.repositories.resolve(repository, call.path["revision"])
    trees = state.repositories.trees
    key = trees.folder(commit.tree, path)
    if key is None:
        raise EntryMissingError(f"There is no folder {path[:200]!r} at {call.path['revision'][:200]}")
    return [*trees.walk(key, below=path, recursive=recursive)]


def _fetch(state: DataStoreState, repo_type: RepoType, call: RouteCall) -> Response:
    """Download a file."""
    repository = state.repositories.get(repo_type, call.path["namespace"], call.path["repo"])
    commit = state.repositories.resolve(repository, call.path["revision"])
    path = call.path["path"]
    file = state.repositories.trees.files(commit.tree).get(path)
    if file is None:
        raise EntryMissingError(f"There is no file {path[:200]!r} at {call.path['revision'][:200]}")
    etag = f'"{file.sha256 if file.lfs else file.oid}"'
    headers = {"X-Repo-Commit": commit.oid, "ETag": etag, "X-Content-Type-Options": "nosniff"}
    if file.lfs:
        headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(file.size)}
    # Starlette handles ranges, conditional requests and HEAD.
    return FileResponse(
        state.blobs.path(file.sha256),
        headers=headers,
        media_type="application/octet-stream",
        filename=path.rsplit("/", 1)[-1],
        content_disposition_type="inline",
    )


def _no_xet(call: RouteCall) -> Response:
    """Report that Xet is not supported; large files use LFS."""
    return error_response(404, _XET, headers={"X-Error-Message": _XET})
