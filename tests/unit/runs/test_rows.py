from __future__ import annotations

import json
from pathlib import Path

import pytest

from lawtags_client.errors import DataError
from lawtags_client.runs.rows import RowLog, read_rows


def test_a_last_line_truncated_at_any_byte_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    whole = b"".join(json.dumps({"row": n, "text": "é\u2028"}).encode() + b"\n" for n in range(3))
    ends = [place + 1 for place, byte in enumerate(whole) if byte == 10]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        finished = sum(end <= cut for end in ends)
        assert [row["row"] for row in read_rows(path)] == list(range(finished))


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"row": 0}\n{"row": \n{"row": 2}\n')
    with pytest.raises(DataError, match=r"rows\.jsonl:2"):
        list(read_rows(path))


def test_a_log_goes_on_after_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"row": 0}\n{"row": 1, "te')
    with RowLog(path) as log:
        assert set(log.rows) == {0}
        log.append({"row": 1})
        log.append({"row": 2})
    assert [row["row"] for row in read_rows(path)] == [0, 1, 2]


def test_rows_are_readable_while_the_log_is_open(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with RowLog(path, every=1) as log:
        log.append({"row": 0})
        assert [row["row"] for row in read_rows(path)] == [0]
