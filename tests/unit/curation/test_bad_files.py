"""Files and rows that are not what they should be: what is said of them, and what it costs the others."""

from __future__ import annotations

import gzip
import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.pipeline import _remedy
from lawtags_client.curation.read.columns import SourceRow
from lawtags_client.curation.read.raw import BadRow
from lawtags_client.curation.read.sources import find_sources, read_source
from lawtags_client.errors import DataError

GOOD = {"title": "Is it legal?", "tags": ["a"], "body": "Text"}
LINE = json.dumps(GOOD).encode()


def _write(folder: Path, content: bytes | str, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _read(path: Path) -> list[tuple[int, SourceRow | BadRow]]:
    (source,) = find_sources([path])
    return list(read_source(source, {}))


def _bad(path: Path) -> list[BadRow]:
    return [row for _, row in _read(path) if isinstance(row, BadRow)]


def _good(path: Path) -> list[SourceRow]:
    return [row for _, row in _read(path) if isinstance(row, SourceRow)]


def _refusal(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        _read(path)
    assert caught.value.path is not None
    assert caught.value.path.endswith(path.name)
    return caught.value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty (0 bytes"),
        ("\ufeff", "no rows"),
        ("\n\n \n", "only 4 blank lines"),
        ("[]", "contains no rows"),
        ("[ \n ]\n", "contains no rows"),
    ],
)
def test_a_file_without_rows_is_an_error_that_names_it(tmp_path: Path, content: str, said: str) -> None:
    assert said in str(_refusal(_write(tmp_path, content)))
    packed = gzip.compress(content.encode())
    assert said in str(_refusal(_write(tmp_path, packed, "rows.jsonl.gz")))


@pytest.mark.parametrize("content", ["", "title,tags\n", "\n\n"])
def test_a_table_without_rows_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    assert _refusal(_write(tmp_path, content, "rows.csv"))


@pytest.mark.parametrize(
    ("wrong", "reason", "field"),
    [
        (b'{"title": "x", "tags": ["a"', "is not valid JSON", None),
        (b'{"title": "x" "tags": ["a"]}', "is not valid JSON", None),
        (b"{'title': 'x'}", "looks like Python", None),
        (b'{"tags": ["a"]}', "is missing", "title"),
        (b'{"title": null, "tags": ["a"]}', "is null", "title"),
        (b'{"title": "  ", "tags": ["a"]}', "is empty", "title"),
        (b'{"title": 5, "tags": ["a"]}', "must be a string, not a number", "title"),
        (b'{"title": "x", "tags": "two words"}', "could be one tag or several", "tags"),
        (b'{"title": "x", "tags": 5}', "must be a list", "tags"),
        (b'{"title": "x", "tags": [1]}', "must contain strings only", "tags"),
        (b'{"title": "x", "tags": ["a"], "body": ["y"]}', "must be a string, not a list", "body"),
        (b'{"title": "x", "tags": ["a"], "score": "many"}', "must be a number", "score"),
        (b'{"title": "x", "tags": ["a"], "score": true}', "must be a number", "score"),
        (b'{"title": "x", "tags": ["a"], "score": "1e999"}', "finite", "score"),
        (b'{"title": "x", "tags": ["a"], "score": "1e300"}', "within 2^53", "score"),
        (b'{"title": "x", "tags": ["a"], "tags_complete": "maybe"}', "true or false", "tags_complete"),
        (b'["x"]', "is not a JSON object but a list", None),
        (b"null", "is not a JSON object but null", None),
        (b'"x"', "is not a JSON object but a text", None),
        (b'{"title": "' + b"x" * 10_001 + b'", "tags": ["a"]}', "more than 10,000 characters", "title"),
    ],
)
def test_a_bad_row_is_named_and_costs_no_other(
    tmp_path: Path, wrong: bytes, reason: str, field: str | None
) -> None:
    path = _write(tmp_path, LINE + b"\n" + wrong + b"\n" + LINE + b"\n")
    (bad,) = _bad(path)
    assert reason in bad.reason
    assert (bad.line, bad.field) == (2, field)
    assert len(_good(path)) == 2


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("NaN", "holds NaN"),
        ("Infinity", "holds Infinity"),
        ("-Infinity", "holds -Infinity"),
        ("1e999", "not finite"),
        ("9007199254740993", "within 2^53"),
        ("-9007199254740993", "within 2^53"),
        ("1" * 10_000, "more than 400 digits"),
    ],
)
def test_a_number_that_json_parsers_read_differently_is_rejected_with_its_line(
    tmp_path: Path, value: str, reason: str
) -> None:
    row = f'{{"title": "x", "tags": ["a"], "score": {value}}}'.encode()
    by_line = _write(tmp_path, b"\n".join([LINE, row, LINE]))
    in_list = _write(tmp_path, b"[" + b",\n".join([LINE, row, LINE]) + b"]", "rows.json")
    for path in (by_line, in_list):
        (bad,) = _bad(path)
        assert reason in bad.reason
        assert bad.line == 2
        assert len(_good(path)) == 2


