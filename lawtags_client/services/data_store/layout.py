"""Looking at a folder of training rows before a byte of it is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from lawtags_client.errors import DataError

SPLITS = ("training", "validation", "testing")
Kind = Literal["completion", "chat"]
_ROLES = frozenset({"system", "user", "assistant", "tool"})


@dataclass(frozen=True, slots=True)
class Layout:
    """What a folder holds.

    Args:
        files: path below the folder (with slashes) to the file.
        rows: how many rows each split has.
        kind: whether rows are prompts with completions or conversations.
    """

    files: dict[str, Path]
    rows: dict[str, int]
    kind: Kind


def check(folder: Path, required: Sequence[str] = ("training", "validation")) -> Layout:
    """Check that a folder is laid out as the Customizer wants it, and every row in it.

    Args:
        folder: holds ``training/*.jsonl``, ``validation/*.jsonl`` and, if there is one, ``testing/``.
        required: the splits that must be there; without validation the service silently holds out a tenth
            of the training rows.

    Raises:
        DataError: something is missing, or a row is wrong; names file, line and field.
    """
    if not folder.is_dir():
        raise DataError("there is no such folder", path=folder, hint="Make it with: lawtags curate … --out")
    files: dict[str, Path] = {}
    rows: dict[str, int] = {}
    kind: Kind | None = None
    for split in SPLITS:
        paths = sorted(path for path in (folder / split).glob("*.jsonl") if path.is_file())
        for path in paths:
            if path.is_symlink():
                raise DataError("a link is not followed", path=path, hint="Put the file itself there.")
            files[f"{split}/{path.name}"] = path
            for found in _kinds(path, kind):
                kind = found
                rows[split] = rows.get(split, 0) + 1
        if split in required and not rows.get(split):
            what = "no *.jsonl file" if not paths else "no row"
            raise DataError(f"{what} for {split}", path=folder / split, hint=_HINT)
    if kind is None:
        raise DataError("there are no rows", path=folder, hint=_HINT)
    return Layout(files, rows, kind)


_HINT = "The folder holds training/*.jsonl, validation/*.jsonl and testing/*.jsonl."


def _kinds(path: Path, expected: Kind | None) -> Iterator[Kind]:
    for number, line in enumerate(_lines(path), start=1):
        kind = _kind(_row(line, path, number), path, number)
        if expected is not None and kind != expected:
            _bad(f"a {kind} row among {expected} rows", path, number, None)
        expected = kind
        yield kind


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        # Binary lines end at LF only; U+2028 inside a string is no line end.
        yield from stream


def _row(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        _bad(f"not UTF-8 at byte {error.start} of the line", path, number, None)
    if not text.strip():
        _bad("an empty line", path, number, None)
    try:
        row = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        _bad(f"not JSON: {error}", path, number, None)
    if not isinstance(row, dict):
        _bad(f"a row is an object, this is a {type(row).__name__}", path, number, None)
    return row


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _kind(row: dict[str, Any], path: Path, number: int) -> Kind:
    if "messages" in row:
        _check_messages(row["messages"], path, number)
        return "chat"
    for name in ("prompt", "completion"):
        if name not in row:
            _bad("missing", path, number, name)
        if not isinstance(row[name], str):
            _bad(f"text is wanted, this is a {type(row[name]).__name__}", path, number, name)
        if not row[name].strip():
            _bad("empty", path, number, name)
    return "completion"


def _check_messages(messages: Any, path: Path, number: int) -> None:
    if not isinstance(messages, list) or not messages:
        _bad("a list of messages is wanted", path, number, "messages")
    for index, message in enumerate(messages):
        place = f"messages[{index}]"
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            _bad("a message has a role and content", path, number, f"{place}.role")
        content = message.get("content")
        if not isinstance(content, str) and not message.get("tool_calls"):
            _bad("text is wanted", path, number, f"{place}.content")
    if messages[-1]["role"] != "assistant":
        _bad("the last message is not the assistant's", path, number, f"messages[{len(messages) - 1}].role")


def _bad(what: str, path: Path, number: int, field: str | None) -> NoReturn:
    hint = 'Rows are {"prompt", "completion"} or {"messages"}, one JSON object a line, all of one kind.'
    raise DataError(what, path=path, line=number, field=field, hint=hint)
