"""Memory stays bounded, whatever a file holds: each is read in a process of its own."""

from __future__ import annotations

import base64
import gzip
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MIB = 1 << 20
MOST = 200 * MIB
LINE = b'{"title": "Is it legal?", "tags": ["a"]}\n'
BODY = b"law " * 100
LONG = b'{"title": "Is it legal?", "tags": ["a"], "body": "%s"}\n' % BODY
_READ = """
import json, re, resource, sys
from pathlib import Path
from lawtags_client.curation.read.raw import BadRow
from lawtags_client.curation.read.sources import find_sources, read_source
from lawtags_client.errors import DataError

good, bad, refused = 0, [], None
try:
    for _, row in read_source(find_sources(sys.argv[1:])[0], {}):
        if isinstance(row, BadRow):
            bad.append([row.line, row.reason])
        else:
            good += 1
except DataError as error:
    refused = str(error)
status = Path("/proc/self/status")
if status.exists():
    # What getrusage says begins with the memory of the process that started this one.
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text())[1]) * 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"good": good, "bad": bad[:5], "refused": refused, "peak": peak}))
"""


def _read(path: Path) -> dict[str, object]:
    shown = subprocess.run([sys.executable, "-c", _READ, path], capture_output=True, check=True, text=True)
    found: dict[str, object] = json.loads(shown.stdout)
    return found


def _letters(count: int, letter: bytes = b"") -> Iterator[bytes]:
    """So many letters that do not shrink much when they are packed, with one of another alphabet before."""
    source = random.Random(5)
    yield letter
    for _ in range(count // MIB):
        yield base64.b64encode(source.randbytes(MIB // 4 * 3))


def _row(size: int) -> Iterator[bytes]:
    yield b'{"title": "x", "tags": ["a"], "body": "'
    # One such letter, and every letter of the text takes four bytes.
    yield from _letters(size, "😀".encode())
    yield b'"}'


def _write(path: Path, pieces: Iterator[bytes]) -> Path:
    with gzip.open(path, "wb", compresslevel=1) if path.suffix == ".gz" else path.open("wb") as stream:
        for piece in pieces:
            stream.write(piece)
    return path


def _lines(size: int) -> Iterator[bytes]:
    yield LINE
    yield from _row(size)
    yield b"\n" + LINE


def _list(size: int) -> Iterator[bytes]:
    yield b"[" + LINE + b","
    yield from _row(size)
    yield b"," + LINE + b"]"


def _table(size: int, quote: bytes = b"") -> Iterator[bytes]:
    yield b"title,tags,body\nA,a,short\nB,b," + quote
    yield from _letters(size, "😀".encode())
    yield quote + b"\nC,c,short\n"


def _posts(size: int) -> Iterator[bytes]:
    yield b'<?xml version="1.0"?>\n<posts>\n<row Id="1" PostTypeId="1" Title="T" Tags="|a|" Body="'
    yield from _letters(size, "😀".encode())
    yield b'"/>\n</posts>'


@pytest.mark.parametrize("packed", [False, True])
def test_a_row_of_64_mb_affects_no_other_row_and_uses_little_memory(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / f"rows.jsonl{'.gz' if packed else ''}"
    found = _read(_write(path, _lines(64 * MIB)))
    assert (found["good"], found["bad"]) == (2, [[2, "is longer than 8 MiB"]])
    assert int(str(found["peak"])) < MOST


def test_a_list_with_a_row_of_64_mb_is_rejected_with_little_memory(tmp_path: Path) -> None:
    found = _read(_write(tmp_path / "rows.json", _list(64 * MIB)))
    assert "holds a row longer than 8 MiB" in str(found["refused"])
    assert found["good"] == 1
    assert int(str(found["peak"])) < MOST


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_a_row_of_64_mb_in_a_table_affects_no_other_row_and_uses_little_memory(
    tmp_path: Path, quote: bytes
) -> None:
    found = _read(_write(tmp_path / "rows.csv", _table(64 * MIB, quote)))
    assert (found["good"], found["bad"]) == (2, [[3, "is longer than 8 MiB"]])
    assert int(str(found["peak"])) < MOST


def test_a_post_of_64_mb_refuses_the_file_with_little_memory(tmp_path: Path) -> None:
    found = _read(_write(tmp_path / "Posts.xml", _posts(64 * MIB)))
    assert "contains a row longer than 8 MiB" in str(found["refused"])
    assert int(str(found["peak"])) < MOST


@pytest.mark.parametrize("form", [_lines, _list, _table, _posts])
def test_the_largest_allowed_row_uses_little_memory(
    tmp_path: Path, form: Callable[[int], Iterator[bytes]]
) -> None:
    name = {_lines: "rows.jsonl", _list: "rows.json", _table: "rows.csv", _posts: "Posts.xml"}[form]
    found = _read(_write(tmp_path / name, form(7 * MIB)))
    assert (found["bad"], found["refused"]) == ([], None)
    assert int(str(found["good"])) >= 1
    assert int(str(found["peak"])) < MOST


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv"])
def test_many_rows_use_no_more_memory_than_few(tmp_path: Path, name: str) -> None:
    def content(rows: int) -> Iterator[bytes]:
        if name == "rows.csv":
            yield b"title,tags,body\n"
        yield b"[" if name == "rows.json" else b""
        for number in range(rows // 1000):
            # Long ones, so that few of them would tell if their texts were kept.
            row = b"Is it legal?,a,%s\n" % BODY if name == "rows.csv" else LONG
            separator = b"," if name == "rows.json" else b""
            last = number == rows // 1000 - 1
            yield (row + separator) * 999 + row + (b"" if last else separator)
        yield b"]" if name == "rows.json" else b""

    # Kept, the texts of the others would take 8 MB.
    few, many = (_read(_write(tmp_path / name, content(rows))) for rows in (5_000, 25_000))
    assert (few["good"], many["good"]) == (5_000, 25_000)
    assert int(str(many["peak"])) < int(str(few["peak"])) + 2 * MIB
