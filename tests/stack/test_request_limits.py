"""Requests that ask for too much are refused by field and limit, before any work, in one line of the log."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import pytest

from lawtags_stack.http.bodies import MOST_VALUES
from lawtags_stack.stack import StackThread

MODEL = "huggingfacetb/smollm2-135m-instruct"
WORDS = [f"word{number}" for number in range(30_000)]
LONG = "law " * 200_000
PARTS = [{"type": "text", "text": LONG}]
USER = {"role": "user", "content": "a"}


@pytest.mark.parametrize(
    ("path", "field", "body"),
    [
        ("completions", "prompt", {"prompt": "x" * 15_000_000}),
        ("completions", "prompt", {"prompt": ["a", LONG]}),
        ("completions", "prompt", {"prompt": [LONG[:500_000]] * 10}),
        ("completions", "prompt", {"prompt": ["a"] * 100_000}),
        ("completions", "prompt", {"prompt": [1] * 200_000}),
        ("completions", "prompt", {"prompt": [[1], [1] * 200_000]}),
        ("completions", "n", {"prompt": "a", "n": 100_000}),
        ("completions", "n", {"prompt": ["a"] * 1000, "n": 100}),
        ("completions", "stop", {"prompt": "a", "stop": LONG}),
        ("completions", "guided_choice", {"prompt": "a", "guided_choice": WORDS}),
        ("completions", "guided_choice", {"prompt": "a", "nvext": {"guided_choice": WORDS}}),
        ("completions", "choice", {"prompt": "a", "structured_outputs": {"choice": WORDS}}),
        ("completions", "guided_grammar", {"prompt": "a", "guided_grammar": "start: " + "|".join(WORDS)}),
        ("completions", "grammar", {"prompt": "a", "structured_outputs": {"grammar": "|".join(WORDS)}}),
        ("completions", "guided_regex", {"prompt": "a", "nvext": {"guided_regex": "|".join(WORDS)}}),
        ("completions", "guided_json", {"prompt": "a", "guided_json": {"enum": WORDS}}),
        ("chat/completions", "messages", {"messages": [{"role": "user", "content": LONG}]}),
        ("chat/completions", "messages", {"messages": [USER] * 100_000}),
        ("chat/completions", "messages", {"messages": [{"role": "user", "content": PARTS}]}),
        ("chat/completions", "n", {"messages": [USER], "n": 100_000}),
        ("chat/completions", "tools", {"messages": [USER], "tools": [{"type": "function", "x": LONG}]}),
        ("chat/completions", "response_format", {
            "messages": [USER],
            "response_format": {"type": "json_schema", "json_schema": {"schema": {"enum": WORDS}}},
        }),
    ],
)  # fmt: skip
def test_what_is_too_much_is_named(
    stack: StackThread, caplog: pytest.LogCaptureFixture, path: str, field: str, body: dict[str, Any]
) -> None:
    with caplog.at_level(logging.WARNING):
        answer = httpx.post(
            f"{stack.inference_url}/v1/{path}", json={"model": MODEL, "max_tokens": 1, **body}, timeout=60
        )
    assert answer.status_code == 400
    assert field in answer.text and len(answer.text) < 1000
    assert sum(len(record.getMessage()) for record in caplog.records) < 500
    assert not any(record.exc_info for record in caplog.records)


def test_bodies_of_endless_values_are_refused_shortly(stack: StackThread) -> None:
    for body in (
        json.dumps({"model": MODEL, "prompt": [1] * (MOST_VALUES + 1)}),
        json.dumps({"model": MODEL, "prompt": "a", "stop": [1] * 100_000}),
        json.dumps([{}] * 100_000),
    ):
        headers = {"Content-Type": "application/json"}
        answer = httpx.post(
            f"{stack.inference_url}/v1/completions", content=body, headers=headers, timeout=60
        )
        assert answer.status_code == 422
        assert len(answer.text) < 10_000
