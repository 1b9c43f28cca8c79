"""Bodies: JSON that is sent, and answers that are read within limits on their decoded size.

httpx decompresses whatever a server sends, however far it expands: 826 bytes of twice-compressed zeros become
839 MiB. Here the raw bytes are decompressed step by step, each step bounded, and counted as they come.
"""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from lawtags_client.errors import ConfigurationError
from lawtags_client.json_value import JsonValue

if TYPE_CHECKING:
    import httpx

JSON_LIMIT = 64 << 20
"""Bytes of a decoded body that is read into memory, unless the call allows more."""

ARCHIVE_LIMIT = 1 << 30
"""Bytes of an archive of results or of a job's logs."""

ERROR_LIMIT = 1 << 20
"""Bytes of an error's body that are read; the rest is of no use to anyone."""

_STEP = 256 << 10
# Up to this size decoding takes a few milliseconds; beyond it, it leaves the event loop.
_INLINE = 1 << 20
# Arrays and objects cost far more than the bytes that spell them: 64 MiB of "[]," would take 2 GB and 16 s.
_MOST_CONTAINERS = 1_000_000
# What is read is written again, compared and shown; pydantic and json cannot do that at any depth.
_DEEPEST = 100
# Halves of characters that JSON spells without their other half: a first one that no second one follows, a
# second one that follows no first one, either as UTF-8. Where a backslash stands before, what follows may be
# no half at all; then the decoded text tells.
_MAYBE_HALF = re.compile(
    rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]"
    rb"|\\\\u[dD][89abAB]|\xed[\xa0-\xbf]",
    re.DOTALL,
)
_LONGEST_MATCH = 12
_HALF = re.compile("[\ud800-\udfff]")
# An integer with more digits becomes a float, as it would with an exponent: no double holds a few of them
# multiplied, and Python refuses to convert the longest at all.
_MOST_DIGITS = 100
_LONG_INTEGER = re.compile(rb"\d{%d}" % (_MOST_DIGITS + 1))
_SOME_DIGITS = re.compile(rb"\d{3}")
_GZIP_MAGIC = b"\x1f\x8b"


class UnreadableBody(Exception):
    """The body is larger than allowed, or is not what its headers say; never leaves this room.

    Args:
        what: is wrong with it.
        passing: whether it may be right the next time.
    """

    def __init__(self, what: str, *, passing: bool = False) -> None:
        super().__init__(what)
        self.passing = passing


class _Inflater:
    """Undoes the compression that an answer's headers name.

    Args:
        response: its headers count.

    Raises:
        UnreadableBody: the compression was not asked for.
    """

    def __init__(self, response: httpx.Response) -> None:
        named = response.headers.get("content-encoding", "").lower().split(",")
        codings = [name for part in named if (name := part.strip()) not in ("", "identity")]
        # One after the other could expand a million times before a single byte came out.
        if len(codings) > 1:
            raise UnreadableBody("it is compressed more than once")
        if codings and codings[0] not in ("gzip", "x-gzip", "deflate"):
            raise UnreadableBody(f"its content-encoding {codings[0][:40]!r} was not asked for")
        self._name = codings[0].removeprefix("x-") if codings else ""
        self._ahead = b""
        self._inflater: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What comes out for what goes in, in bounded pieces, none of them empty."""
        if not self._name:
            yield from (data,) if data else ()
            return
        data, self._ahead = self._ahead + data, b""
        while data:
            if self._inflater is None or self._inflater.eof:
                # The first two bytes tell what follows.
                if len(data) < 2:
                    self._ahead = data
                    return
                if self._inflater is not None and not (self._name == "gzip" and data.startswith(_GZIP_MAGIC)):
                    return  # servers that pad are common
                self._inflater = zlib.decompressobj(self._window(data))
            try:
                piece = self._inflater.decompress(data, _STEP)
            except zlib.error as error:
                raise UnreadableBody(f"it is not valid {self._name}: {error}", passing=True) from error
            data = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
            if piece:
                yield piece

    def _window(self, head: bytes) -> int:
        """What zlib calls the format: the window's size, and a sign for what is around the data."""
        if self._name == "gzip":
            return zlib.MAX_WBITS | 16
        # Some servers leave zlib's header out; where it stands, it is a multiple of 31 (RFC 1950).
        headed = head[0] & 0x0F == 8 and int.from_bytes(head[:2]) % 31 == 0
        return zlib.MAX_WBITS if headed else -zlib.MAX_WBITS

    def end(self) -> None:
        """Check that nothing is missing.

        Raises:
            UnreadableBody: it is cut off.
        """
        if (self._ahead and self._inflater is None) or (self._inflater and not self._inflater.eof):
            raise UnreadableBody(f"its {self._name} data is cut off", passing=True)


