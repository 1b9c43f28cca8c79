from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import ConfigurationError
from lawtags_client.transport.body import UnreadableBody
from lawtags_client.transport.paging import walk
from lawtags_client.transport.paths import file_path, join, segment, split_reference
from lawtags_client.transport.query import list_query
from lawtags_client.transport.redact import Redactor
from lawtags_client.transport.retry import parse_retry_after
from lawtags_client.transport.sse import ServerSentEvent, events, lines


async def chunked(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


TEXTS = st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), max_size=6)


@given(TEXTS, st.sampled_from(["\n", "\r\n"]), st.integers(1, 7))
async def test_lines_are_the_same_however_they_are_cut(texts: list[str], end: str, size: int) -> None:
    data = "".join(text + end for text in texts).encode()
    assert [line async for line in lines(chunked(data, size))] == texts


@given(TEXTS, st.integers(1, 7))
async def test_a_lone_carriage_return_ends_a_line(texts: list[str], size: int) -> None:
    data = "".join(text + "\r" for text in texts).encode()
    found = [line async for line in lines(chunked(data, size))]
    # An empty last line may be left out: the stream's end says as much.
    assert [line for line in found if line] == [text for text in texts if text]


async def test_line_separators_inside_json_are_no_line_ends() -> None:
    data = 'data: {"a": "x\u2028y\x85z"}\n\n'.encode()
    found = [event async for event in events(chunked(data, 3))]
    assert found == [ServerSentEvent("message", '{"a": "x\u2028y\x85z"}')]


async def test_events_have_names_comments_and_several_lines() -> None:
    data = b": hello\n\nevent: error\ndata: one\ndata: two\nid: 4\n\ndata:[DONE]\n\ndata: cut"
    found = [event async for event in events(chunked(data, 5))]
    assert found == [
        ServerSentEvent("error", "one\ntwo"),
        ServerSentEvent("message", "[DONE]"),
        ServerSentEvent("message", "cut"),
    ]


class Numbers:
    def __init__(self, entries: list[int], total: int | None) -> None:
        self.entries = entries
        self.total_pages = total


@pytest.mark.parametrize(
    ("pages", "total", "found", "asked"),
    [
        ([[1, 2], [3], []], None, [1, 2, 3], 3),
        ([[1, 2], [3]], 2, [1, 2, 3], 2),
        ([[1, 2], [2, 3], []], None, [1, 2, 3], 3),
        ([[1, 2], [1, 2], [1, 2]], None, [1, 2], 2),
        ([[]], None, [], 1),
    ],
    ids=["empty page ends", "last page ends", "moved entry comes once", "repeating server", "nothing"],
)
async def test_walk_through_pages(
    pages: list[list[int]], total: int | None, found: list[int], asked: int
) -> None:
    calls = []

    async def fetch(number: int) -> Numbers:
        calls.append(number)
        return Numbers(pages[number - 1], total)

    assert [entry async for entry in walk(fetch, lambda entry: entry)] == found
    assert len(calls) == asked


@given(st.text())
def test_a_segment_never_leaves_its_place(name: str) -> None:
    try:
        quoted = segment(name)
    except ConfigurationError:
        return
    assert "/" not in quoted and "\\" not in quoted and quoted not in (".", "..", "")
    assert all(33 <= ord(letter) < 127 for letter in quoted)


def test_paths_keep_what_services_take_literally() -> None:
    assert join("/v1/models", "meta", "llama@v1.0.0+A100:x") == "/v1/models/meta/llama@v1.0.0+A100:x"
    assert file_path("training/a b.jsonl") == "training/a%20b.jsonl"
    assert split_reference("law/tags") == ("law", "tags")
    for what, example in (("dataset", "law/tags"), ("model", "law/tagger@v1"), ("deployment", "law/tagger")):
        with pytest.raises(ConfigurationError) as caught:
            split_reference("base", what)
        assert caught.value.message.startswith(f"{what} 'base' is not of the form")
        assert caught.value.hint == f"For example: {example}"
    for wrong in ("law", "/tags", "law/", "a/b/c", "../b", "a/.."):
        with pytest.raises(ConfigurationError):
            split_reference(wrong)


def test_filters_go_in_brackets() -> None:
    pairs = list_query(
        page=2,
        page_size=50,
        sort="-created_at",
        filter={"status": "running", "peft": {"lora": True}, "project": None},
        search={"name": ["a", "b"]},
    )
    assert pairs == [
        ("page", "2"),
        ("page_size", "50"),
        ("sort", "-created_at"),
        ("filter[status]", "running"),
        ("filter[peft][lora]", "true"),
        ("search[name]", "a"),
        ("search[name]", "b"),
    ]


def test_redaction_knows_the_secrets_of_a_body() -> None:
    redactor = Redactor(["token-1", "token-12"]).with_body({"a": [{"api_key": "nested-key"}]})
    assert redactor.text("token-12 token-1 nested-key") == "*** *** ***"
    assert redactor.value({"x": ["nested-key", 3, None]}) == {"x": ["***", 3, None]}


@pytest.mark.parametrize("size", [1, 2, 100])
async def test_a_byte_order_mark_before_a_stream_is_no_part_of_it(size: int) -> None:
    data = b"\xef\xbb\xbfdata: one\n\ndata: \xef\xbb\xbftwo\n\n"
    found = [event.data async for event in events(chunked(data, size))]
    assert found == ["one", "\ufefftwo"]


async def test_a_long_line_costs_time_in_proportion_to_its_length() -> None:
    # With a second look at every byte for each chunk, this would take minutes.
    line = b"a" * (1 << 20)
    found = [text async for text in lines(chunked(line + b"\n", 64))]
    assert len(found) == 1 and len(found[0]) == len(line)


@pytest.mark.parametrize(
    "data", [b"a" * (17 << 20), b"data: " + b"b" * (1 << 20) + b"\n"], ids=["line", "lines"]
)
async def test_an_event_without_an_end_is_refused(data: bytes) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield data

    with pytest.raises(UnreadableBody, match="longer than 16 MiB"):
        async for _ in events(endless()):
            pass


@pytest.mark.parametrize(
    "text",
    ["", " ", ",", "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 99 Foo", "nan", "1e999", "\x00", "0" * 5000],
)
def test_an_odd_retry_after_is_no_error(text: str) -> None:
    after = parse_retry_after({"retry-after": text}, datetime(2025, 6, 20, tzinfo=UTC))
    assert after is None or after >= 0


def test_secrets_in_nested_answers_are_masked_at_any_depth() -> None:
    value: Any = "the secret word"
    for _ in range(3000):
        value = [{"a": value}]
    assert "secret word" not in json.dumps(Redactor(["secret word"]).value(value))


async def test_an_event_of_countless_empty_lines_is_given_up() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"data:\n" * 8192

    with pytest.raises(UnreadableBody, match="longer than 16 MiB"):
        async for _ in events(chunks()):
            pass
