"""What a row of JSON is, whoever reads it, and what is said of one that is none."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.read.json_rows import read_json
from lawtags_client.curation.read.raw import BadRow
from lawtags_client.errors import BadRequestError, DataError
from lawtags_client.jsonl import (
    JsonFault,
    LinePolicy,
    TooLong,
    decode_row,
    parse_array,
    parse_lines,
    read_lines,
    read_rows,
    scan_lines,
)
from lawtags_client.runs.rows import read_rows as read_run_rows
from lawtags_client.services.data_store.rows import RowCheck
from lawtags_client.tagging.question import read_questions
from lawtags_stack.engines.training.rows import read_rows as read_training_rows
from lawtags_stack.services.evaluator.rows import parse_rows

Found = list[tuple[int, Any]]

USUAL = LinePolicy()

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(st.dictionaries(TEXT, VALUES, max_size=4), max_size=6)
# Nearly JSON: every sign that means something, and the words that only some readers know.
SIGNS = [
    "{", "}", "[", "]", '"', ":", ",", '"a"', '"b"', "1", "-", "0", ".5", "1e999", "1e5", "true", "null",
    "NaN", "-Infinity", "\\u00e9", "\\ud83d", "\\ude00", "\\", "\n", "\r\n", "\r", " ", "\t", "\x00", "\x0b",
    "\xa0", "\u2028", "\ufeff", "é", "😀", "'a'", "9" * 401, "9" * 25,
]  # fmt: skip
NEARLY = st.lists(st.sampled_from(SIGNS), max_size=12)


def lines(content: bytes, policy: LinePolicy = USUAL) -> Found:
    return list(parse_lines(io.BytesIO(content), policy))


@given(
    rows=ROWS,
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\n\n", "\r\n \t\n"]), min_size=6, max_size=6),
    mark=st.booleans(),
    ended=st.booleans(),
    ascii=st.booleans(),
)
def test_rows_come_back_as_they_were_written(
    rows: list[Any], ends: list[str], mark: bool, ended: bool, ascii: bool
) -> None:
    texts = [json.dumps(row, ensure_ascii=ascii) for row in rows]
    content, wanted, number = "\ufeff" if mark else "", [], 1
    for row, text, end in zip(rows, texts, ends, strict=False):
        wanted.append((number, row))
        content += text + end
        number += end.count("\n")
    if not ended:
        content = content.rstrip()
    raw = content.encode()
    assert lines(raw) == wanted
    assert list(scan_lines(io.BytesIO(raw))) == wanted
    unfinished = lines(raw, LinePolicy(torn=True))
    assert unfinished == (wanted if ended or not rows else wanted[:-1])


@given(ROWS.filter(bool), st.sampled_from(["", " ", "\n", " \r\n\t"]), st.booleans())
def test_a_list_holds_the_same_rows(rows: list[Any], space: str, ascii: bool) -> None:
    texts = [json.dumps(row, ensure_ascii=ascii) for row in rows]
    content = f"[{space}" + f"{space},{space}".join(texts) + f"{space}]{space}"
    assert [row for _, row in parse_array(io.BytesIO(content.encode()), "rows.json")] == rows


@given(st.binary(max_size=60) | NEARLY.map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass")))
def test_the_quick_reader_and_the_exact_one_agree(raw: bytes) -> None:
    content = b"{}\n" * 500 + raw  # the first rows are read as the other does
    exact = lines(content)
    quick = list(scan_lines(io.BytesIO(content)))
    assert [number for number, _ in exact] == [number for number, _ in quick]
    for (_, one), (_, other) in zip(exact, quick, strict=True):
        repeated = isinstance(one, JsonFault) and "appears twice" in one.reason
        assert repeated or type(one) is type(other)
        if isinstance(one, JsonFault) and not repeated:
            assert one == other and one.reason and "\n" not in str(one)
        elif isinstance(one, dict):
            # Of a whole number beyond 64 bits the quick reader keeps what a float can hold.
            assert json.dumps(one) == json.dumps(other) or "99999" in json.dumps(one)
            json.dumps(one, ensure_ascii=False, allow_nan=False).encode()


@given(st.binary(max_size=60) | NEARLY.map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass")))
def test_a_list_of_anything_is_read_or_refused(raw: bytes) -> None:
    try:
        found = list(parse_array(io.BytesIO(b"[" + raw), "rows.json"))
    except DataError as error:
        assert error.path == "rows.json" and error.line and error.hint
        return
    for line, row in found:
        assert line >= 1 and isinstance(row, dict | JsonFault)


GOOD = b'{"id": "1", "title": "t", "prompt": "p", "completion": "c"}'


@given(st.integers(0, 3 * len(GOOD) + 3))
def test_a_file_that_was_cut_off_anywhere_keeps_its_whole_rows(cut: int) -> None:
    raw = ((GOOD + b"\n") * 3)[:cut]
    whole, left = divmod(cut, len(GOOD) + 1)
    found = lines(raw)
    assert [type(row) for _, row in found[:whole]] == [dict] * whole
    if left == len(GOOD):
        assert isinstance(found[whole][1], dict)
    elif left:
        assert found[whole][1].reason == "is cut off: the file ends within it"
    assert len(lines(raw, LinePolicy(torn=True))) == whole


@pytest.mark.parametrize(
    ("line", "reason", "column", "field"),
    [
        (b'{"a": 1, "b" 2}', "is not valid JSON", 14, None),
        (b'{"\xc3\xa9": "\xc3\xa9" 2}', "is not valid JSON", 11, None),
        (b'{"a": 1} {"a": 2}', "holds several JSON values", 10, None),
        (b'{"a": 1}{"a": 2}', "holds several JSON values", 9, None),
        (b"{'a': 1}", "looks like Python", 2, None),
        (b'{"a": "\x00"}', "NUL byte", 8, None),
        (b'\xef\xbb\xbf{"a": 1}', "byte order mark", 1, None),
        (b'"a"', "is not a JSON object but a text", None, None),
        (b"[1]", "is not a JSON object but a list", None, None),
        (b'{"a": {"b": [1, NaN]}}', "holds NaN", None, "a.b[1]"),
        (b'{"a": [{"b": -Infinity}]}', "holds -Infinity", None, "a[0].b"),
        (b'{"a": 1e999}', "not finite", None, "a"),
        (b'{"a": [' + b"7" * 401 + b"]}", "more than 400 digits", None, "a[0]"),
        (b'{"a": "x", "a": "y"}', "appears twice", None, "a"),
        (b'{"m": [{"role": "x", "role": "y"}]}', "appears twice", None, "m[0].role"),
        (b'{"a": 1, "b": "\\ud800"}', "half of a character", None, "b"),
        (b'{"a": [{"b": "x\\udC00"}]}', "half of a character", None, "a"),
        (b'{"\\udfff": 1}', "half of a character", None, "\udfff"),
        (b'{"a": "caf\xe9"}', "is not UTF-8", None, "a"),
        (b'{"a": caf\xe9}', "is not UTF-8", 10, None),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply", None, "a"),
        (b"[" * 100_000, "nested too deeply", None, None),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    line: bytes, reason: str, column: int | None, field: str | None
) -> None:
    ((number, _), (_, fault), (_, last)) = lines(GOOD + b"\n" + line + b"\n" + GOOD)
    assert isinstance(fault, JsonFault) and number == 1 and isinstance(last, dict)
    assert (reason in fault.reason, fault.column, fault.field) == (True, column, field)
    told = fault.error("rows.jsonl", 2)
    assert str(told).startswith(f"rows.jsonl:2:{column}: " if column else "rows.jsonl:2: ")
    assert (told.line, told.column, told.field) == (2, column, field)
    assert "column" not in str(told)
    if b"a" in line and not column and not line.startswith(b"["):
        ((_, same),) = parse_array(io.BytesIO(b"[" + line + b"]"), "rows.json")
        assert (same.reason, same.field) == (fault.reason, fault.field)


def test_values_that_json_can_hold_stay_what_they_are() -> None:
    row = {
        "id": 10**399,
        "n": -(2**70),
        "x": 1.5,
        "deep": json.loads("[" * 300 + "]" * 300),
        "😀": "\u2028\x7f",
    }
    assert decode_row(json.dumps(row).encode()) == row
    assert decode_row(b'{"a": "\\ud83d\\ude00", "b": "\\\\ud800"}') == {"a": "😀", "b": "\\ud800"}


class Watched(io.BytesIO):
    """Remembers how much was asked for at once."""

    most = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        assert size is not None and size >= 0
        self.most = max(self.most, size)
        return super().readline(size)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize("more", [0, 1, 1000])
def test_no_line_is_read_beyond_the_limit(end: bytes, more: int) -> None:
    limit = 100
    stream = Watched(GOOD + b"\n" + GOOD.ljust(limit + more) + end + (GOOD + b"\n" if end else b""))
    found = list(read_lines(stream, limit))
    assert stream.most <= limit + 2
    assert [number for number, _ in found] == list(range(1, 4 if end else 3))
    if more:
        assert found[1][1] == TooLong(limit + more + len(end))
        stream.seek(0)
        _, (number, fault), *_ = parse_lines(stream, LinePolicy(limit=limit))
        assert number == 2 and isinstance(fault, JsonFault) and fault.reason.startswith("is longer than")
    else:
        assert isinstance(found[1][1], bytes)


@pytest.mark.parametrize(
    ("content", "policy", "reasons"),
    [
        (b"%s\n\n%s\n", LinePolicy(), [None, None]),
        (b"%s\n \t\r\n%s\n", LinePolicy(blank=False), [None, "empty line", None]),
        (b"\xef\xbb\xbf%s\n", LinePolicy(), [None]),
        (b"\xef\xbb\xbf%s\n", LinePolicy(mark=False), ["byte order mark"]),
        (b"%s\n\xef\xbb\xbf%s\n", LinePolicy(), [None, "byte order mark"]),
        (b"\xef\xbb\xbf", LinePolicy(), []),
        (b"", LinePolicy(blank=False), []),
        (b"%s\r%s\n", LinePolicy(), ["several JSON values"]),
        (b"%s\n%s", LinePolicy(torn=True), [None]),
    ],
)
@pytest.mark.parametrize("reader", [parse_lines, scan_lines])
def test_each_caller_chooses_what_it_skips(
    content: bytes, policy: LinePolicy, reasons: list[str | None], reader: Callable[..., Iterable[Any]]
) -> None:
    found = [row for _, row in reader(io.BytesIO(content.replace(b"%s", GOOD)), policy)]
    assert len(found) == len(reasons)
    for row, reason in zip(found, reasons, strict=True):
        assert isinstance(row, dict) if reason is None else reason in row.reason


def of_curation(path: Path) -> None:
    for row in read_json(path):
        if isinstance(row, BadRow):
            raise DataError(str(row), path=path, line=row.line, field=row.field)
        if bad := [name for name, value in row.values.items() if type(value).__name__ == "Unreadable"]:
            raise DataError("", path=path, line=row.line, field=bad[0])


CALLERS: dict[str, Callable[[Path], Any]] = {
    "curation": of_curation,
    "upload": lambda path: RowCheck().read(path, "training"),
    "training": lambda path: list(read_training_rows(path.parent, [path.name])),
    "runs": lambda path: list(read_run_rows(path)),
    "evaluator": lambda path: parse_rows(path.name, path.read_bytes()),
    "questions": read_questions,
    "rows": lambda path: list(read_rows(path)),
}


@pytest.mark.parametrize("read", CALLERS.values(), ids=CALLERS)
@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (b'{"prompt": "p", "completion": "c",', None),
        (b'{"prompt": NaN, "completion": "c"}', "prompt"),
        (b'{"prompt": "p", "completion": 1e999}', "completion"),
        (b'{"prompt": "caf\xe9", "completion": "c"}', "prompt"),
        (b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "prompt"),
        (b"[" * 100_000, None),
        (b'["prompt"]', None),
        (b'{"prompt": "p", "completion": "c", "completion": "d"}', "completion"),
        (GOOD + GOOD, None),
    ],
)
def test_every_reader_of_rows_names_file_line_and_field(
    read: Callable[[Path], Any], wrong: bytes, field: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(GOOD + b"\r\n" + wrong + b"\n" + GOOD + b"\n")
    with pytest.raises((DataError, BadRequestError)) as caught:
        read(path)
    told = str(caught.value)
    if isinstance(caught.value, DataError):
        assert (caught.value.line, caught.value.field) == (2, field)
        assert str(caught.value.path).endswith(path.name)
    else:
        assert "rows.jsonl:2:" in told and (field is None or field in told)
    path.write_bytes(GOOD + b"\r\n" + GOOD + b"\n")
    read(path)