def test_the_largest_whole_number_that_all_readers_agree_on_is_read(tmp_path: Path) -> None:
    rows = [GOOD | {"score": 2**53, "id": -(2**53)}, GOOD | {"score": 0.5}]
    path = _write(tmp_path, "\n".join(map(json.dumps, rows)))
    assert [row.score for row in _good(path)] == [2.0**53, 0.5]


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("closed", [True, False])
def test_a_hundred_thousand_levels_of_nesting_crash_nothing(
    tmp_path: Path, opening: bytes, closed: bool
) -> None:
    deep = opening * 100_000
    if closed:
        deep += b"1" + (b"]" if opening == b"[" else b"}") * 100_000
    path = _write(tmp_path, b"\n".join([LINE, deep, LINE]))
    (bad,) = _bad(path)
    # Of an object whose only field nests too deeply there is no title.
    told = "is missing" if closed and opening != b"[" else "is nested too deeply"
    assert (bad.line, bad.reason) == (2, told)
    assert len(_good(path)) == 2
    inside = _write(tmp_path, b"[" + LINE + b",\n" + deep + b"]", "rows.json")
    if closed:
        assert [(bad.line, bad.reason) for bad in _bad(inside)] == [(2, told)]
        assert len(_good(inside)) == 1
    else:
        refused = _refusal(inside)
        assert (refused.line, "is cut off" in str(refused)) == (2, True)


@pytest.mark.parametrize(
    ("raw", "byte", "guess"),
    [
        (b"caf\xe9", 17, "Windows-1252 or Latin-1"),
        (b"\x93quoted\x94", 14, "Windows-1252"),
        (b"half \xe2\x82", 19, ""),
    ],
)
def test_invalid_utf_8_is_reported_with_line_byte_and_likely_encoding(
    tmp_path: Path, raw: bytes, byte: int, guess: str
) -> None:
    row = b'{  "title": "' + raw + b'", "tags": ["a"]}'
    path = _write(tmp_path, LINE + b"\n" + row + b"\n" + LINE + b"\n")
    (bad,) = _bad(path)
    place = len(LINE) + 1 + byte
    assert (bad.line, bad.reason.startswith("is not UTF-8"), guess in bad.reason) == (2, True, True)
    assert bad.detail == f"byte {byte} of the line, {place} of the file"
    # The byte of the file is the one that another reader stumbles over, too.
    with pytest.raises(UnicodeDecodeError) as other:
        path.read_bytes().decode()
    assert other.value.start + 1 == place
    (bad,) = _bad(_write(tmp_path, b"[" + LINE + b",\n" + row + b",\n" + LINE + b"]", "rows.json"))
    assert (bad.line, bad.detail) == (2, f"byte {byte} of the row")


def test_the_byte_is_that_of_the_unpacked_text_behind_a_mark_and_old_line_ends(tmp_path: Path) -> None:
    raw = b"\xef\xbb\xbf" + LINE + b"\r\n" + b'{"title": "\xff", "tags": []}\r' + LINE
    for content in (raw, gzip.compress(raw)):
        path = _write(tmp_path, content)
        (bad,) = _bad(path)
        assert (bad.line, bad.detail) == (2, f"byte 12 of the line, {raw.index(0xFF, 3) + 1} of the file")
        assert len(_good(path)) == 2


def test_utf_16_with_a_mark_is_read(tmp_path: Path) -> None:
    assert len(_good(_write(tmp_path, (LINE * 2).decode().replace("}{", "}\n{").encode("utf-16")))) == 2


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_utf_16_without_a_byte_order_mark_is_an_error_that_says_how_to_convert_it(
    tmp_path: Path, encoding: str
) -> None:
    refused = _refusal(_write(tmp_path, LINE.decode().encode(encoding)))
    assert "UTF-16" in str(refused)
    assert "iconv" in str(refused.hint)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b'{"title": "x\\ud800", "tags": ["a"]}', "half a character"),
        (b'{"title": "x", "tags": ["\\udc00"]}', "half a character"),
        (b'{"title": "x", "tags": ["a"], "body": "\\ud800\\ud800"}', "half a character"),
        (b'{"title": "x\x00", "tags": ["a"]}', "holds a NUL byte"),
        (b"\x00\x00\x00\x00", "holds a NUL byte"),
    ],
)
def test_lone_surrogates_and_nul_bytes_are_rejected(tmp_path: Path, wrong: bytes, reason: str) -> None:
    path = _write(tmp_path, b"\n".join([LINE, wrong, LINE]))
    (bad,) = _bad(path)
    assert (reason in bad.reason, bad.line) == (True, 2)
    assert len(_good(path)) == 2