async def body_pieces(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The decoded body of an answer that was opened as a stream.

    Raises:
        UnreadableBody: it is not what its headers say.
        httpx.HTTPError: the connection failed.
    """
    if response.is_stream_consumed:
        # Only answers made in memory come here; they are decoded already.
        yield response.content
        return
    inflater = _Inflater(response)
    compressed = 0
    size = 0
    async for raw in response.aiter_raw():
        compressed += len(raw)
        inflated = inflater.feed(raw)
        # What does not expand costs nothing here; what expands far is a matter for another thread.
        while piece := (
            next(inflated, b"")
            if size < compressed + _INLINE
            else await asyncio.to_thread(next, inflated, b"")
        ):
            size += len(piece)
            yield piece
    inflater.end()


async def read_body(response: httpx.Response, limit: int, *, cut: bool = False) -> bytes:
    """The decoded body of an answer, whole.

    Args:
        response: opened as a stream.
        limit: bytes, after decompression.
        cut: give the first ``limit`` bytes of a larger one instead of an error.

    Raises:
        UnreadableBody: it is larger, or is not what its headers say.
        httpx.HTTPError: the connection failed.
    """
    parts: list[bytes] = []
    size = 0
    async for piece in body_pieces(response):
        parts.append(piece)
        size += len(piece)
        if size > limit:
            if cut:
                break
            raise UnreadableBody(_too_large(limit))
    return b"".join(parts)[:limit]


async def decode_json(body: bytes) -> JsonValue:
    """The value of a JSON text; a large one is decoded beside the event loop.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
        UnreadableBody: it holds more arrays and objects than any answer of the API, or nests them deeper.
    """
    containers = body.count(b"[") + body.count(b"{")
    if len(body) <= _INLINE:
        value: JsonValue = json.loads(body, parse_int=_number if _has_long_integer(body) else None)
        if containers > _DEEPEST:
            _check_depth(value)
        return _as_unicode(value, body)
    if containers > _MOST_CONTAINERS:
        raise UnreadableBody(f"it holds more than {_MOST_CONTAINERS:,} arrays and objects")
    return await asyncio.to_thread(_decode_in_turns, body)


def _decode_in_turns(body: bytes) -> JsonValue:
    # The decoder keeps the interpreter to itself from beginning to end, unless it calls functions of Python:
    # these let the event loop have its turns in between.
    value: JsonValue = json.loads(
        body,
        object_pairs_hook=lambda pairs: dict(pairs),
        parse_int=_number,
        parse_float=lambda digits: float(digits),
    )
    _check_depth(value)
    return _as_unicode(value, body)


def _has_long_integer(body: bytes) -> bool:
    # In more than 100 digits in a row, three of every 33rd byte follow one another: most bodies have none.
    return bool(_SOME_DIGITS.search(body[:: _MOST_DIGITS // 3]) and _LONG_INTEGER.search(body))


def _number(digits: str) -> int | float:
    return int(digits) if len(digits.lstrip("-")) <= _MOST_DIGITS else float(digits)


def _check_depth(value: JsonValue) -> None:
    level: list[JsonValue] = [value]
    for _ in range(_DEEPEST + 1):
        level = [inner for each in level for inner in _inside(each) if isinstance(inner, Mapping | list)]
        if not level:
            return
    raise UnreadableBody(f"it is nested more than {_DEEPEST} levels deep")


def _as_unicode(value: JsonValue, body: bytes) -> JsonValue:
    """A value whose texts can be written: half of a character, which JSON can spell, is replaced."""
    if not any(_may_begin_half(body, at) for at in range(0, len(body), _STEP)):
        return value
    text = json.dumps(value, ensure_ascii=False)
    if text.isascii() or not _HALF.search(text):
        return value
    whole: JsonValue = json.loads(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
    return whole


def _may_begin_half(body: bytes, start: int) -> bool:
    # In steps, since a search keeps the interpreter to itself.
    found = _MAYBE_HALF.search(body, start, start + _STEP + _LONGEST_MATCH)
    return found is not None and found.start() < start + _STEP


def _inside(value: JsonValue) -> Iterable[JsonValue]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def encoded(value: object) -> bytes:
    """A value as JSON in UTF-8.

    Raises:
        ConfigurationError: JSON cannot hold it.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"the request cannot be written as JSON: {type(error).__name__}",
            hint="It has NaN, an infinity, text that is not Unicode, or a type that JSON does not have.",
        ) from error


def _too_large(limit: int) -> str:
    return f"it is larger than {limit / (1 << 20):,.0f} MiB"
