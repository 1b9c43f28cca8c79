"""Lines of a file, with bounded length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

LONGEST_LINE = 16 << 20
"""Maximum bytes per line; longer than any context, and short enough to read at once."""


@dataclass(frozen=True, slots=True)
class TooLong:
    """Represents a line that was skipped because of its length.

    Args:
        size: its bytes, with its end.
    """

    size: int


def read_lines(stream: BinaryIO, limit: int = LONGEST_LINE) -> Iterator[tuple[int, bytes | TooLong]]:
    """The lines of a file with their numbers, counted from one.

    Lines end with LF or CRLF, which are kept; U+2028 and the like do not end a line.

    Args:
        stream: the file.
        limit: the most bytes of a line, without its end.
    """
    number, most = 0, limit + 2
    readline = stream.readline
    while raw := readline(most):
        number += 1
        if len(raw) > limit and len(without_end(raw)) > limit:
            yield number, TooLong(_rest(stream, raw, most))
        else:
            yield number, raw


def without_end(raw: bytes) -> bytes:
    """A line without LF or CRLF."""
    return raw[:-1].removesuffix(b"\r") if raw.endswith(b"\n") else raw


def _rest(stream: BinaryIO, raw: bytes, most: int) -> int:
    size = len(raw)
    while raw and not raw.endswith(b"\n"):
        raw = stream.readline(most)
        size += len(raw)
    return size
