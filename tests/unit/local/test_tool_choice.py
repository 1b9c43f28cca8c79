from __future__ import annotations

from typing import Any

import pytest

from lawtags_client.errors import BadRequestError
from lawtags_client.types.inference import ChatCompletionRequest
from lawtags_stack.services.nim.tools import MOST_CHARACTERS, MOST_TOOLS, tool_choice

TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
LONG = {"type": "function", "function": {"name": "find", "description": "a" * MOST_CHARACTERS}}


def request(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "x"}], **fields)  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, None),
        ({"tools": [], "tool_choice": "auto"}, None),
        ({"tool_choice": "none"}, None),
        ({"tools": [TOOL]}, {"mode": "auto", "name": None, "parallel": True}),
        ({"tools": [TOOL], "tool_choice": "none"}, {"mode": "none", "name": None, "parallel": True}),
        (
            {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
            {"mode": "required", "name": None, "parallel": False},
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "find"}}},
            {"mode": "required", "name": "find", "parallel": True},
        ),
    ],
)
def test_the_choice_of_a_request_is_understood(fields: dict[str, Any], found: dict[str, Any] | None) -> None:
    assert tool_choice(request(**fields)) == found


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tool_choice": "required"}, "no tools"),
        ({"tools": [TOOL], "tool_choice": "some"}, "must be"),
        ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "must name a function"),
        ({"tools": [TOOL], "tool_choice": {"function": {"name": "other"}}}, "not among the tools"),
        ({"tools": (MOST_TOOLS + 1) * [TOOL]}, "at most 128"),
        ({"tools": [LONG]}, "characters"),
    ],
)
def test_what_cannot_be_called_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequestError, match=said):
        tool_choice(request(**fields))
