"""Rows of evaluations that are legal JSON but odd, and files that only look like rows."""

from __future__ import annotations

import json

import pytest

from lawtags_client.errors import BadRequestError
from lawtags_stack.services.evaluator.rows import parse_rows


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_line_separators_within_texts_end_no_row(separator: str, name: str) -> None:
    row = {"input": f"a{separator}b"}
    line = json.dumps(row, ensure_ascii=False)
    assert parse_rows(name, f"{line}\r\n{line}\n".encode()) == [row, row]


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        b"\xff",
        b"[1]",
    ],
)
def test_what_cannot_be_rows_is_refused_by_file(content: bytes) -> None:
    for name in ("a.jsonl", "a.json"):
        with pytest.raises(BadRequestError, match=name):
            parse_rows(name, content)
