"""The answers of a NeMo Helix that has nothing yet but the model that is asked for."""

from __future__ import annotations

import json
import re

from lawtags_client.errors import ConfigurationError
from lawtags_client.helix.names import make_name, split_reference
from lawtags_client.json_value import JsonValue
from lawtags_client.transport.rehearsal import RehearsedRequest

_WORKSPACE = "default"
_ENTITY = re.compile(r"/apis/(?P<service>[a-z]+)/v2/workspaces/(?P<workspace>[^/]+)/(?P<rest>.+)")


def assumed_model(config: str) -> str:
    """The model, ``workspace/name``, that a recipe's config means on a Helix that cannot be asked.

    Args:
        config: ``workspace/name``, perhaps with a version and target of v1, which Helix does not have.
    """
    plain = config.partition("@")[0]
    try:
        workspace, name = split_reference(plain, _WORKSPACE)
    except ConfigurationError:
        workspace, _, name = plain.rpartition("/")
        workspace, name = make_name(workspace) if workspace else _WORKSPACE, make_name(name)
    return f"{workspace}/{name}"


class FreshHelix:
    """Answers requests as Helix does; to be called with each one."""

    def __call__(self, request: RehearsedRequest) -> tuple[int, JsonValue]:
        path = request.path.partition("?")[0]
        found = _ENTITY.fullmatch(path)
        workspace, rest = (found["workspace"], found["rest"]) if found else (_WORKSPACE, "")
        if request.reads:
            return _read(workspace, rest)
        if "/-/" in rest:
            return 200, {"path": rest.partition("/-/")[2], "size": len(request.body)}
        body = json.loads(request.body)
        if rest.endswith("/jobs"):
            return 201, {**body, "id": "platform-job-rehearsed", "workspace": workspace, "status": "created"}
        return 200, {"workspace": workspace, **body}


def _read(workspace: str, rest: str) -> tuple[int, JsonValue]:
    collection, _, name = rest.partition("/")
    if collection == "models" and name:
        return 200, {"name": name, "workspace": workspace, "fileset": f"{workspace}/{name}"}
    if rest.endswith("/files"):
        return 200, {"data": []}
    return 404, {"detail": "Not Found"}