def test_a_pair_of_halves_is_one_character(tmp_path: Path) -> None:
    assert [row.title for row in _good(_write(tmp_path, b'{"title": "\\ud83d\\ude00", "tags": []}'))] == [
        "😀"
    ]


def test_a_bad_row_is_not_quoted(tmp_path: Path) -> None:
    rows = [
        '{"title": "x", canary}',
        '{"title": "x", "score": "canary", "tags": []}',
    ]
    found = _bad(_write(tmp_path, "\n".join(rows)))
    assert len(found) == 2
    assert not [row for row in found if "canary" in str(row)]


@pytest.mark.parametrize("cut", range(1, len(LINE)))
def test_a_truncated_last_line_is_reported_as_truncated(tmp_path: Path, cut: int) -> None:
    (bad,) = _bad(_write(tmp_path, LINE + b"\n" + LINE[:cut]))
    assert (bad.line, bad.reason) == (2, "is cut off: the file ends within it")
    assert bad.column is not None and 1 <= bad.column <= cut + 1
    assert "column" not in str(bad)


def test_several_objects_on_one_line_are_reported_with_the_column_of_the_second(tmp_path: Path) -> None:
    (bad,) = _bad(_write(tmp_path, LINE + b"\n" + LINE + LINE + b"\n"))
    assert (bad.line, bad.reason) == (2, "holds several JSON values; one object per line is read")
    assert (bad.column, bad.detail) == (len(LINE) + 1, None)


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        ('{"title": "x", , "tags": []}', 16, "is not valid JSON (Expecting"),
        ('{"title": "\u00e9\u00e9" 5}', 16, "is not valid JSON (Expecting ',' delimiter)"),
        ("{'title': 'x'}", 2, "is not valid JSON but looks like Python"),
        ('{"title": "x"} {"title": "y"}', 16, "holds several JSON values"),
        ('{"title": "x\0"}', 13, "holds a NUL byte"),
    ],
)
def test_an_invalid_line_is_named_by_line_column_and_reason(
    tmp_path: Path, line: str, column: int, said: str
) -> None:
    path = _write(tmp_path, LINE + b"\n" + line.encode() + b"\n" + LINE + b"\n")
    (bad,) = _bad(path)
    told = str(bad.error(path))
    assert told.startswith(f"{path}:2:{column}: {said}")
    assert "column" not in told


@pytest.mark.parametrize("rows", [3, 20_000])
@pytest.mark.parametrize("separator", [b", ", b",\n"])
def test_the_column_of_a_broken_list_is_that_of_the_file(tmp_path: Path, rows: int, separator: bytes) -> None:
    # The larger list does not fit into one buffer.
    text = b"[" + separator.join([LINE] * rows) + separator
    refused = _refusal(_write(tmp_path, text + b'{"title": x}, ' + LINE + b"]", "rows.json"))
    begin = text.rfind(b"\n") + 1
    assert (refused.line, refused.column) == (text.count(b"\n") + 1, len(text) - begin + len('{"title": x'))


@given(st.integers(min_value=1), st.integers(2, 5))
def test_a_truncated_list_is_rejected_with_line_and_rows(
    tmp_path_factory: pytest.TempPathFactory, cut: int, rows: int
) -> None:
    text = b"[" + b",\n".join([LINE] * rows) + b"]"
    cut = 1 + cut % (len(text) - 2)
    refused = _refusal(_write(tmp_path_factory.getbasetemp(), text[:cut], "cut.json"))
    whole = text[:cut].count(b"}")
    assert f"{whole} rows come before it" in str(refused)
    assert refused.line is not None
    # The line on which the row in question begins, or on which it breaks off.
    assert refused.line in (text[:cut].count(b"\n") + 1, max(1, whole + 1))


@pytest.mark.parametrize(
    ("content", "said", "line"),
    [
        (b"[" + LINE + b"]\n[" + LINE + b"]", "continues after the end of its list (a second list?)", 2),
        (b"[" + LINE + b"] junk", "continues after the end of its list", 1),
        (b"[" + LINE + b',\n{"title": x}]', "is not valid JSON from here on", 2),
        (b'{\n  "title": "x",\n  "tags": []\n}\n', "an object spans several lines", 1),
        (b'{"questions": [' + LINE + b"]}", "with a list under 'questions'", 1),
        (b'{\n "questions": [\n' + LINE + b"\n]}", "with a list under 'questions'", 1),
    ],
)
def test_a_file_in_another_format_is_rejected_naming_the_format(
    tmp_path: Path, content: bytes, said: str, line: int
) -> None:
    refused = _refusal(_write(tmp_path, content))
    assert said in str(refused)
    assert refused.line == line
    assert refused.hint


