"""The calls of the client that every platform with Helix's dialect should answer, one after the other.

The same calls are made to a recording, to a running platform, and to make a recording:

    python tests/helix/platform_calls.py URL FILE.jsonl.gz

calls the platform at ``URL``, and writes what it answered. ``URL`` may be the one of any NeMo Helix or
nemo-platform without authentication whose evaluations run; about three minutes.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_server import model_server
from replay import Recording, replaying
from transcripts import Exchange

from lawtags_client.errors import LawtagsError, NotFoundError, UpstreamError
from lawtags_client.helix import metrics
from lawtags_client.helix.client import Helix
from lawtags_client.helix.types.evaluations import HelixEvaluationSpec
from lawtags_client.intents import SqliteIntents
from lawtags_client.services.watching import Patience

ROWS = b'{"reference": "contract", "answer": "contract"}\n{"reference": "tort", "answer": "copyright"}\n'
MODEL = "stub/tags"
WORKSPACE = "law"

# A gateway looks for new providers every few seconds; a busy machine takes longer.
_TRIES, _PAUSE = 150, 2.0
# The first look comes at once on a recording; a platform is not asked more often than this.
_PATIENCE = Patience(shortest=0.01, longest=4.0)


@dataclass(frozen=True, slots=True)
class PlatformCall:
    """A call and what is seen of its result.

    Args:
        name: for reports, unique.
        make: makes the call.
        see: what must be the same on every platform; by default, nothing.
        expected: what is seen.
        refused: what the error says where the platform refuses, which is then expected.
    """

    name: str
    make: Callable[[Helix], Awaitable[Any]]
    see: Callable[[Any], Any] = lambda _: None
    expected: Any = None
    refused: str | None = None


async def run(call: PlatformCall, helix: Helix) -> None:
    """Make a call, and check what is seen of it; the name of the workspace stands as WORKSPACE in texts."""
    try:
        result = await call.make(helix)
    except LawtagsError as error:
        if call.refused is None:
            raise AssertionError(f"{call.name}: {type(error).__name__}: {error}") from error
        assert call.refused in error.message.replace(helix.workspace, WORKSPACE), call.name
        assert error.hint, call.name
        return
    assert call.refused is None, call.name
    seen = call.see(result)
    assert seen == call.expected, f"{call.name}: {seen!r} is not {call.expected!r}"


def evaluation(source: str | None = None) -> HelixEvaluationSpec:
    """An evaluation that one of two rows passes, by rows of its own or by a file."""
    metric = metrics.exact_match("{{item.reference}}", "{{item.answer}}")
    rows = [json.loads(line) for line in ROWS.splitlines()]
    return HelixEvaluationSpec(dataset=source or rows, metrics=[metric])


def calls(model_url: str) -> list[PlatformCall]:
    """The calls, in their order.

    Args:
        model_url: of a model server as the platform reaches it.
    """

    async def listed(entries: AsyncIterator[Any]) -> list[str]:
        return [str(each.name) async for each in entries]

    async def scored(helix: Helix) -> list[list[Any]]:
        return [
            [row.row_index, *(score.value for score in row.metrics["exact-match"])]
            async for row in helix.evaluations.rows("tags-eval")
        ]

    async def download(helix: Helix) -> dict[str, int]:
        with tempfile.TemporaryDirectory() as folder:
            return dict((await helix.filesets.download("tags", Path(folder))).files)

    async def twice(helix: Helix) -> bool:
        first = await helix.evaluations.submit(evaluation(), name="tags-eval")
        return first.id == (await helix.evaluations.submit(evaluation(), name="tags-eval")).id

    async def chat(helix: Helix) -> str:
        """Ask through the gateway, which takes a while to know a provider."""
        models = helix.gateway.provider("stub")
        for _ in range(_TRIES):
            try:
                return (await models.complete(model=MODEL, prompt="tag this", max_tokens=8)).text
            except (NotFoundError, UpstreamError):
                await asyncio.sleep(_PAUSE)
        raise AssertionError("the gateway does not know the provider")

    def named(result: Any) -> Any:
        return result.name

    return [
        PlatformCall("platform", lambda h: h.is_ready(), bool, True),
        PlatformCall("create a workspace", lambda h: h.workspaces.ensure(name=h.workspace)),
        PlatformCall("the same workspace", lambda h: h.workspaces.ensure(name=h.workspace)),
        PlatformCall(
            "a workspace that exists",
            lambda h: h.workspaces.create(name=h.workspace),
            refused="already exists",
        ),
        PlatformCall("create a project", lambda h: h.projects.ensure(name="law"), named, "law"),
        PlatformCall(
            "create a fileset", lambda h: h.filesets.ensure(name="tags", purpose="dataset"), named, "tags"
        ),
        PlatformCall("list filesets", lambda h: listed(h.filesets.list()), list, ["tags"]),
        PlatformCall(
            "upload", lambda h: h.filesets.upload("tags", {"a/eval.jsonl": ROWS}), lambda r: len(r.sent), 1
        ),
        PlatformCall(
            "upload again",
            lambda h: h.filesets.upload("tags", {"a/eval.jsonl": ROWS}),
            lambda r: len(r.sent),
            0,
        ),
        PlatformCall("read a file", lambda h: h.filesets.read("tags", "a/eval.jsonl"), bytes, ROWS),
        PlatformCall("download", download, dict, {"a/eval.jsonl": len(ROWS)}),
        PlatformCall(
            "no such fileset", lambda h: h.filesets.get("nothing"), refused="Fileset 'nothing' not found"
        ),
        PlatformCall("create a secret", lambda h: h.secrets.ensure(name="key", value="not-a-secret")),
        PlatformCall("list secrets", lambda h: listed(h.secrets.list()), list, ["key"]),
        PlatformCall("create a model", lambda h: h.models.ensure(name="base", fileset="tags")),
        PlatformCall(
            "register an adapter",
            lambda h: h.adapters.register("base", name="lora", fileset=f"{h.workspace}/tags"),
            named,
            "lora",
        ),
        PlatformCall("list adapters", lambda h: listed(h.adapters.list()), list, ["lora"]),
        PlatformCall("create a provider", lambda h: h.providers.ensure(name="stub", host_url=model_url)),
        PlatformCall("chat by the provider", chat, str, " contract-law"),
        PlatformCall("execution profiles", lambda h: h.jobs.execution_profiles(), bool, True),
        PlatformCall("queue of steps", lambda h: h.jobs.queue(), lambda r: isinstance(r, list), True),
        PlatformCall("evaluate", twice, bool, True),
        PlatformCall(
            "evaluate in no workspace",
            lambda h: h.evaluations.submit(evaluation(), name="tags-eval", workspace="nowhere"),
            refused="the workspace 'nowhere' does not exist",
        ),
        PlatformCall(
            "wait",
            lambda h: h.jobs.wait("tags-eval", timeout=1500, patience=_PATIENCE),
            lambda r: r.status,
            "completed",
        ),
        PlatformCall(
            "scores",
            lambda h: h.evaluations.scores("tags-eval"),
            lambda r: r.means,
            {"exact-match.exact-match": 0.5},
        ),
        PlatformCall("scored rows", scored, list, [[0, 1.0], [1, 0.0]]),
        PlatformCall(
            "results",
            lambda h: h.evaluations.results("tags-eval"),
            lambda r: {"aggregate-scores", "row-scores"} <= {each.name for each in r},
            True,
        ),
        PlatformCall("log", lambda h: h.jobs.log_page("tags-eval", limit=5)),
        PlatformCall(
            "records", lambda h: listed(h.evaluations.records.list()), lambda r: "tags-eval" in r, True
        ),
        PlatformCall(
            "cancel what has ended", lambda h: h.jobs.cancel("tags-eval"), lambda r: r.status, "completed"
        ),
        PlatformCall("delete the job", lambda h: h.evaluations.delete("tags-eval"), bool, True),
        PlatformCall("no such job", lambda h: h.evaluations.find("tags-eval"), lambda r: r is None, True),
    ]


class Copying(Recording):
    """Passes requests on to a platform, and keeps them with its responses.

    Args:
        platform: its address.
    """

    def __init__(self, platform: str) -> None:
        super().__init__()
        self.platform = platform
        self.call = ""
        self.kept: list[Exchange] = []
        # Not through a proxy, and statuses are not errors here.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def next(self, method: str, path: str, body: bytes) -> Exchange | None:
        asked = urllib.request.Request(self.platform + path, data=body or None, method=method)
        asked.add_header(
            "content-type", "application/json" if body[:1] in b"{[" else "application/octet-stream"
        )
        try:
            with self._opener.open(asked, timeout=300) as response:
                status, headers, content = response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            status, headers, content = error.code, dict(error.headers), error.read()
        kept = {name.lower(): value for name, value in headers.items() if name.lower() == "content-type"}
        is_json = "application/json" in kept.get("content-type", "")
        answer = (json.loads(content) if is_json else content.decode()) if content else None
        sent = _decoded(body)
        found = Exchange(len(self.kept), self.call, "", method, path, {}, sent, status, kept, answer, None)
        same = [each for each in self.kept if (each.method, each.path) == (method, path)]
        # Of what is repeated until it changes, one is enough.
        last = same[-1] if same else None
        if last is None or (last.status, last.answer, last.body) != (status, answer, sent):
            self.kept.append(found)
        return found


def _decoded(body: bytes) -> Any:
    if not body:
        return None
    try:
        found = json.loads(body)
    except ValueError:
        return body.decode()
    return found if isinstance(found, dict) else body.decode()


class Keyed(Recording):
    """Gives the recorded responses of each request in their order, and repeats the last."""

    def next(self, method: str, path: str, body: bytes) -> Exchange | None:
        self.received.append((method, path, body))
        found = [each for each in self.script if (each.method, each.path) == (method, path)]
        if len(found) > 1:
            self.script.remove(found[0])
        return found[0] if found else None


async def record(platform: str) -> list[Exchange]:
    """Make all calls to a platform, and return what was sent and answered."""
    copying = Copying(platform)
    with (
        model_server(MODEL, f"{MODEL}-lora") as models,
        replaying(copying) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        intents = SqliteIntents(Path(folder) / "intents.sqlite")
        client = Helix(base_url=server.url, workspace=WORKSPACE, timeout=300, intents=intents)
        async with client as helix:
            for call in calls(models.url):
                copying.call = call.name
                print(call.name, flush=True)
                await run(call, helix)
    return copying.kept


def main() -> None:
    """Write a recording."""
    platform, path = sys.argv[1:]
    lines = []
    for each in asyncio.run(record(platform.rstrip("/"))):
        asked = {"method": each.method, "path": each.path, "headers": {}, "body": each.body}
        answered = {"status": each.status, "headers": each.response_headers, "body": each.answer}
        lines.append(
            json.dumps({"section": each.section, "note": "", "request": asked, "response": answered})
        )
    Path(path).write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


if __name__ == "__main__":
    main()
