"""Values as other programs write them."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.read.columns import SourceRow
from lawtags_client.curation.read.dates import AmbiguousDateError, read_moment, to_moment
from lawtags_client.curation.read.notices import Notices, value_notes
from lawtags_client.curation.read.raw import BadRow
from lawtags_client.curation.read.sources import find_sources, read_source
from lawtags_client.curation.read.values import MISSING_TEXTS, ValueFormError, is_absent, read_id, read_number

GOOD = {"title": "Is it legal?", "tags": ["a"]}


def _read(path: Path, notices: Notices | None = None) -> list[SourceRow | BadRow]:
    (source,) = find_sources([path])
    return [row for _, row in read_source(source, {}, notices=notices)]


def _rows(folder: Path, *rows: dict[str, Any] | str) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


@pytest.mark.parametrize(
    "text", ["NaN", "nan", "NULL", "None", "<NA>", "#N/A", "\\N", "NaT", "(null)", " NA "]
)
@pytest.mark.parametrize("field", ["body", "tags", "score", "created", "id", "link"])
def test_a_text_for_a_missing_value_is_missing_in_every_field(tmp_path: Path, text: str, field: str) -> None:
    notices = Notices()
    path = _rows(tmp_path, GOOD, GOOD | {field: text})
    plain, row = _read(path, notices)
    assert isinstance(plain, SourceRow)
    assert isinstance(row, SourceRow)
    assert row.tags == (() if field == "tags" else ("a",))
    assert (row.body, row.score, row.created, row.link, row.id) == (None, None, None, None, plain.id)
    assert notices.missing == {field: {text.strip(): 1}}
    assert value_notes(notices.as_dict()) == [f"{field}: 1 value read as missing: {text.strip()} (1)"]


@pytest.mark.parametrize("text", sorted(MISSING_TEXTS))
def test_a_title_that_is_such_a_text_refuses_the_row_and_one_that_holds_it_does_not(
    tmp_path: Path, text: str
) -> None:
    bad, good = _read(_rows(tmp_path, GOOD | {"title": text}, GOOD | {"title": f"{text} of them"}))
    assert isinstance(bad, BadRow)
    assert (bad.field, "marker for a missing value" in bad.reason) == ("title", True)
    assert isinstance(good, SourceRow)


def test_tags_and_words_that_look_like_one_stay(tmp_path: Path) -> None:
    rows = [GOOD | {"tags": tags} for tags in ("none", "null-and-void", ["none"], "nan;none", ["None"])]
    found = [row.tags for row in _read(_rows(tmp_path, *rows)) if isinstance(row, SourceRow)]
    assert found == [("none",), ("null-and-void",), ("none",), ("none",), ()]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3.0), ("3", 3.0), (" -3.0 ", -3.0), ("3,5", 3.5), ("1.234,5", 1234.5), ("1,234.5", 1234.5),
        ("−7", -7.0), ("1 234", 1234.0), ("12\u202f345\u202f678,5", 12345678.5),
        ("1,234,567", 1234567.0), ("1e5", 1e5), (Decimal("3.00"), 3.0), ("+4", 4.0), (".5", 0.5),
    ],
)  # fmt: skip
def test_numbers_of_every_form_are_read(value: Any, number: float) -> None:
    assert read_number(value) == number


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("1,234", "ambiguous"), ("1.2.3", "must be a number"), ("many", "must be a number"),
        ("12 34", "must be"),
        (True, "not a boolean"), ([1], "not a list"), ("1e999", "finite"), ("inf", "finite"),
        (2**53 + 1, "2\\^53"),
        (10**400, "finite"),
        ("1_000", "must be a number"), ("٣", "must be a number"),
    ],
)  # fmt: skip
def test_a_number_is_not_guessed(value: Any, reason: str) -> None:
    with pytest.raises(ValueFormError, match=reason):
        read_number(value)


@pytest.mark.parametrize("value", [612345678901234567, -(2**64), 10**30, 0, 7])
def test_whole_numbers_are_exact_ids_at_any_size(tmp_path: Path, value: int) -> None:
    forms = [str(value), json.dumps(str(value)), f"{value}.0", f"{value}E0"]
    rows = [f'{{"title": "x", "tags": ["a"], "id": {form}}}' for form in forms]
    found = _read(_rows(tmp_path, *rows))
    assert [row.id for row in found if isinstance(row, SourceRow)] == [str(value)] * 4
    path = tmp_path / "list.json"
    path.write_text(f"[{','.join(rows)}]")
    assert [row.id for row in _read(path) if isinstance(row, SourceRow)] == [str(value)] * 4


def test_ids_of_tables_lose_the_fraction_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,title,tags\n3.0,A,a\n007,B,a\nq-1.0,C,a\n612345678901234567,D,a\n")
    assert [row.id for row in _read(path) if isinstance(row, SourceRow)] == [
        "3", "007", "q-1.0", "612345678901234567",
    ]  # fmt: skip


@pytest.mark.parametrize("value", [1.5, float(2**60), math.inf, True, [1], {"a": 1}, Decimal("1e5000")])
def test_an_id_is_not_guessed(value: Any) -> None:
    with pytest.raises(ValueFormError):
        read_id(value)


@pytest.mark.parametrize(
    "value",
    [
        "NaN",
        "Infinity",
        "1e999",
        "9" * 5000,
        '"\\ud800"',
        "[" * 5000 + "]" * 5000,
        '1, "other": 2',
        '{"x": NaN}',
    ],
)
@pytest.mark.parametrize("form", ["lines", "list"])
def test_a_bad_value_costs_the_field_that_it_stands_in_and_no_more(
    tmp_path: Path, value: str, form: str
) -> None:
    unused = f'{{"title": "x", "tags": ["a"], "other": {value}}}'
    used = f'{{"title": "x", "tags": ["a"], "score": {value}, "score": 2}}'
    optional = f'{{"title": "x", "tags": ["a"], "link": {value}, "link": 2}}'
    path = tmp_path / "rows.json"
    rows = [unused, used, optional]
    path.write_text("\n".join(rows) if form == "lines" else f"[{','.join(rows)}]")
    notices = Notices()
    first, second, third = _read(path, notices)
    assert isinstance(first, SourceRow)
    assert isinstance(second, BadRow)
    assert second.field == "score"
    assert isinstance(third, SourceRow)
    assert third.link is None
    assert [entry["field"] for entry in notices.as_dict()["unreadable"]] == ["link"]


def test_wrong_bytes_cost_the_field_that_they_stand_in(tmp_path: Path) -> None:
    rows = b'{"title": "x", "tags": ["a"], "by": "J\xf6rg"}\n{"title": "\xf6", "tags": ["a"], "by": ["\xf6"]}'
    for name, content in (("a.jsonl", rows), ("b.json", b"[" + rows.replace(b"\n", b",") + b"]")):
        path = tmp_path / name
        path.write_bytes(content)
        good, bad = _read(path)
        assert isinstance(good, SourceRow)
        assert isinstance(bad, BadRow)
        assert (bad.field, bad.reason.startswith("is not UTF-8")) == ("title", True)
    path = tmp_path / "rows.csv"
    path.write_bytes(b"title,tags,by\nx,a,J\xf6rg\n\xf6,a,b\n")
    good, bad = _read(path)
    assert isinstance(good, SourceRow)
    assert isinstance(bad, BadRow)
    assert bad.field == "title"


NOON = "2017-03-10T08:15:42+00:00"


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2017-03-10 08:15:42 UTC", NOON),
        ("2017-03-10T08:15:42Z", NOON),
        ("2017-03-10 09:15:42+01", NOON),
        ("2017-03-10 03:15:42 -0500", NOON),
        ("2017/3/10 8:15:42", NOON),
        ("20170310T081542Z", NOON),
        ("20170310081542", NOON),
        ("1489133742", NOON),
        (1489133742000, NOON),
        ("1489133742000000", NOON),
        (1489133742000000000, NOON),
        (1489133742.0, NOON),
        ("1.489133742e+09", NOON),
        ("Fri, 10 Mar 2017 08:15:42 GMT", NOON),
        ("Fri, 10 Mar 2017 03:15:42 -0500 (EST)", NOON),
        ("10 March 2017 08:15:42", NOON),
        ("March 10th, 2017 at 8:15:42 AM", NOON),
        ("Fri Mar 10 08:15:42 2017", NOON),
        ("25/12/2021", "2021-12-25T00:00:00+00:00"),
        ("12/25/2021 1:00 pm", "2021-12-25T13:00:00+00:00"),
        ("04.04.2021", "2021-04-04T00:00:00+00:00"),
        ("2017-03-10 08:15:42.123456789 UTC", "2017-03-10T08:15:42.123456+00:00"),
        (datetime(2017, 3, 10, 8, 15, 42, tzinfo=UTC), NOON),
        (date(2017, 3, 10), "2017-03-10T00:00:00+00:00"),
        ("2017-03", "2017-03-01T00:00:00+00:00"),
        ("10-Mar-17", "2017-03-10T00:00:00+00:00"),
        ("10 MAR '99", "1999-03-10T00:00:00+00:00"),
        ("Fri, 10 Mar 17 08:15:42 GMT", NOON),
        ("10-Mar-68 24:00", "2068-03-11T00:00:00+00:00"),
        ("1-Jan-69", "1969-01-01T00:00:00+00:00"),
        ("2016-12-31T24:00:00Z", "2017-01-01T00:00:00+00:00"),
        ("20170310T2400", "2017-03-11T00:00:00+00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2017-03-10 08:15:42 GMT", NOON),
        ("2017-03-10 08:15:42Z", NOON),
        ("2017-03-10 03:15:42 EST", NOON),
        ("2017-03-10 12:15:42 am PST", "2017-03-10T08:15:42+00:00"),
        ("10 March 2017 09:15:42 CET", NOON),
        ("2017-03-10T09:15:42+01:00[Europe/Paris]", NOON),
        ("2017-03-10 17:45:42 ACST", NOON),
        ("2017-03-10 09:15 UTC+1", "2017-03-10T08:15:00+00:00"),
        ("Fri Mar 10 2017 03:15:42 GMT-0500 (Eastern Standard Time)", NOON),
    ],
)
def test_dates_of_other_programs_are_read(value: Any, moment: str) -> None:
    assert to_moment(value) == moment


@pytest.mark.parametrize("text", ["03/04/2021", "3-4-2021", "03.04.2021 10:00", "03/04/21", "13/04/21"])
def test_a_date_that_could_be_two_days_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(AmbiguousDateError, match="day or month first"):
        to_moment(text)
    notices = Notices()
    (row,) = _read(_rows(tmp_path, GOOD | {"creation_date": text}), notices)
    assert isinstance(row, SourceRow)
    assert row.created is None
    (told,) = value_notes(notices.as_dict())
    assert told.startswith("creation_date: 1 value unknown, the first at rows.jsonl:1: is an ambiguous date")


@pytest.mark.parametrize(
    "text",
    [
        "last summer", "2017-13-01", "42804", "2017-03-10 08:15 Mars/Base", "1/2/3/4", "2017-03-10 08:15 IST",
        "2017-03-10 08:15 BST", "2017-03-10 08:15 K", "2017-03-10T24:00:01", "2017-03-10T08:15:60", "Mar-17",
        "Mar 10, 17", "30-Feb-17", "10-Mai-17", "9999-12-31T24:00",
    ],
)  # fmt: skip
def test_what_is_no_date_is_unknown(text: str) -> None:
    assert read_moment(text) is None


@given(st.text() | st.integers() | st.floats() | st.binary() | st.lists(st.integers()) | st.decimals())
def test_no_value_raises_anything_but_its_own_error(value: Any) -> None:
    is_absent(value)
    for read in (read_number, read_id, to_moment):
        try:
            read(value)
        except ValueFormError:
            continue
