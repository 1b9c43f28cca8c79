"""Rows of JSON: one object per line, or one array of objects, with bounded memory.

Every reader of rows uses this, so all agree on what a row is and how errors are worded. What to do about an
invalid row, and which lines to skip, is up to the caller (:class:`LinePolicy`).
"""

from __future__ import annotations

from lawtags_client.jsonl.arrays import ArrayReader
from lawtags_client.jsonl.decoding import decode_fields, decode_row, refuse_unreadable
from lawtags_client.jsonl.faults import JsonFault, json_kind
from lawtags_client.jsonl.lines import LONGEST_LINE, TooLong, read_lines
from lawtags_client.jsonl.reading import LinePolicy, parse_array, parse_lines, read_rows, scan_lines

__all__ = [
    "LONGEST_LINE",
    "ArrayReader",
    "JsonFault",
    "LinePolicy",
    "TooLong",
    "decode_fields",
    "decode_row",
    "json_kind",
    "parse_array",
    "parse_lines",
    "read_lines",
    "read_rows",
    "refuse_unreadable",
    "scan_lines",
]