def test_a_single_question_with_a_list_of_answers_is_no_list_of_rows(tmp_path: Path) -> None:
    path = _write(tmp_path, json.dumps({"answers": [{"body": "Yes."}]} | GOOD))
    assert len(_good(path)) == 1


def test_a_bad_element_of_a_list_costs_no_other(tmp_path: Path) -> None:
    path = _write(tmp_path, b"[" + LINE + b', {"title": "x", "score": NaN}, 5, ' + LINE + b"]", "rows.json")
    assert len(_good(path)) == 2
    assert len(_bad(path)) == 2


def test_a_duplicate_key_in_an_object_is_reported(tmp_path: Path) -> None:
    row = b'{"title": "x", "title": "y", "tags": ["a"]}'
    for content in (b"\n".join([LINE, row]), b"[" + LINE + b",\n" + row + b"]"):
        (bad,) = _bad(_write(tmp_path, content))
        assert (bad.line, bad.field) == (2, "title")
        assert "appears twice" in bad.reason


_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "title": st.text(st.characters(exclude_categories=("Cs",)), max_size=12).map(lambda t: f"T{t}"),
            "tags": st.lists(
                st.text(string.ascii_lowercase, min_size=1, max_size=4).filter(lambda tag: tag != "nan"),
                max_size=3,
                unique=True,
            ),
        }
    ),
    min_size=1,
    max_size=6,
)


@given(
    _ROWS,
    st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=6, max_size=6),
    st.booleans(),
    st.booleans(),
)
def test_mixed_byte_order_marks_and_line_ends_change_no_row(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], ends: list[str], mark: bool, last: bool
) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    text = "".join(line + end for line, end in zip(lines, ends, strict=False))
    text = text if last else text[: -len(ends[len(lines) - 1])]
    path = tmp_path_factory.getbasetemp() / "mixed.jsonl"
    path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + text.encode())
    found = _read(path)
    assert [line for line, _ in found] == list(range(1, len(rows) + 1))
    assert [(row.title, list(row.tags)) for row in _good(path)] == [
        (row["title"], row["tags"]) for row in rows
    ]


@given(st.binary(max_size=200), st.sampled_from(["rows.jsonl", "rows.csv", "rows.xml"]))
def test_no_bytes_raise_anything_but_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, name: str
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(raw)
    try:
        rows = _read(path)
    except DataError:
        return
    assert rows


@given(st.text(alphabet='[]{}",:\\ntrue01NaN \n', max_size=60))
def test_no_text_like_json_raises_anything_but_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "like.json"
    for content in (text, "[" + text, '{"title": "x", "tags": ["a"]}\n' + text):
        path.write_text(content, encoding="utf-8", newline="")
        try:
            rows = _read(path)
        except DataError:
            continue
        assert rows


@pytest.mark.parametrize(
    ("content", "name", "said", "hint"),
    [
        (b"<!DOCTYPE html><html><body>404</body></html>", "rows.jsonl", "is a web page", "downloaded"),
        (b"<?xml version='1.0'?>\n<posts>\n", "rows.jsonl", "is a web page or XML", "downloaded"),
        (b"id,title,tags\n1,Is it legal?,a\n", "rows.jsonl", "looks like a table", "rows.csv"),
        (b"id\ttitle\ttags\n1\tIs it legal?\ta\n", "rows.jsonl", "looks like a table", "rows.tsv"),
        (LINE + b"\n" + LINE, "rows.csv", "is JSON", "rows.jsonl"),
        (b"[" + LINE + b"]", "rows.csv", "is JSON", "rows.jsonl"),
        (LINE.decode().encode("utf-32"), "rows.jsonl", "is UTF-32", "iconv -f UTF-32"),
    ],
)
def test_a_file_under_the_name_of_another_format_is_named(
    tmp_path: Path, content: bytes, name: str, said: str, hint: str
) -> None:
    refused = _refusal(_write(tmp_path, content, name))
    assert said in str(refused) and hint in (refused.hint or "")


def test_a_bad_first_row_before_good_ones_costs_itself_alone(tmp_path: Path) -> None:
    assert len(_good(_write(tmp_path, b"id,title,tags\n" + LINE + b"\n" + LINE))) == 2


def test_a_table_without_a_header_does_not_fill_the_screen(tmp_path: Path) -> None:
    row = ",".join([f"{'text ' * 2000}{n}" for n in range(50)])
    said = str(_refusal(_write(tmp_path, f"{row}\n{row}\n", "rows.csv")))
    assert "no column for the title" in said and "30 more" in said and len(said) < 2000


@pytest.mark.parametrize(
    ("bad", "total", "said"), [(3, 60, "--max-bad 0.1,"), (20, 60, "--max-bad 0.34,"), (60, 60, "right file")]
)
def test_the_share_of_bad_rows_in_a_hint_is_one_that_helps(bad: int, total: int, said: str) -> None:
    assert said in _remedy(bad, total)
