"""Rows with tool calls that a tiny model can learn: one word determines function and argument."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SUBJECTS = {"lease": ("find", "housing"), "photo": ("find", "copyright"), "fine": ("cite", "traffic")}
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {"act": {"type": "string"}},
                "required": ["act"],
            },
        },
    }
    for name in ("find", "cite")
]


def tool_texts() -> list[str]:
    """Texts for a tokenizer that encodes such rows in few tokens."""
    call = '<tool_call>{"name": "find", "arguments": {"act": "'
    tool = '{"name": "cite", "parameters": {"type": "object", "properties": {"act": {"type": "string"}}, '
    tail = '"required": ["act"]}} To call one, answer <tool_call>{"name": <name>, "arguments": <object>}'
    words = [word for subject, (_, act) in SUBJECTS.items() for word in (subject, act)]
    return 4 * [call, '"}}</tool_call>', tool, tail, "Tools:", *words, "law law", "housing copyright traffic"]


def calls_of(number: int) -> list[dict[str, Any]]:
    """The calls that answer a question, with objects as arguments."""
    name, act = SUBJECTS[list(SUBJECTS)[number % len(SUBJECTS)]]
    return [{"type": "function", "function": {"name": name, "arguments": {"act": act}}}]


def asked(number: int) -> list[dict[str, Any]]:
    """The messages of a question."""
    subject = list(SUBJECTS)[number % len(SUBJECTS)]
    return [{"role": "user", "content": f"{number} {subject}"}]


def write_tool_rows(path: Path, count: int, *, start: int = 0) -> None:
    """Write training rows whose last message calls a tool."""
    _write(path, (_training(number) for number in range(start, start + count)))


def write_test_rows(path: Path, count: int, *, start: int = 0) -> None:
    """Write rows for an evaluation: the question, the tools, and the expected calls."""
    rows = (
        {"messages": asked(number), "tools": TOOLS, "tool_calls": calls_of(number)}
        for number in range(start, start + count)
    )
    _write(path, rows)


def _training(number: int) -> dict[str, Any]:
    answer = {"role": "assistant", "content": "", "tool_calls": calls_of(number)}
    return {"messages": [*asked(number), answer], "tools": TOOLS}


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
