"""Tables in the dialects of spreadsheets, databases and data frames."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from lawtags_client.curation.read.columns import SourceRow
from lawtags_client.curation.read.raw import BadRow
from lawtags_client.curation.read.sources import find_sources, read_source
from lawtags_client.errors import DataError


def _read(folder: Path, content: str | bytes, name: str = "rows.csv") -> list[SourceRow | BadRow]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    (source,) = find_sources([path])
    return [row for _, row in read_source(source, {})]


def _titles(folder: Path, content: str | bytes, name: str = "rows.csv") -> list[str]:
    rows = _read(folder, content, name)
    assert not [row for row in rows if isinstance(row, BadRow)]
    assert all(row.tags for row in rows if isinstance(row, SourceRow))
    return [row.title for row in rows if isinstance(row, SourceRow)]


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\ntitle;tags\nA, indeed;a\nB;b,c\n",
        'sep=;\r\n"title";"tags"\r\n"A, indeed";a\r\nB;b\r\n',
        '"sep=\t"\ntitle\ttags\nA, indeed\ta\nB\tb\n',
        "title;tags\nA, indeed;a\nB;b,c\n",
        '"title, of the question";title;tags\nx;A, indeed;a\ny;B;b\n',
        "title|tags\nA, indeed|a;b\nB|b\n",
        "title\ttags\nA, indeed\ta\nB\tb\n",
        'title,tags,,\n"A, indeed",a,,\nB,b,,\n',
        'title,tags\n"A, indeed",a,,,\nB,b\n,,\n , \n',
        ',title,tags\n0,"A, indeed",a\n1,B,b\n',
        'TITLE, Tags \n"A, indeed",a\nB,b\n',
        'Question Title;QUESTION_TAGS\n"A, indeed";a\nB;b\n',
        'title,tags,note,note\n"A, indeed",a,1,2\nB,b,3,4\n',
        '\n\ntitle,tags\n"A, indeed",a\nB,b\n',
        'title,tags,n\xf6te\n"A, indeed",a,1\nB,b,2\n'.encode("latin-1"),
        '\ufefftitle,tags\n"A, indeed",a\nB,b\n'.encode(),
        '\ufefftitle\ttags\n"A, indeed"\ta\nB\tb\n'.encode("utf-16-le"),
        "\ufefftitle\ttags\nA, indeed\ta\nB\tb\n".encode("utf-16-be"),
    ],
)
def test_a_table_of_any_dialect_is_read(tmp_path: Path, content: str | bytes) -> None:
    assert _titles(tmp_path, content) == ["A, indeed", "B"]


@pytest.mark.parametrize("name", ["rows.tsv", "rows.csv", "rows.tab"])
def test_quotes_of_a_table_without_quoting_are_letters(tmp_path: Path, name: str) -> None:
    content = 'title\ttags\n"Fair use" of it?\ta\n6" of land\tb\n"Opened only\tc\nLast "one"\td\n'
    assert _titles(tmp_path, content, name) == [
        '"Fair use" of it?',
        '6" of land',
        '"Opened only',
        'Last "one"',
    ]
    closed_later = 'title\ttags\n"Opened\ta\nB\tb\nclosed"\tc\n'
    assert _titles(tmp_path, closed_later, name) == ['"Opened', "B", 'closed"']


def test_quotes_of_a_table_with_quoting_are_none(tmp_path: Path) -> None:
    content = 'title\ttags\n"Over\ntwo\tlines"\ta\n"with ""one"" quote"\tb\n'
    assert _titles(tmp_path, content, "rows.tsv") == ["Over\ntwo\tlines", 'with "one" quote']


def test_quotes_behind_backslashes_are_letters(tmp_path: Path) -> None:
    content = 'title,tags\n"He said \\"stop\\", twice",a\nB,b\n'
    assert _titles(tmp_path, content) == ['He said "stop", twice', "B"]


@pytest.mark.parametrize("row", ["A,a,x", "A, indeed,a", "A"])
def test_a_field_under_no_name_is_not_lost_without_a_word(tmp_path: Path, row: str) -> None:
    _, bad = _read(tmp_path, f"title,tags,,\nB,b,,\n{row},,\n" if row != "A" else f"title,tags\nB,b\n{row}\n")
    assert isinstance(bad, BadRow)
    assert "different number of fields" in bad.reason


def test_a_column_that_is_used_must_not_stand_twice(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two columns with the same name"):
        _read(tmp_path, "title,tags,title\nA,a,B\n")


@pytest.mark.parametrize(
    "kind", ["decimal128(20, 2)", "int8", "uint64", "float16", "float32", "int64", "string"]
)
def test_numbers_of_every_type_of_arrow_are_numbers(tmp_path: Path, kind: str) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    numpy = pytest.importorskip("numpy")
    values = {"decimal128(20, 2)": Decimal("3.00"), "float16": numpy.float16(3), "string": "3"}
    type_ = pyarrow.decimal128(20, 2) if kind.startswith("decimal") else getattr(pyarrow, kind)()
    column = pyarrow.array([values.get(kind, 3)], type=type_)
    table = pyarrow.table({"id": column, "title": ["A"], "tags": [["a"]], "score": column})
    path = tmp_path / "rows.parquet"
    parquet.write_table(table, path)
    ((_, row),) = read_source(find_sources([path])[0], {})
    assert isinstance(row, SourceRow)
    assert (row.id, row.score) == ("3", 3.0)


def test_a_parquet_column_of_wrong_bytes_costs_its_rows_where_it_is_used_and_nothing_else(
    tmp_path: Path,
) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    raw = pyarrow.array([b"fine", b"J\xf6rg", b"fine"], type=pyarrow.binary()).view(pyarrow.string())
    tags = pyarrow.array([["a"]] * 3)
    for used, bad in (("by", 0), ("title", 1), ("link", 0)):
        names = {"title": pyarrow.array(["A", "B", "C"]), "tags": tags} | {used: raw}
        path = tmp_path / "rows.parquet"
        parquet.write_table(pyarrow.table(names), path)
        rows = list(read_source(find_sources([path])[0], {}))
        refused = [(line, row.field) for line, row in rows if isinstance(row, BadRow)]
        assert refused == [(2, used)] * bad
