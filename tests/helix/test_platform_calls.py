"""The same calls on every platform with the dialect of Helix: recorded, embedded, and running ones."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import secrets
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from model_server import model_server
from platform_calls import MODEL, WORKSPACE, Keyed, calls, evaluation, run
from replay import replaying
from shared_launcher import shared_launcher
from transcripts import RECORDED, Exchange, masked, read_exchange

from lawtags_client.errors import APIError, ConfigurationError, NotFoundError
from lawtags_client.helix.client import Helix
from lawtags_client.intents import FIELD, SqliteIntents
from lawtags_client.platform.checks import check_helix, check_platform
from lawtags_client.platform.choice import detect, speaks_helix
from lawtags_client.settings import Settings
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

RECORDINGS = sorted(RECORDED.glob("nemo-platform-*.jsonl.gz"))
RUNNING = os.environ.get("LAWTAGS_NEMO_PLATFORM_URL")


def recorded(path: Path) -> list[Exchange]:
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return [read_exchange(number, json.loads(line)) for number, line in enumerate(lines)]


async def make_all(url: str, workspace: str, model_url: str, intents: Path) -> None:
    client = Helix(base_url=url, workspace=workspace, timeout=300, intents=SqliteIntents(intents))
    async with client as helix:
        for call in calls(model_url):
            await run(call, helix)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name.removesuffix(".jsonl.gz"))
def test_calls_are_answered_as_recorded(path: Path, tmp_path: Path) -> None:
    recording = Keyed(recorded(path))
    sent = changes((each.method, each.path, each.content) for each in recording.script)
    with replaying(recording) as server:
        asyncio.run(make_all(server.url, WORKSPACE, "http://127.0.0.1:1", tmp_path / "intents.sqlite"))
    assert changes(recording.received) == sent
    # Which name the service has is asked once.
    asked = Counter(path for _, path, _ in recording.received if path.endswith("/v1/healthz"))
    assert asked == {"/apis/evals/v1/healthz": 1, "/apis/evaluator/v1/healthz": 1}


def changes(requests: Iterable[tuple[str, str, bytes | None]]) -> list[tuple[str, str, str]]:
    """The requests that change something, each once, without what differs from one client to the next."""
    found: dict[tuple[str, str, str], None] = {}
    for method, path, body in requests:
        if method not in ("GET", "HEAD"):
            found[method, path, plain(body or b"")] = None
    return list(found)


def plain(body: bytes) -> str:
    """A body without its intent, and with masks for addresses and ids."""
    try:
        sent = json.loads(body)
    except ValueError:
        return body.decode()
    if isinstance(sent.get("custom_fields"), dict):
        sent["custom_fields"].pop(FIELD, None)
    return json.dumps(masked(sent), sort_keys=True)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Any:
    options = StackOptions(dialect="helix", refresh_interval=0.1)
    folder = tmp_path_factory.mktemp("calls") / "stack"
    with StackThread(folder, options=options, launcher=shared_launcher()) as thread:
        yield thread


def test_the_embedded_platform_answers_the_same_calls(stack: StackThread, tmp_path: Path) -> None:
    with model_server(MODEL, f"{MODEL}-lora") as models:
        asyncio.run(make_all(stack.platform_url, "calls", models.url, tmp_path / "intents.sqlite"))


@pytest.mark.skipif(RUNNING is None, reason="LAWTAGS_NEMO_PLATFORM_URL is not set")
def test_a_running_platform_answers_the_same_calls(tmp_path: Path) -> None:
    workspace = f"t-{secrets.token_hex(4)}"
    with model_server(MODEL, f"{MODEL}-lora") as models:
        asyncio.run(make_all(str(RUNNING), workspace, models.url, tmp_path / "intents.sqlite"))


def answering(**services: Any) -> httpx.MockTransport:
    """Answers the health of services, by name with ``_`` for ``-``; a number is a status."""

    def handle(request: httpx.Request) -> httpx.Response:
        parts = request.url.path.strip("/").split("/")
        name = parts[1] if parts[-1] == "healthz" else parts[-1]
        answer = services.get(name.replace("-", "_"), 404)
        if isinstance(answer, int):
            return httpx.Response(answer, json={"detail": "Not Found"})
        return httpx.Response(200, json=answer)

    return httpx.MockTransport(handle)


INFO = {"platform_version": "1.0"}
TRAINS = {"contributors": ["automodel", "rl"]}


@pytest.mark.parametrize(
    ("services", "shown", "evaluation_service"),
    [
        ({"evals": {}, "customization": TRAINS}, "NeMo Helix 1.0, trains with automodel, rl", "evals"),
        (
            {"evaluator": {}, "customization": TRAINS},
            "nemo-platform 1.0, trains with automodel, rl",
            "evaluator",
        ),
        ({"evaluator": {}}, "nemo-platform 1.0", "evaluator"),
        ({"evals": {}}, "NeMo Helix 1.0", "evals"),
        ({"customization": TRAINS}, "NeMo Helix 1.0, trains with automodel, rl", None),
        ({}, "nemo-platform 1.0", None),
    ],
)
def test_what_a_platform_can_do_is_asked(services: Any, shown: str, evaluation_service: str | None) -> None:
    settings = Settings(platform_url="http://platform.test")
    handler = answering(cluster_info=INFO, **services)
    found = asyncio.run(detect(settings, handler=handler))
    assert (str(found), found.evaluation) == (shown, evaluation_service)
    assert asyncio.run(speaks_helix(settings, handler=handler))
    if shown.startswith("NeMo Helix") and "customization" in services:
        assert asyncio.run(speaks_helix(settings, training=True, handler=handler))
        return
    reason = "finds jobs by name alone" if "customization" in services else "has no customization service"
    with pytest.raises(ConfigurationError, match=reason):
        asyncio.run(speaks_helix(settings, training=True, handler=handler))


def test_a_customization_service_without_backends_cannot_train() -> None:
    handler = answering(cluster_info=INFO, evaluator={}, customization={"contributors": []})
    found = asyncio.run(detect(Settings(platform_url="http://platform.test"), handler=handler))
    assert "no customization service" in (found.obstacle or "")


def test_the_doctor_says_what_the_platform_lacks() -> None:
    settings = Settings(platform_url="http://platform.test", dialect="helix", max_retries=0)
    (platform,) = asyncio.run(check_platform(settings, handler=answering(cluster_info=INFO, evaluator={})))
    assert (platform.state, platform.finding) == ("ok", "nemo-platform 1.0")
    found = {
        each.what: each
        for each in asyncio.run(check_helix(settings, handler=answering(cluster_info=INFO, evaluator={})))
    }
    assert (found["evaluation"].state, found["training"].state) == ("ok", "failed")
    assert found["evaluation"].finding.startswith("/apis/evaluator")
    assert "customization service" in (found["training"].fix or "")
    empty = asyncio.run(check_helix(settings, handler=answering(cluster_info=INFO)))
    assert {each.what for each in empty if each.state == "failed"} >= {"evaluation", "training"}


def submit(handler: httpx.MockTransport, folder: Path) -> None:
    async def work() -> None:
        intents = SqliteIntents(folder / "intents.sqlite")
        client = Helix(base_url="http://platform.test", handler=handler, max_retries=0, intents=intents)
        async with client as helix:
            await helix.evaluations.submit(evaluation(), name="tags-eval")

    asyncio.run(work())


def test_a_platform_without_an_evaluation_service_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no evaluation service") as caught:
        submit(answering(cluster_info=INFO), tmp_path)
    assert "evaluator" in (caught.value.hint or "")


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_service_that_does_not_say_its_name_is_not_taken_for_missing(status: int, tmp_path: Path) -> None:
    with pytest.raises(APIError) as caught:
        submit(answering(evals=status, evaluator={}), tmp_path)
    assert caught.value.status == status
    assert not isinstance(caught.value, NotFoundError)


def test_the_principal_is_named_to_both_platforms() -> None:
    seen: list[httpx.Headers] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(200, json=INFO)

    async def ask() -> None:
        handler = httpx.MockTransport(handle)
        async with Helix(base_url="http://platform.test", principal="service:jobs", handler=handler) as helix:
            await helix.cluster_info()

    asyncio.run(ask())
    names = ("x-nhx-principal-id", "x-nmp-principal-id")
    assert [seen[0].get(name) for name in names] == ["service:jobs", "service:jobs"]
