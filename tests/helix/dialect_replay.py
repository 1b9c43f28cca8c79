"""Replays the recorded exchanges against a server, and compares what it answers."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from transcripts import Exchange, masked, shape

_CREATED = ("accept-ranges", "content-range", "x-should-retry", "retry-after", "allow", "content-disposition")
_IDS = re.compile(r"[a-z]+(?:-[a-z]+)*-[1-9A-HJ-NP-Za-km-z]{19,22}(?![0-9A-Za-z])")
_CURSORS = ("next_page", "prev_page")
_UNORDERED = re.compile(r"/filesets/[^/]+/files(\?|\Z)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a server answered one exchange.

    Args:
        exchange: the recorded exchange.
        status: the server's status.
        answer: its decoded body.
        same_status, same_shape, identical: how it compares; identical includes the former two.
    """

    exchange: Exchange
    status: int
    answer: Any
    same_status: bool
    same_shape: bool
    identical: bool


@dataclass(slots=True)
class Replay:
    """Sends recorded requests in order, with this server's ids in place of the recorded ones.

    Args:
        url: the server.
        folder: its data folder, for the mask.
        rename: replaces further texts in requests, e.g. the address of the model server.
    """

    url: str
    folder: str
    rename: Callable[[str], str] = lambda text: text
    _known: dict[str, str] = field(default_factory=dict)

    def run(self, exchanges: Iterable[Exchange]) -> list[Outcome]:
        """Replay exchanges, and return the outcomes."""
        return [self.one(each) for each in exchanges]

    def one(self, exchange: Exchange) -> Outcome:
        """Replay one exchange."""
        status, headers, text = self._send(exchange)
        answer = _decoded(text, headers)
        self._learn(exchange.answer, answer)
        wanted = _comparable(exchange, exchange.answer)
        found = _comparable(exchange, answer, self.folder)
        same_status = status == exchange.status
        same_headers = all(
            masked(exchange.response_headers.get(name)) == masked(headers.get(name)) for name in _CREATED
        )
        same_shape = same_status and shape(wanted) == shape(found)
        return Outcome(
            exchange, status, answer, same_status, same_shape,
            same_shape and same_headers and wanted == found,
        )  # fmt: skip

    def _send(self, exchange: Exchange) -> tuple[int, dict[str, str], bytes]:
        # Not httpx, which resolves dots in paths.
        address = urlsplit(self.url)
        assert address.hostname is not None
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
        body = None if exchange.content is None else self._translated(exchange.content.decode()).encode()
        try:
            connection.request(
                exchange.method, self._translated(exchange.path), body, headers=dict(exchange.headers)
            )
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return response.status, headers, response.read()
        finally:
            connection.close()

    def _translated(self, text: str) -> str:
        for before, after in self._known.items():
            text = text.replace(before, after)
        return self.rename(text)

    def _learn(self, recorded: Any, answered: Any) -> None:
        """Remember which of our ids stands for which recorded one."""
        if isinstance(recorded, dict) and isinstance(answered, dict):
            for name in recorded.keys() & answered.keys():
                if name in _CURSORS and recorded[name] and answered[name]:
                    self._known[recorded[name]] = answered[name]
                self._learn(recorded[name], answered[name])
        elif isinstance(recorded, list) and isinstance(answered, list):
            for before, after in zip(recorded, answered, strict=False):
                self._learn(before, after)
        elif isinstance(recorded, str) and isinstance(answered, str) and recorded != answered:
            before, after = _IDS.findall(recorded), _IDS.findall(answered)
            if len(before) == len(after):
                self._known.update(zip(before, after, strict=True))


def difference(wanted: Any, found: Any, at: str = "$") -> list[str]:
    """Where two JSON values differ, for reports."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        lines = []
        for name in sorted(wanted.keys() | found.keys()):
            if name not in found:
                lines.append(f"{at}.{name}: missing, recorded {json.dumps(wanted[name])[:100]}")
            elif name not in wanted:
                lines.append(f"{at}.{name}: not recorded, but {json.dumps(found[name])[:100]}")
            else:
                lines += difference(wanted[name], found[name], f"{at}.{name}")
        return lines
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return [line for place, (a, b) in pairs for line in difference(a, b, f"{at}[{place}]")]
    if wanted == found:
        return []
    return [f"{at}: recorded {json.dumps(wanted)[:200]}, found {json.dumps(found)[:200]}"]


def explain(outcome: Outcome, folder: str) -> str:
    """A report about an outcome that is not identical."""
    exchange = outcome.exchange
    wanted = _comparable(exchange, exchange.answer)
    lines = difference(wanted, _comparable(exchange, outcome.answer, folder))[:8]
    status = "" if outcome.same_status else f" status {outcome.status}, recorded {exchange.status}"
    return "\n    ".join([f"{exchange.label}{status}", *lines])


def _decoded(text: bytes, headers: dict[str, str]) -> Any:
    if "json" in headers.get("content-type", ""):
        return json.loads(text) if text else ""
    plain = text.decode("utf-8", "replace")
    try:
        return json.loads(plain)
    except ValueError:
        return plain


def _lines(answer: Any) -> Any:
    """JSON lines as a list; other values as they are."""
    if not isinstance(answer, str) or not answer.startswith("{"):
        return answer
    try:
        return [json.loads(line) for line in answer.splitlines()]
    except ValueError:
        return answer


def _comparable(exchange: Exchange, answer: Any, folder: str = "/data/helix") -> Any:
    value = masked(_lines(answer), folder)
    if isinstance(value, dict):
        value = {
            name: "<cursor>" if name in _CURSORS and each is not None else each
            for name, each in value.items()
        }
        if _UNORDERED.search(exchange.path) and isinstance(value.get("data"), list):
            value["data"] = sorted(value["data"], key=lambda each: str(each["path"]))
    return value
