from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.options import CurationOptions
from lawtags_client.curation.questions import questions_to_tag
from lawtags_client.curation.read.columns import SourceRow
from lawtags_client.curation.read.raw import BadRow, RawRow
from lawtags_client.curation.read.sources import find_sources, read_source
from lawtags_client.curation.read.values import is_absent
from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.tagging.question import Question

GOOD = {"title": "Is it legal?", "tags": ["a"], "body": "Text"}


def _read(path: Path, **columns: str) -> list[tuple[int, SourceRow | BadRow]]:
    (source,) = find_sources([path])
    return list(read_source(source, columns))


def _write(folder: Path, content: bytes | str, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _bad(path: Path) -> list[BadRow]:
    return [row for _, row in _read(path) if isinstance(row, BadRow)]


def _good(path: Path) -> list[SourceRow]:
    return [row for _, row in _read(path) if isinstance(row, SourceRow)]


LINE = json.dumps(GOOD)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_every_line_end_is_read_with_its_line(tmp_path: Path, end: str, last: bool) -> None:
    path = _write(tmp_path, end.join([LINE, "", LINE, LINE]) + (end if last else ""))
    assert [line for line, _ in _read(path)] == [1, 3, 4]
    assert not _bad(path)


def test_a_byte_order_mark_and_a_line_separator_inside_a_text_are_harmless(tmp_path: Path) -> None:
    row = json.dumps(GOOD | {"title": "one\u2028two"}, ensure_ascii=False)
    path = _write(tmp_path, b"\xef\xbb\xbf" + f"{row}\n{LINE}\n".encode())
    assert [row.title for row in _good(path)] == ["one\u2028two", "Is it legal?"]
    assert [line for line, _ in _read(path)] == [1, 2]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_an_array_is_read_row_by_row_with_lines(tmp_path: Path, indent: int | None, name: str) -> None:
    rows = [GOOD | {"title": f"Question {number}"} for number in range(5)]
    path = _write(tmp_path, json.dumps(rows, indent=indent), name)
    found = _read(path)
    assert [row.title for row in _good(path)] == [row["title"] for row in rows]
    assert [line for line, _ in found] == ([1] * 5 if indent is None else [2, 9, 16, 23, 30])


def test_an_array_larger_than_the_buffer_is_read_whole(tmp_path: Path) -> None:
    rows = [GOOD | {"title": f"Question {number}", "body": "é" * 9000} for number in range(300)]
    assert len(_good(_write(tmp_path, json.dumps(rows, ensure_ascii=False), "rows.json"))) == 300


def test_csv_keeps_line_ends_inside_fields_and_counts_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.writer(stream)
        writer.writerow(["title", "body", "tags", "score"])
        writer.writerow(["A", "one\ntwo", "<a><b>", "3"])
        writer.writerow(["B", "", "a,b", ""])
        writer.writerow(["C", "x"])
    rows = _read(path)
    assert [line for line, _ in rows] == [2, 4, 5]
    first, second, third = (row for _, row in rows)
    assert isinstance(first, SourceRow)
    assert (first.body, first.tags, first.score) == ("one\ntwo", ("a", "b"), 3.0)
    assert isinstance(second, SourceRow)
    assert (second.body, second.score) == (None, None)
    assert isinstance(third, BadRow)


def test_parquet_is_read_and_nan_means_no_value(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "rows.parquet"
    frame = pandas.DataFrame(
        {"question_title": ["A", "B"], "tags": [["a"], ["b", "c"]], "score": [1.0, float("nan")]}
    )
    frame.to_parquet(path)
    assert [(row.title, row.tags, row.score) for row in _good(path)] == [
        ("A", ("a",), 1.0),
        ("B", ("b", "c"), None),
    ]
    with pytest.raises(DataError, match="Parquet"):
        _read(_write(tmp_path, b"PAR1 but not really", "broken.parquet"))


def test_gzip_is_unpacked_whatever_its_name(tmp_path: Path) -> None:
    packed = gzip.compress(f"{LINE}\n".encode() * 3)
    assert len(_good(_write(tmp_path, packed, "rows.jsonl.gz"))) == 3
    assert len(_good(_write(tmp_path, packed, "rows.jsonl"))) == 3
    with pytest.raises(DataError, match="damaged"):
        _read(_write(tmp_path, packed[:-10], "cut.jsonl.gz"))


def test_zstandard_is_unpacked_whatever_its_name(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    packed = pyarrow.compress(f"{LINE}\n".encode() * 3, "zstd", asbytes=True)
    assert len(_good(_write(tmp_path, packed, "rows.jsonl.zst"))) == 3
    # Several frames, one behind the other, are one file.
    assert len(_good(_write(tmp_path, packed * 2, "rows.jsonl"))) == 6
    table = pyarrow.compress(b"title,tags\nA,a\n", "zstd", asbytes=True)
    assert [row.title for row in _good(_write(tmp_path, table, "rows.csv.zst"))] == ["A"]
    for damaged in (packed[:-5], packed + b"junk"):
        with pytest.raises(DataError, match="damaged"):
            _read(_write(tmp_path, damaged, "cut.jsonl.zst"))


@pytest.mark.parametrize("window_log", [20, 27, 28, 30, 31])
def test_zstandard_of_long_windows_is_unpacked_within_limits(tmp_path: Path, window_log: int) -> None:
    zstandard = pytest.importorskip("zstandard")
    parameters = zstandard.ZstdCompressionParameters(window_log=window_log, write_content_size=False)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    path = _write(tmp_path, packer.compress(f"{LINE}\n".encode()) + packer.flush(), "rows.jsonl.zst")
    if window_log <= 30:
        assert len(_good(path)) == 1
        return
    with pytest.raises(DataError, match="needs 2048 MiB of memory to unpack") as caught:
        _read(path)
    assert "zstd -d --long=31" in str(caught.value.hint)


def test_parquet_is_read_one_row_group_at_a_time(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    frame = pandas.DataFrame({"title": [f"T{n}" for n in range(4000)], "tags": [["a"]] * 4000})
    frame.to_parquet(path, row_group_size=1000, compression="zstd")
    damaged = bytearray(path.read_bytes())
    column = parquet.ParquetFile(path).metadata.row_group(3).column(0)
    begin = column.dictionary_page_offset or column.data_page_offset
    damaged[begin : begin + 40] = bytes(40)
    path.write_bytes(damaged)
    (source,) = find_sources([path])
    titles = []
    with pytest.raises(DataError, match="Parquet"):
        for _, row in read_source(source, {}):
            assert isinstance(row, SourceRow)
            titles.append(row.title)
    # What stands before the damage came out, so the rest had not been read.
    assert titles[:2] == ["T0", "T1"]
    assert len(titles) >= 2500


def test_a_file_named_twice_is_read_once_and_a_pattern_leaves_the_test_file_out(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "test.jsonl"):
        _write(tmp_path, LINE, name)
    pattern = f"{tmp_path}/*.jsonl"
    found = find_sources([tmp_path / "b.jsonl", pattern], test=tmp_path / "test.jsonl")
    assert [(source.name, source.test) for source in found] == [
        ("b.jsonl", False),
        ("a.jsonl", False),
        ("test.jsonl", True),
    ]
    with pytest.raises(DataError, match="no file matches"):
        find_sources([tmp_path / "a.jsonl", f"{tmp_path}/*.csv"])


@pytest.mark.parametrize(
    "row",
    [
        {"question_id": 7, "question_title": "T", "question_body": "B", "tags": ["a"], "answers": [{}]},
        {"row_id": "7", "title": "T", "body_html": None, "body_markdown": "B", "tags": "<a>", "answers": 1},
        {"Id": 7.0, "Title": "T", "Body": "B", "Tags": "|a|", "AnswerCount": "2"},
        {"id": "7", "title": "T", "text": "B", "labels": ["a"], "answers": "[1]"},
    ],
)
def test_columns_are_recognised(tmp_path: Path, row: dict[str, Any]) -> None:
    (found,) = _good(_write(tmp_path, json.dumps(row)))
    assert (found.id, found.title, found.body, found.tags, found.answered) == ("7", "T", "B", ("a",), True)


def test_a_chosen_column_overrules(tmp_path: Path) -> None:
    path = _write(tmp_path, json.dumps({"headline": "H", "title": "T", "topics": "x"}))
    ((_, row),) = _read(path, title="headline", tags="topics")
    assert isinstance(row, SourceRow)
    assert (row.title, row.tags) == ("H", ("x",))


def test_when_no_column_fits_the_error_lists_them_and_says_how(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        _read(_write(tmp_path, json.dumps({"headline": "H", "topics": "x"})))
    assert "headline, topics" in str(caught.value)
    # Which of several it is, only the reader knows.
    assert "columns: {title: COLUMN}" in str(caught.value.hint)
    with pytest.raises(DataError, match="no column for the tags") as caught:
        _read(_write(tmp_path, json.dumps({"title": "H"})))
    # The only column has its use already.
    assert "columns: {tags: COLUMN}" in str(caught.value.hint)


def test_ids_are_stable_where_the_source_has_none(tmp_path: Path) -> None:
    (first,) = _good(_write(tmp_path, LINE))
    (second,) = _good(_write(tmp_path, json.dumps(GOOD | {"title": " is it LEGAL"})))
    assert first.id == second.id
    assert first.id.startswith("q-")


def test_labels_are_complete_unless_the_row_says_otherwise(tmp_path: Path) -> None:
    values: list[object] = [True, False, "false", 0, None]
    path = _write(tmp_path, "\n".join(json.dumps(GOOD | {"tags_complete": value}) for value in values))
    assert [row.complete for row in _good(path)] == [True, False, False, False, True]


def test_inputs_are_found_by_pattern_and_told_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        _write(tmp_path / folder, LINE)
    sources = find_sources([str(tmp_path / "*" / "rows.jsonl")])
    assert [source.name for source in sources] == [source.location for source in sources]
    assert len({source.name for source in sources}) == 2
    with pytest.raises(DataError, match="does not exist"):
        find_sources([tmp_path / "none.jsonl"])
    with pytest.raises(DataError, match="not a file"):
        find_sources([tmp_path])
    with pytest.raises(ConfigurationError):
        find_sources([])
    with pytest.raises(DataError, match="not supported"):
        _read(_write(tmp_path, "x", "rows.xlsx"))


@given(
    st.lists(
        st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20).filter(
            lambda title: not is_absent(title)
        ),
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
)
def test_any_titles_survive_both_forms_of_json(
    tmp_path_factory: pytest.TempPathFactory, titles: list[str], ascii_only: bool
) -> None:
    rows = [{"title": title, "tags": ["a"]} for title in titles]
    path = tmp_path_factory.getbasetemp() / "round.jsonl"
    path.write_text(
        "\n".join(json.dumps(row, ensure_ascii=ascii_only) for row in rows), encoding="utf-8", newline=""
    )
    assert [row.title for row in _good(path)] == titles
    path.write_text(json.dumps(rows, ensure_ascii=ascii_only), encoding="utf-8", newline="")
    assert [row.title for row in _good(path)] == titles


def test_columns_that_tagging_does_not_need_may_hold_anything(tmp_path: Path) -> None:
    rows = [
        {"title": "A", "tags": 5, "score": "many", "id": [1], "tags_complete": "maybe", "created": {}},
        {"Title": "B", "Body": "text", "id": "b"},
        {"title": "C", "body": ["no text"]},
    ]
    path = _write(tmp_path, "\n".join(map(json.dumps, rows)))
    first, second, third = questions_to_tag(path)
    assert isinstance(first, Question)
    assert (first.title, first.id.startswith("q-")) == ("A", True)
    assert isinstance(second, Question)
    assert (second.title, second.body, second.id) == ("B", "text", "b")
    assert isinstance(third, BadRow)


def test_a_file_to_tag_without_a_title_names_the_option_of_its_command(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        list(questions_to_tag(_write(tmp_path, json.dumps({"head line": "H"}))))
    assert "lawtags tag --column 'title=head line'" in str(caught.value.hint)
    options = CurationOptions(columns={"title": "head line"})
    (question,) = questions_to_tag(_write(tmp_path, json.dumps({"head line": "H"})), options)
    assert isinstance(question, Question)


def test_a_data_set_to_tag_keeps_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def read_hub(location: str) -> list[RawRow]:
        seen.append(location)
        return [RawRow(1, {"title": "A"})]

    monkeypatch.setattr("lawtags_client.curation.read.tables.read_hub", read_hub)
    (question,) = questions_to_tag("hf://datasets/law/questions?split=test")
    assert isinstance(question, Question)
    assert seen == ["hf://datasets/law/questions?split=test"]


def test_frames_of_other_data_are_skipped_and_a_dictionary_is_named(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    other = b"\x50\x2a\x4d\x18" + (3000).to_bytes(4, "little") + bytes(3000)
    packed = zstandard.compress(f"{LINE}\n".encode())
    path = _write(tmp_path, other + packed + other + packed + other, "rows.jsonl.zst")
    assert len(_good(path)) == 2
    with pytest.raises(DataError, match="ends within a frame"):
        _good(_write(tmp_path, packed + other[:-1], "cut.jsonl.zst"))
    words = zstandard.train_dictionary(512, [f"law lease {n} court {n * 7}".encode() for n in range(500)])
    packed = zstandard.ZstdCompressor(dict_data=words).compress(f"{LINE}\n".encode())
    with pytest.raises(DataError, match="compressed with a dictionary"):
        _good(_write(tmp_path, packed, "words.jsonl.zst"))
