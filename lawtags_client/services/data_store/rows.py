"""Reading training rows fast, and saying exactly what is wrong with one."""

from __future__ import annotations

import json
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn

from lawtags_client.errors import DataError
from lawtags_client.json_value import JsonObject
from lawtags_client.jsonl import JsonFault, LinePolicy, json_kind, scan_lines

Kind = Literal["completion", "chat"]

# Prompts that are remembered to find repeated ones; more would take more memory than the rows are worth.
_REMEMBERED = 500_000
_BUFFER = 1 << 20
# The service takes neither empty lines nor a byte order mark.
_POLICY = LinePolicy(blank=False, mark=False)
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
        begin, longest, seen = self._total, self.longest.get(split, 0), self._seen
        self._files.append((begin, split, path))
        number = 0
        with path.open("rb", buffering=_BUFFER) as stream:
            for number, row in scan_lines(stream, _POLICY):
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


def _row(row: JsonObject | JsonFault, path: Path, number: int) -> tuple[Kind, int, int]:
    """The kind of a row, a hash of its prompt, and its letters."""
    if isinstance(row, JsonFault):
        raise row.error(path, number, hint=_HINT)
    if "messages" in row:
        return "chat", *_messages(row["messages"], path, number)
    prompt, completion = row.get("prompt"), row.get("completion")
    # Spelled out, since most rows come to their end here.
    if (
        type(prompt) is type(completion) is str
        and prompt
        and completion
        and not (prompt.isspace() or completion.isspace())
    ):
        return "completion", hash(prompt), len(prompt) + len(completion)
    for name, text in (("prompt", prompt), ("completion", completion)):
        if name not in row:
            _bad("missing", path, number, name)
        if not isinstance(text, str):
            _bad(f"must be text; this is {json_kind(text)}", path, number, name)
        if _blank(text):
            _bad("empty", path, number, name)
    raise AssertionError("one of the two is wrong")


def _blank(text: str) -> bool:
    return not text or text.isspace()


def _messages(messages: object, path: Path, number: int) -> tuple[int, int]:
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


def _bad(what: str, path: Path, number: int, field: str | None = None) -> NoReturn:
    raise DataError(what, path=path, line=number, field=field, hint=_HINT)


def describe_repeats(repeats: dict[tuple[str, str], Repeats]) -> Sequence[str]:
    """One sentence for each pair of splits that share prompts."""
    return [
        f"{found.rows} row{'s' * (found.rows > 1)} of {split} repeat a prompt of {first}: "
        f"{found.example} has that of {found.original}"
        for (split, first), found in repeats.items()
    ]
