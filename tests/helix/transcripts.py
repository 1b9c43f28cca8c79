"""The exchanges recorded on a real NeMo Helix 0.8.1, and the mask for what differs between two runs."""

from __future__ import annotations

import functools
import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "recorded"

_BASE58 = "[1-9A-HJ-NP-Za-km-z]"
_MASKS = (
    (re.compile(rf"\b([a-z]+(?:-[a-z]+)*)-{_BASE58}{{19,22}}(?![0-9A-Za-z])"), r"\1-<id>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?"), "<time>"),
    (re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{32}|[0-9a-f]{12}|[0-9a-f]{8})(?![0-9a-f])"), "<hex>"),
    (re.compile(r"\bmodels-system-(?:[0-9a-z]{8}(?![0-9a-z])|<hex>)"), "models-system-<name>"),
    (re.compile(r"https?://[\w.\-]+:\d+"), "<server>"),
)
_SERVER_FOLDER = "/data/helix"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A recorded request and its response.

    Args:
        number: position in the recording, from 0.
        section: ``workspaces``, ``files``, ``runner``, ...
        note: what the request is about; may be empty.
        method: HTTP method.
        path: path and query, as sent.
        headers: headers of the request.
        body: a JSON value, text for other bodies, or None.
        status: the status of the response.
        response_headers: its headers, in lower case.
        answer: its JSON value; text if it is not JSON, None if there is none.
        upstream: the requests that the model server behind the gateway received.
    """

    number: int
    section: str
    note: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    status: int
    response_headers: Mapping[str, str]
    answer: Any
    upstream: Any

    @property
    def label(self) -> str:
        """A name for test reports: number, section, method, path and note."""
        note = f" ({self.note})" if self.note else ""
        return f"{self.number:03} {self.section}: {self.method} {self.path}{note}"

    @property
    def content(self) -> bytes | None:
        """The bytes of the request body."""
        if self.body is None:
            return None
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@functools.cache
def exchanges() -> tuple[Exchange, ...]:
    """All recorded exchanges, in order: each builds on the state that the earlier ones left."""
    text = gzip.decompress((RECORDED / "transcripts.jsonl.gz").read_bytes()).decode()
    return tuple(read_exchange(number, json.loads(line)) for number, line in enumerate(text.splitlines()))


def section(name: str) -> tuple[Exchange, ...]:
    """The exchanges of one section."""
    return tuple(each for each in exchanges() if each.section == name)


def find(name: str, note: str) -> Exchange:
    """The first exchange of a section with a note."""
    return next(each for each in section(name) if each.note == note)


def masked(value: Any, folder: str = _SERVER_FOLDER) -> Any:
    """Replace ids, times, random names, addresses and the server's folder, in values and keys.

    Args:
        value: a JSON value.
        folder: the server's data folder; default: that of the recording.
    """
    if isinstance(value, str):
        text = value.replace(folder, "<folder>")
        for pattern, replacement in _MASKS:
            text = pattern.sub(replacement, text)
        return text
    if isinstance(value, list):
        return [masked(each, folder) for each in value]
    if isinstance(value, dict):
        return {masked(name, folder): masked(each, folder) for name, each in value.items()}
    return value


def shape(value: Any) -> Any:
    """The shape of a JSON value: the keys of objects, and the types of everything else.

    Lists have the shapes of their items, each once.
    """
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return sorted({json.dumps(shape(each), sort_keys=True) for each in value})
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else "str"


def read_exchange(number: int, recorded: dict[str, Any]) -> Exchange:
    """An exchange as a line of a recording holds it."""
    request, response = recorded["request"], recorded["response"]
    return Exchange(
        number,
        recorded["section"],
        recorded["note"],
        request["method"],
        request["path"],
        request["headers"],
        request["body"],
        response["status"],
        response["headers"],
        response["body"],
        recorded.get("upstream"),
    )
