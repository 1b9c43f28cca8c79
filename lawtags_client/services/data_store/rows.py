"""Reading training rows fast, and saying exactly what is wrong with one."""

from __future__ import annotations

import json
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn

from lawtags_client.errors import DataError

Kind = Literal["completion", "chat"]

LONGEST_LINE = 16 << 20
"""Bytes of a line; longer than any context, and short enough to be read at once."""

# Prompts that are remembered to find repeated ones; more would take more memory than the rows are worth.
_REMEMBERED = 500_000
_BUFFER = 1 << 20
_ROLES = frozenset({"system", "user", "assistant", "tool"})
_HINT = 'Rows are {"prompt", "completion"} or {"messages"}, one JSON object per line, all of the same kind.'


@dataclass(slots=True)
class Repeats:
    """Rows whose prompt was seen before.

    Args:
        rows: how many.
        example: the first of them, as ``file:line``.
        original: where its prompt stood first.
    """

    rows: int
    example: str
    original: str


@dataclass(slots=True)
class RowCheck:
    """Checks file after file, and remembers what must agree between them.

    Args:
        kind: what all rows are, once one was seen.
        rows: split to number of rows.
        longest: split to the letters of its longest row.
        repeats: rows of the first split whose prompt stands in the second already.
    """

    kind: Kind | None = None
    rows: dict[str, int] = field(default_factory=dict)
    longest: dict[str, int] = field(default_factory=dict)
    repeats: dict[tuple[str, str], Repeats] = field(default_factory=dict)
    _seen: dict[int, int] = field(default_factory=dict)
    _files: list[tuple[int, str, Path]] = field(default_factory=list)
    _total: int = 0

    def read(self, path: Path, split: str) -> None:
        """Check every row of a file.

        Raises:
            DataError: a row is wrong; names file, line and field.
        """
        from orjson import JSONDecodeError, loads

        begin, longest, seen = self._total, self.longest.get(split, 0), self._seen
        self._files.append((begin, split, path))
        number = 0
        with path.open("rb", buffering=_BUFFER) as stream:
            # Binary lines end at LF only; U+2028 inside a string is no line end.
            for number, line in enumerate(iter(partial(stream.readline, LONGEST_LINE + 1), b""), start=1):
                if len(line) > LONGEST_LINE and not line.endswith(b"\n"):
                    _bad(f"the line is longer than {LONGEST_LINE >> 20} MiB", path, number)
                try:
                    row = loads(line)
                except JSONDecodeError as error:
                    _unreadable(line, error, path, number)
                kind, prompt, letters = _row(row, path, number)
                if kind is not self.kind:
                    if self.kind is not None:
                        _bad(f"a {kind} row among {self.kind} rows", path, number)
                    self.kind = kind
                if letters > longest:
                    longest = letters
                before = seen.get(prompt)
                if before is not None:
                    self._repeated(before, split, path, number)
                elif len(seen) < _REMEMBERED:
                    seen[prompt] = begin + number
        self._total += number
        self.rows[split] = self.rows.get(split, 0) + number
        self.longest[split] = longest

    def _repeated(self, before: int, split: str, path: Path, number: int) -> None:
        begin, first, original = self._files[bisect(self._files, before - 1, key=lambda file: file[0]) - 1]
        known = self.repeats.get((split, first))
        if known is None:
            place = f"{original}:{before - begin}"
            self.repeats[(split, first)] = Repeats(1, f"{path}:{number}", place)
        else:
            known.rows += 1


def _kind(value: Any) -> str:
    """What a value is called in JSON."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _row(row: Any, path: Path, number: int) -> tuple[Kind, int, int]:
    """The kind of a row, a hash of its prompt, and its letters."""
    if type(row) is not dict:
        _bad(f"a row must be an object; this is {_kind(row)}", path, number)
    if "messages" in row:
        return "chat", *_messages(row["messages"], path, number)
    prompt, completion = row.get("prompt"), row.get("completion")
    if type(prompt) is type(completion) is str and not (_blank(prompt) or _blank(completion)):
        return "completion", hash(prompt), len(prompt) + len(completion)
    for name, text in (("prompt", prompt), ("completion", completion)):
        if name not in row:
            _bad("missing", path, number, name)
        if not isinstance(text, str):
            _bad(f"must be text; this is {_kind(text)}", path, number, name)
        if _blank(text):
            _bad("empty", path, number, name)
    raise AssertionError("one of the two is wrong")


def _blank(text: str) -> bool:
    return not text or text.isspace()


def _messages(messages: Any, path: Path, number: int) -> tuple[int, int]:
    if not isinstance(messages, list) or not messages:
        _bad("must be a list of messages", path, number, "messages")
    contents: list[str] = []
    for index, message in enumerate(messages):
        place = f"messages[{index}]"
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str) or role not in _ROLES:
            told = f"a message has a role and content; the known roles are {', '.join(sorted(_ROLES))}"
            _bad(told, path, number, f"{place}.role")
        content = message.get("content")
        if not isinstance(content, str):
            if not message.get("tool_calls"):
                _bad("must be text", path, number, f"{place}.content")
            content = json.dumps(message["tool_calls"])
        elif role == "assistant" and _blank(content):
            if not message.get("tool_calls"):
                _bad("empty, so there is nothing to learn", path, number, f"{place}.content")
            content = json.dumps(message["tool_calls"])
        contents.append(content)
    if messages[-1]["role"] != "assistant":
        _bad("the last message must be the assistant's", path, number, f"messages[{len(messages) - 1}].role")
    return hash(tuple(contents[:-1])), sum(map(len, contents))


def _unreadable(line: bytes, error: ValueError, path: Path, number: int) -> NoReturn:
    """Say why a line was refused, in more words than the fast reader has."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as wrong:
        _bad(f"not UTF-8 at byte {wrong.start} of the line", path, number)
    if not text.strip():
        _bad("an empty line", path, number)
    if text.startswith("\ufeff"):
        _bad("begins with a byte order mark; save the file as UTF-8 without one", path, number)
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as wrong:
        _bad(f"not JSON: {wrong}", path, number)
    # Python's reader takes some things that JSON does not have, such as halves of surrogate pairs.
    _bad(f"not JSON: {error}", path, number)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _bad(what: str, path: Path, number: int, field: str | None = None) -> NoReturn:
    raise DataError(what, path=path, line=number, field=field, hint=_HINT)


def describe_repeats(repeats: dict[tuple[str, str], Repeats]) -> Sequence[str]:
    """One sentence for each pair of splits that share prompts."""
    return [
        f"{found.rows} row{'s' * (found.rows > 1)} of {split} repeat a prompt of {first}: "
        f"{found.example} has that of {found.original}"
        for (split, first), found in repeats.items()
    ]
