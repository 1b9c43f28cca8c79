"""Servers with responses designed to hurt a client, chosen by a seed."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import zlib
from random import Random

from raw_server import Act, answer, drip, hang_up, reset, send

STATUSES = (
    "200 OK",
    "200 OK",
    "200 OK",
    "200",
    "201 Created",
    "204 No Content",
    "301 Moved",
    "307 Temporary Redirect",
    "308 Permanent Redirect",
    "400 Bad Request",
    "401 Unauthorized",
    "404 Not Found",
    "409 Conflict",
    "422 Unprocessable Entity",
    "429 Too Many Requests",
    "500 Internal Server Error",
    "503 Service Unavailable",
    "999 What",
)
LOCATIONS = (
    "http://xn--/",
    "http://[",
    "http://[::1",
    "//",
    "",
    "http://a..b/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:0x1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
    "?" * 3000,
    "/" + "a" * 60_000,
    "http://" + "a" * 300 + ".test/",
    "http://\\\\..\\",
    "http://user:pass@127.0.0.1:1/",
)
RETRIES = ("", " ", ",", "nan", "-1", "1e999", "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 99 Foo", "0" * 5000)
LINKS = ("<" * 5000, '<a>; rel="next"', '<http://[>; rel="next"', "<a>;" * 2000, "<?%zz&;=%00>; rel=next")

TWICE = gzip.compress(gzip.compress(bytes(1 << 20)))
BOMB = gzip.compress(bytes(70 << 20), 1)


def deep(depth: int, opening: str, closing: str) -> bytes:
    return (opening * depth + closing * depth).encode()


DEEP = (
    deep(100_000, "[", "]"),
    deep(900, "[", "]"),
    deep(400, '{"detail":', "}").replace(b":}", b":1}"),
    deep(5000, '{"a":', "}"),
)


def documents(rng: Random) -> bytes:
    """Valid or nearly valid JSON."""
    odd = rng.choice(
        [
            1,
            -1,
            True,
            None,
            "",
            [],
            {},
            [[]],
            [None],
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            10**30,
            1e300,
            "\ud800",
            "a" * 3000,
            {"a": {"b": [{"c": None}]}},
            {"id": [1], "name": {"x": 1}},
        ]
    )
    names = ("id", "status", "name", "namespace", "created_at", "updated_at", "choices", "data", "detail")
    record = {name: rng.choice([odd, "x"]) for name in names}
    record |= {"siblings": odd, "files": odd, "objects": odd, "actions": odd, "sha": odd, "usage": odd}
    files = [
        {"type": "file", "path": path, "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 3}
        for path in rng.sample(
            [
                "a",
                "a/b",
                "a",
                "b" * 255,
                "c" * 300,
                "../d",
                "/e",
                "f\0",
                "g/../h",
                "é",
                "CON",
                ".",
                "i" * 200,
            ],
            3,
        )
    ]
    return rng.choice(
        [
            json.dumps(odd).encode(),
            json.dumps(record).encode(),
            json.dumps([record, record]).encode(),
            json.dumps({"data": [record], "pagination": odd}).encode(),
            json.dumps({"data": odd}).encode(),
            json.dumps({"error": odd}).encode(),
            json.dumps({"detail": [{"loc": odd, "msg": odd}]}).encode(),
            json.dumps(files).encode(),
            *DEEP,
            b'{"id": ' + b"9" * 5000 + b"}",
            b'{"id": 1e999, "status": NaN}',
            b'{"id": "\\ud800", "status": "\xff"}',
            b"\xef\xbb\xbf{}",
            '{"id": "x"}'.encode("utf-16"),
            b"<html>sign in</html>",
            b"",
            b"\0" * 100,
            b"data: {}\n\n" * 50,
        ]
    )


def packed(rng: Random, body: bytes) -> tuple[bytes, str | None]:
    """A body, possibly compressed, possibly badly."""
    match rng.randrange(24):
        case 0:
            return gzip.compress(body), "gzip"
        case 1:
            return gzip.compress(body)[:-6], "gzip"
        case 2:
            return b"\x1f\x8b" + body, "gzip"
        case 3:
            return zlib.compress(body)[2:-4], "deflate"
        case 4:
            return body, "br"
        case 5:
            return TWICE, "gzip, gzip"
        case 6:
            return BOMB, "gzip"
        case _:
            return body, None


def answers(rng: Random) -> Act:
    """What happens to one request."""
    body, coding = packed(rng, documents(rng))
    status = rng.choice(STATUSES)
    headers = [f"content-encoding: {coding}"] if coding else []
    if status[0] == "3":
        headers.append(f"location: {rng.choice(LOCATIONS)}")
    if rng.random() < 0.5:
        headers.append(f"retry-after: {rng.choice(RETRIES)}")
    if rng.random() < 0.3:
        headers.append(f"link: {rng.choice(LINKS)}")
    if rng.random() < 0.3:
        headers.append("content-type: text/event-stream")
    whole = answer(body, *headers, status=status)
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    return rng.choice(
        [
            *[send(whole)] * 8,
            send(whole[: len(whole) // 2], close=True),
            send(whole + b"HTTP/1.1 200 OK\r\n", close=True),
            send(b"HTTP/1.1 100 Continue\r\n\r\n" * 200 + whole),
            send(chunked + b"zz\r\n", close=True),
            send(chunked + b"-5\r\nabc\r\n0\r\n\r\n"),
            send(b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n"),
            send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef"),
            send(b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 400 + b"\r\n\r\n{}"),
            send(b"HTTP/9.9 \xff\xff\r\n\r\n", close=True),
            send(b"\r\n" * 100, close=True),
            flood,
            drip(b" ", 40, 0.01),
            hang_up,
            reset,
        ]
    )


async def flood(writer: asyncio.StreamWriter) -> None:
    """An endless body, sent as fast as it is read."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    piece = b"data: {}\n\n" * 6000
    for _ in range(3000):
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
