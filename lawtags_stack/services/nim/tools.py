"""Validates the tools and the tool choice of a chat request."""

from __future__ import annotations

import json
from collections.abc import Mapping

from lawtags_client.errors import BadRequestError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_client.types.inference import ChatCompletionRequest

MOST_TOOLS = 128
MOST_CHARACTERS = 1 << 18
"""All tools together as JSON: each schema becomes part of a grammar, compiled before the answer starts."""

_MODES = ("auto", "none", "required")


def tool_choice(request: ChatCompletionRequest) -> JsonObject | None:
    """Return the fields of the worker's ``ToolChoice``; None if no tools are offered.

    Raises:
        BadRequestError: there are too many tools, or the chosen tool is not among them.
    """
    wanted, tools = request.tool_choice, request.tools or []
    mode, name = "auto", None
    if isinstance(wanted, Mapping):
        function = wanted.get("function")
        name = function.get("name") if isinstance(function, Mapping) else wanted.get("name")
        mode = "required"
        if not isinstance(name, str):
            raise BadRequestError(
                "tool_choice must name a function: {'type': 'function', 'function': {'name': ...}}"
            )
    elif wanted is not None:
        mode = wanted
    if mode not in _MODES:
        raise BadRequestError(f"tool_choice must be {', '.join(map(repr, _MODES))} or name a function")
    if not tools:
        if mode == "required":
            raise BadRequestError("tool_choice requires a call, but there are no tools")
        return None
    if len(tools) > MOST_TOOLS:
        raise BadRequestError(f"at most {MOST_TOOLS} tools can be offered; there are {len(tools)}")
    if len(json.dumps(tools)) > MOST_CHARACTERS:
        raise BadRequestError(f"the tools exceed {MOST_CHARACTERS} characters; shorten their schemas")
    if name is not None and name not in map(_name, tools):
        raise BadRequestError(f"tool_choice names {str(name)[:80]!r}, which is not among the tools")
    return {"mode": mode, "name": name, "parallel": request.parallel_tool_calls is not False}


def _name(tool: JsonObject) -> JsonValue:
    function = tool.get("function", tool)
    return function.get("name") if isinstance(function, Mapping) else None
