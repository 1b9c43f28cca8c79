"""The inputs of other programs that failed, as they were collected, and their right values."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lawtags_client.curation.read.columns import SourceRow
from lawtags_client.curation.read.notices import Notices
from lawtags_client.curation.read.raw import BadRow
from lawtags_client.curation.read.sources import find_sources, read_source

ROOT = Path(__file__).resolve().parents[3]
FAULTS = Path(os.environ.get("LAWTAGS_DATA", ROOT.parent / "shared" / "data")).parent / "faults"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not FAULTS.is_dir(), reason=f"there are no faults in {FAULTS}; set LAWTAGS_DATA"),
]


def _read(name: str) -> tuple[list[SourceRow], list[BadRow], Notices]:
    notices = Notices()
    (source,) = find_sources([FAULTS / name])
    rows = [row for _, row in read_source(source, {}, needed=("title",), notices=notices)]
    good = [row for row in rows if isinstance(row, SourceRow)]
    return good, [row for row in rows if isinstance(row, BadRow)], notices


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("03-escaped-tags.jsonl", 8),
        ("07-control-character.xml", 4),
        ("10-decimal-score.parquet", 6),
        ("11-html-attributes-and-tags.jsonl", 8),
        ("13-trailing-empty-columns.csv", 8),
        ("14-nan-in-unused-field.jsonl", 8),
        ("15-64-bit-ids.jsonl", 8),
        ("16-bigquery-dates.jsonl", 8),
        ("17-plain-quotes.tsv", 12),
        ("22-python2-tags.jsonl", 8),
        ("31-null-scores.csv", 8),
        ("34-pipe-parted-tags.jsonl", 8),
        ("35-excel-sep-line.csv", 8),
        ("37-headers-in-capitals.csv", 8),
    ],
)
def test_every_row_is_read_with_tags(name: str, rows: int) -> None:
    good, bad, notices = _read(name)
    assert not bad
    assert len(good) >= rows
    assert all(row.tags and not any(set("&<>|'\";") & set(tag) for tag in row.tags) for row in good)
    assert not notices.as_dict()["unreadable"]


def test_values_are_the_right_ones() -> None:
    assert _read("03-escaped-tags.jsonl")[0][0].tags == ("contract-law", "copyright")
    ids = [row.id for row in _read("15-64-bit-ids.jsonl")[0]]
    assert ids == [str(612345678901234567 + number) for number in range(8)]
    assert "Fair use" in _read("17-plain-quotes.tsv")[0][8].title
    dropped = _read("07-control-character.xml")[2].dropped
    assert dropped == {"07-control-character.xml": 1}
    scores = [row.score for row in _read("31-null-scores.csv")[0]]
    assert scores[:3] == [None, None, 2.0]


def test_texts_for_missing_values_are_counted() -> None:
    good, bad, notices = _read("05-nan-and-null-cells.csv")
    assert not bad
    assert not {tag for row in good for tag in row.tags} & {"nan", "null", "none", "n/a", "na"}
    assert good[1].body is None
    assert notices.missing["tags"].keys() >= {"nan", "NULL", "None"}


def test_a_wrong_byte_in_an_unused_column_costs_nothing() -> None:
    good, bad, _ = _read("08-wrong-bytes-in-unused-column.parquet")
    assert good
    assert not bad
