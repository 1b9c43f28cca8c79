"""Parses commits as a stream: one JSON object per line, small files included."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from lawtags_client.errors import BadRequestError, PayloadTooLargeError
from lawtags_client.types.data_store import (
    CommitDeletion,
    CommitFile,
    CommitHeader,
    CommitLfsFile,
    CommitLine,
)
from lawtags_stack.http.bodies import strict_json
from lawtags_stack.services.data_store.hub_urls import check_path
from lawtags_stack.services.data_store.state import DataStoreState
from lawtags_stack.services.data_store.trees import FileEntry

# A file of 32 MiB in base64, with its JSON; larger files must use LFS.
LONGEST_LINE = 45 << 20
MOST_LINES = 100_000
LARGEST_COMMIT = 8 << 30


@dataclass(slots=True)
class Changes:
    """The changes in a commit."""

    header: CommitHeader | None = None
    parent: str | None = None
    entries: list[FileEntry] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


async def read_changes(chunks: AsyncIterator[bytes], state: DataStoreState) -> Changes:
    """Parse the lines of a commit and store its files; only one line at a time is in memory.

    Raises:
        BadRequestError: a line is invalid; the message has its number.
        PayloadTooLargeError: a line is too long.
    """
    changes = Changes()
    number = 0
    async for line in _lines(chunks):
        number += 1
        if number > MOST_LINES:
            raise PayloadTooLargeError(f"A commit has at most {MOST_LINES} lines; send several")
        if line.strip():
            await run_in_threadpool(_take, line, number, changes, state)
    if changes.header is None:
        raise BadRequestError("The commit has no header line")
    return changes


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    pieces: list[bytes] = []
    length = total = 0
    async for chunk in chunks:
        total += len(chunk)
        if total > LARGEST_COMMIT:
            raise PayloadTooLargeError(
                f"A commit has at most {LARGEST_COMMIT} bytes; send large files through LFS"
            )
        *ended, rest = chunk.split(b"\n")
        for end in ended:
            yield b"".join([*pieces, end])
            pieces, length = [], 0
        pieces.append(rest)
        length += len(rest)
        if length > LONGEST_LINE:
            raise PayloadTooLargeError(
                f"A line of the commit is longer than {LONGEST_LINE} bytes; send the file through LFS"
            )
    yield b"".join(pieces)


def _take(text: bytes, number: int, changes: Changes, state: DataStoreState) -> None:
    try:
        line = CommitLine.model_validate(strict_json(text))
        _apply(line, changes, state)
    except ValueError as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise BadRequestError(f"Line {number} of the commit is invalid: {reason}") from None


def _apply(line: CommitLine, changes: Changes, state: DataStoreState) -> None:
    value = line.value
    match line.key:
        case "header":
            changes.header = CommitHeader.model_validate(value)
            changes.parent = changes.header.parent_commit
        case "file":
            file = CommitFile.model_validate(value)
            check_path(file.path)
            changes.entries.append(state.put_base64(file.path, _content(file)))
        case "lfsFile":
            lfs = CommitLfsFile.model_validate(value)
            changes.entries.append(state.lfs_entry(check_path(lfs.path), lfs.oid, lfs.size))
        case "deletedFile" | "deletedFolder" | "deletedEntry":
            changes.deleted.append(CommitDeletion.model_validate(value).path)
        case _:
            raise BadRequestError(f"A commit line has the unsupported key {line.key[:80]!r}")


def _content(file: CommitFile) -> bytes:
    if file.encoding == "utf-8":
        return file.content.encode()
    if file.encoding != "base64":
        raise BadRequestError(f"The encoding {file.encoding[:80]!r} of {file.path[:200]!r} is not supported")
    try:
        return base64.b64decode(file.content, validate=True)
    except binascii.Error as error:
        raise BadRequestError(f"The content of {file.path[:200]!r} is not valid base64: {error}") from None
