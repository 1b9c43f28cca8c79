from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import UnprocessableError
from lawtags_stack.http.ids import base58, check_name, new_id, split_reference
from lawtags_stack.http.query import ListQuery, parse_list_query
from lawtags_stack.http.select import select
from lawtags_stack.times import naive, read_moment, zulu, zulu_milliseconds, zulu_seconds

MOMENT = datetime(2025, 6, 20, 4, 20, 21, 387984, UTC)


def query(text: str, **options: Any) -> ListQuery:
    return parse_list_query(parse_qsl(text, keep_blank_values=True), **options)


def found(documents: list[dict[str, Any]], text: str) -> list[Any]:
    return [each["n"] for each in select(documents, query(text, sorts=("created_at", "n"))).data]


def test_moments_are_written_as_each_service_does() -> None:
    assert naive(MOMENT) == "2025-06-20T04:20:21.387984"
    assert zulu(MOMENT) == "2025-06-20T04:20:21.387984Z"
    assert zulu_seconds(MOMENT) == "2025-06-20T04:20:21Z"
    assert zulu_milliseconds(MOMENT) == "2025-06-20T04:20:21.387Z"


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1000, 1, 1)))
def test_moments_are_read_back(moment: datetime) -> None:
    assert read_moment(naive(moment)) == read_moment(zulu(moment)) == moment


@given(st.uuids())
def test_ids_have_prefix_and_base58(value: uuid.UUID) -> None:
    identity = new_id("cust", value)
    assert re.fullmatch(r"cust-[1-9A-HJ-NP-Za-km-z]{1,22}", identity)


def test_base58_of_known_numbers() -> None:
    assert [base58(number) for number in (0, 57, 58, 58**2)] == ["1", "z", "21", "211"]


@given(st.text())
def test_names_are_either_safe_in_a_path_or_refused(name: str) -> None:
    try:
        check_name(name)
    except UnprocessableError:
        return
    assert not set("/\\% \x00") & set(name) and ".." not in name and name[0] not in "-."


@pytest.mark.parametrize("text", ["name", "/name", "ns/", "a/b/c", ""])
def test_references_have_two_parts(text: str) -> None:
    with pytest.raises(UnprocessableError):
        split_reference(text)


def test_brackets_nest_repeat_and_take_commas() -> None:
    asked = query(
        "filter[peft][lora]=true&search[name]=a&search[name]=b,c&sort=-created_at&page=2&page_size=5"
    )
    assert asked.filter == {"peft": {"lora": ["true"]}}
    assert asked.search == {"name": ["a", "b", "c"]}
    assert (asked.sort, asked.page, asked.page_size) == ("-created_at", 2, 5)


def test_unknown_parameters_are_ignored() -> None:
    assert query("whatever=1&filter=x&filter[]=y&search[a") == ListQuery()


@given(st.lists(st.tuples(st.text(), st.text())))
def test_any_query_string_is_read_or_refused(items: list[tuple[str, str]]) -> None:
    try:
        parse_list_query(items)
    except UnprocessableError as error:
        assert error.detail[0]["loc"][0] == "query"


def test_filters_compare_by_kind() -> None:
    documents: list[dict[str, Any]] = [
        {"n": 1, "enabled": True, "size": 8, "peft": {"lora": {"alpha": 1}}, "base": "ns/a"},
        {"n": 2, "enabled": False, "size": 16, "peft": None, "base": "ns/b"},
        {"n": 3},
    ]
    assert found(documents, "filter[enabled]=true") == [1]
    assert found(documents, "filter[enabled]=false") == [2, 3]
    assert found(documents, "filter[size]=16") == [2]
    assert found(documents, "filter[size][gt]=8") == [2]
    assert found(documents, "filter[size][lte]=8") == [1]
    assert found(documents, "filter[peft]=true") == [1]
    assert found(documents, "filter[peft][lora]=true") == [1]
    assert found(documents, "filter[base][name]=a") == [1]
    assert found(documents, "filter[base]=ns/a&filter[base]=ns/b") == [1, 2]


def test_search_contains_and_ranges() -> None:
    documents = [
        {"n": 1, "name": "Law Tagger", "created_at": "2025-01-01T00:00:00.000000"},
        {"n": 2, "name": "other", "created_at": "2025-06-01T00:00:00.000000"},
    ]
    assert found(documents, "search[name]=law") == [1]
    assert found(documents, "search[name]=LAW,oth") == [1, 2]
    assert found(documents, "search[name]=law&search[n]=2") == []
    assert found(documents, "search[created_at][start]=2025-03-01") == [2]
    assert found(documents, "search[created_at][end]=2025-03-01T00:00:00Z") == [1]


@given(st.lists(st.one_of(st.none(), st.integers(-5, 5)), max_size=30), st.integers(1, 7), st.booleans())
def test_pages_cover_everything_once_and_then_are_empty(
    values: list[int | None], size: int, descending: bool
) -> None:
    documents = [{"n": number, "v": value} for number, value in enumerate(values)]
    sort = "-v" if descending else "v"
    seen: list[int] = []
    for page in range(1, len(values) // size + 3):
        asked = ListQuery(page=page, page_size=size, sort=sort)
        shown = select(documents, asked).envelope()
        assert shown["pagination"]["total_results"] == len(values)
        seen += [each["n"] for each in shown["data"]]
    assert shown["data"] == []
    assert sorted(seen) == [*range(len(values))]
    present = [values[number] for number in seen if values[number] is not None]
    assert present == sorted(present, key=lambda value: value or 0, reverse=descending)
    assert all(values[number] is None for number in seen[len(present) :])


def test_envelope_echoes_what_was_asked() -> None:
    shown = select([], query("filter[namespace]=demo&search[name]=a,b")).envelope()
    assert shown == {
        "object": "list",
        "data": [],
        "pagination": {
            "page": 1,
            "page_size": 10,
            "current_page_size": 0,
            "total_pages": 0,
            "total_results": 0,
        },
        "sort": "created_at",
        "filter": {"namespace": "demo"},
        "search": {"name": ["a", "b"]},
    }
