"""Tables and packed files that are not what they should be."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from lawtags_client.curation.read.columns import SourceRow
from lawtags_client.curation.read.raw import BadRow
from lawtags_client.curation.read.sources import find_sources, read_source
from lawtags_client.errors import DataError

LINE = b'{"title": "Is it legal?", "tags": ["a"]}\n'


def _write(folder: Path, content: bytes, name: str) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _read(path: Path) -> tuple[list[SourceRow], list[BadRow]]:
    (source,) = find_sources([path])
    rows = [row for _, row in read_source(source, {})]
    return [row for row in rows if isinstance(row, SourceRow)], [
        row for row in rows if isinstance(row, BadRow)
    ]


def test_csv_that_is_not_utf_8_loses_the_row_alone(tmp_path: Path) -> None:
    good, bad = _read(_write(tmp_path, b"title,tags\ncaf\xe9,a\nB,b\n", "rows.csv"))
    assert [(row.line, row.field) for row in bad] == [(2, "title")]
    assert [row.title for row in good] == ["B"]


def test_a_csv_row_with_the_wrong_number_of_fields_affects_no_other_row(tmp_path: Path) -> None:
    good, bad = _read(_write(tmp_path, b"title,tags\nA\nB,b\nC,c,d\n", "rows.csv"))
    assert [(row.line, row.detail) for row in bad] == [(2, "1, and the header 2"), (4, "3, and the header 2")]
    assert [row.title for row in good] == ["B"]


def test_an_unclosed_quote_is_an_error_and_hides_no_rows(tmp_path: Path) -> None:
    path = _write(tmp_path, b'title,tags\nA,a\n"B,b\nC,c\n', "rows.csv")
    with pytest.raises(DataError, match="never closed") as caught:
        _read(path)
    assert caught.value.line == 3


def test_a_quote_inside_a_quoted_field_loses_the_row_alone(tmp_path: Path) -> None:
    good, bad = _read(_write(tmp_path, b'title,tags\n"A "x" b",a\nB,b\n', "rows.csv"))
    assert [row.line for row in bad] == [2]
    assert [row.title for row in good] == ["B"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_parts_the_columns_is_seen_in_the_header(tmp_path: Path, delimiter: str) -> None:
    content = f"title{delimiter}tags\nA, indeed; yes{delimiter}<a>\n"
    content = content.replace("A, indeed; yes", '"A, indeed; yes"')
    good, bad = _read(_write(tmp_path, content.encode(), "rows.csv"))
    assert [row.title for row in good] == ["A, indeed; yes"]
    assert not bad


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"title,tags,title\nA,a,B\n", "two columns with the same name"),
        (b"t\xeftle,tags\nA,a\n", "header that is not UTF-8"),
    ],
)
def test_a_header_that_is_wrong_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        _read(_write(tmp_path, content, "rows.csv"))
    assert caught.value.line == 1


@pytest.mark.parametrize("size", [0, 3, 4, 40, 400])
def test_a_truncated_parquet_file_is_an_error_that_names_it(tmp_path: Path, size: int) -> None:
    pandas = pytest.importorskip("pandas")
    whole = tmp_path / "rows.parquet"
    pandas.DataFrame({"title": ["A"] * 50, "tags": [["a"]] * 50}).to_parquet(whole)
    with pytest.raises(DataError, match="Parquet"):
        _read(_write(tmp_path, whole.read_bytes()[:size], "cut.parquet"))


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_a_damaged_compressed_file_is_an_error_that_names_it(tmp_path: Path, packing: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    packed = gzip.compress(LINE * 3) if packing == "gz" else pyarrow.compress(LINE * 3, "zstd", asbytes=True)
    assert len(_read(_write(tmp_path, packed, f"rows.jsonl.{packing}"))[0]) == 3
    for damaged in (packed[:-5], packed[: len(packed) // 2], packed + b"junk"):
        with pytest.raises(DataError, match="damaged"):
            _read(_write(tmp_path, damaged, f"cut.jsonl.{packing}"))


@pytest.mark.parametrize("packing", ["gz", "zst"])
@pytest.mark.parametrize("name", ["bomb.jsonl", "bomb.csv"])
def test_a_decompression_bomb_is_not_decompressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str, name: str
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    monkeypatch.setattr("lawtags_client.curation.read.streams._RATIO_FREE_BYTES", 1 << 20)
    content = LINE * 500_000 if name == "bomb.jsonl" else b"title,tags\n" + b"A,a\n" * 5_000_000
    packed = gzip.compress(content) if packing == "gz" else pyarrow.compress(content, "zstd", asbytes=True)
    with pytest.raises(DataError, match="more than 200 times its size"):
        _read(_write(tmp_path, packed, f"{name}.{packing}"))
