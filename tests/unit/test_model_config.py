from __future__ import annotations

import json
from pathlib import Path

import pytest

from lawtags_client.errors import DataError
from lawtags_client.model_config import context_length, read_model_config
from lawtags_client.runs.planning.shapes import read_shape


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1, 2]",
        b"null",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe{}",
        b'{"n": ' + b"9" * 5000 + b"}",
        b'{"padding": "' + b"x" * (16 << 20) + b'"}',
    ],
    ids=[
        "empty",
        "cut",
        "list",
        "null",
        "nested lists",
        "nested objects",
        "not UTF-8",
        "long number",
        "large",
    ],
)
def test_config_that_is_no_object_is_an_error_that_names_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"config\.json") as caught:
        read_model_config(path)
    assert caught.value.hint
    assert read_shape(path) is None


def test_missing_config_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"config\.json"):
        read_model_config(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("8192", 8192),
        ("null", None),
        ("true", None),
        ('"8192"', None),
        ("1e400", None),
        ("-1", None),
        ("0", None),
        ("NaN", None),
        ("[8192]", None),
        ("9" * 100, None),
    ],
)
def test_context_length_is_a_positive_count_or_unknown(text: str, tokens: int | None, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(f'{{"max_position_embeddings": {text}}}')
    assert context_length(read_model_config(path)) == tokens


def test_context_length_of_a_config_without_one() -> None:
    assert context_length(json.loads("{}")) is None
