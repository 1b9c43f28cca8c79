"""Event hooks, raw responses and OpenTelemetry spans: what they show, and what they never show."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import PLATFORM, Script, StillTime, client

from lawtags_client import NeMo, sync
from lawtags_client.errors import ConfigurationError, DoubtfulOutcomeError, LawtagsError, ProtocolError
from lawtags_client.transport.hooks import EventHooks, RequestEvent, ResponseEvent
from lawtags_client.types.customizer import CustomizationJobRequest

JOB = httpx.Response(
    200, json={"id": "cust-1", "status": "running"}, headers={"x-request-id": "r-1", "set-cookie": "s=canary"}
)
REQUEST = CustomizationJobRequest.model_validate(
    {"config": "a/b@v1", "dataset": "law/tags", "hyperparameters": {"finetuning_type": "lora"}}
)


def observed(server: Callable[[httpx.Request], httpx.Response], hooks: EventHooks, **options: Any) -> NeMo:
    return NeMo(
        base_url=PLATFORM,
        clock=StillTime().clock(),
        handler=httpx.MockTransport(server),
        event_hooks=hooks,
        **options,
    )


async def test_hooks_see_every_attempt() -> None:
    seen: list[RequestEvent | ResponseEvent] = []

    async def answered(event: ResponseEvent) -> None:
        seen.append(event)

    script = Script([httpx.Response(503), httpx.ReadError("broken"), JOB])
    nemo = observed(script, {"request": [seen.append], "response": [answered]})
    await nemo.with_options(timeout=30).customizer.jobs.get("cust-1")
    requests = [event for event in seen if isinstance(event, RequestEvent)]
    responses = [event for event in seen if isinstance(event, ResponseEvent)]
    assert [event.resend for event in requests] == [0, 1, 2]
    assert {(event.method, event.service, event.url) for event in requests} == {
        ("GET", "customizer", f"{PLATFORM}/v1/customization/jobs/cust-1")
    }
    assert [event.status for event in responses] == [503, None, 200]
    assert [event.error for event in responses] == [None, "ReadError", None]
    assert responses[-1].request_id == "r-1"
    assert [event.request for event in responses] == requests


async def test_headers_of_a_request_hook_are_sent_to_the_service_only() -> None:
    away = httpx.Response(307, headers={"location": "http://elsewhere.test/x"})
    script = Script([away, JOB])
    nemo = observed(script, {"request": [lambda event: {"X-Signature": f"canary-{event.method}"}]})
    await nemo.customizer.jobs.get("cust-1")
    assert script.requests[0].headers["x-signature"] == "canary-GET"
    assert "x-signature" not in script.requests[1].headers


@pytest.mark.parametrize("result", [{"host": "elsewhere.test"}, {"x": "a\nb"}, ["x"], 5], ids=repr)
async def test_a_request_hook_that_fails_sends_nothing(result: Any) -> None:
    script = Script([JOB])
    nemo = observed(script, {"request": [lambda event: result]})
    with pytest.raises(ConfigurationError):
        await nemo.customizer.jobs.create(REQUEST)
    assert script.requests == []


async def test_a_response_hook_that_fails_loses_no_response(caplog: pytest.LogCaptureFixture) -> None:
    def breaks(event: ResponseEvent) -> None:
        raise RuntimeError("canary")

    script = Script([JOB])
    job = await observed(script, {"response": [breaks]}).customizer.jobs.create(REQUEST)
    assert (job.id, len(script.requests)) == ("cust-1", 1)
    assert "breaks" in caplog.text and "canary" not in caplog.text


async def test_no_hook_is_shown_a_secret_nor_any_message_what_a_hook_has_added() -> None:
    seen: list[object] = []

    def server(request: httpx.Request) -> httpx.Response:
        told = {**dict(request.headers), "location": "http://s.test/x?sig=canary-sig"}
        headers = {"location": told["location"], "x-echo": told["authorization"], "set-cookie": "a=canary-c"}
        return httpx.Response(400, json={"detail": str(told)}, headers=headers)

    def sign(event: RequestEvent) -> dict[str, str]:
        seen.append(event)
        return {"x-signature": "canary-signature"}

    nemo = observed(
        server,
        {"request": [sign], "response": [seen.append]},
        token="canary-token",
        headers={"x-pass": "canary-pass", "x-team": "law"},
    )
    with pytest.raises(LawtagsError) as caught:
        await nemo.customizer.jobs.create(
            REQUEST, wandb_api_key="canary-wandb", extra_headers={"X-Once": "canary-once"}
        )
    assert len(seen) == 2
    assert "canary" not in f"{seen!r} {caught.value} {caught.value.as_dict()}"
    assert "law" in repr(seen[0])


async def test_hooks_change_nothing_about_a_lost_create() -> None:
    script = Script([httpx.ReadError("lost")])
    seen: list[ResponseEvent] = []
    nemo = observed(script, {"response": [seen.append]})
    with pytest.raises(DoubtfulOutcomeError):
        await nemo.customizer.jobs.create(REQUEST)
    assert (len(script.requests), len(seen)) == (1, 1)


async def test_raw_response_has_status_headers_body_and_what_was_read(tmp_path: Path) -> None:
    nemo = client(Script([JOB]), tmp_path)
    raw = await nemo.with_raw_response(nemo.customizer.jobs.get)("cust-1")
    assert (raw.status, raw.headers["X-Request-Id"], raw.parsed.id) == (200, "r-1", "cust-1")
    assert raw.request_id == "r-1"
    assert json.loads(raw.body)["status"] == "running"
    assert raw.url == f"{PLATFORM}/v1/customization/jobs/cust-1"
    assert "canary" not in repr(raw)
    made = await nemo.with_raw_response(nemo.customizer.jobs.create)(REQUEST, extra_headers={"x-team": "law"})
    assert made.parsed.id == "cust-1"
    with pytest.raises(LawtagsError):
        failing = client(Script([httpx.Response(404)]), tmp_path)
        await failing.with_raw_response(failing.customizer.jobs.get)("cust-1")


async def test_what_receives_no_response_has_no_raw_one(tmp_path: Path) -> None:
    async def idle() -> None:
        return None

    with pytest.raises(ProtocolError):
        await client(Script([JOB]), tmp_path).with_raw_response(idle)()


def test_blocking_client_has_raw_responses(tmp_path: Path) -> None:
    with sync.NeMo.of(client(Script([JOB]), tmp_path)) as nemo:
        raw = nemo.with_raw_response(nemo.customizer.job)("cust-1")
        assert (raw.status, type(raw.parsed)) == (200, sync.SyncJob)


SPANS = """
import asyncio, httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from lawtags_client import NeMo
from lawtags_client.errors import LawtagsError
from lawtags_client.transport.clock import Clock

exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
answers = iter([
    httpx.Response(503),
    httpx.ReadError("canary-text"),
    httpx.Response(307, headers={"location": "http://elsewhere.test/x?sig=canary-sig"}),
    httpx.Response(200, json={"id": "cust-1"}),
])
parents = []

def server(request):
    parents.append(request.headers.get("traceparent"))
    answer = next(answers)
    if isinstance(answer, Exception):
        raise answer
    return answer

async def nap(seconds): pass

async def main():
    nemo = NeMo(base_url="http://nemo.test", token="canary-token", headers={"x-pass": "canary-pass"},
                handler=httpx.MockTransport(server), clock=Clock(sleep=nap))
    with trace.get_tracer("program").start_as_current_span("outer"):
        await nemo.customizer.jobs.get("cust-1")

asyncio.run(main())
*spans, outer = exporter.get_finished_spans()
assert [span.name for span in spans] == ["GET customizer"] * 4, spans
assert {span.parent.span_id for span in spans} == {outer.context.span_id}
assert [span.attributes.get("http.response.status_code") for span in spans] == [503, None, 307, 200]
assert [span.attributes.get("error.type") for span in spans] == ["503", "ReadError", None, None]
assert [span.attributes.get("http.request.resend_count") for span in spans] == [None, 1, 2, 2]
assert [bool(parent) for parent in parents] == [True, True, True, False], parents
assert spans[0].attributes["server.port"] == 80 and spans[0].attributes["lawtags.service"] == "customizer"
text = " ".join(span.to_json() for span in spans)
assert "canary" not in text, text
"""


def test_spans_are_recorded_where_a_program_uses_opentelemetry() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", SPANS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_opentelemetry_is_not_loaded_for_programs_that_do_not_use_it() -> None:
    code = (
        "import asyncio, httpx, sys\n"
        "from lawtags_client import NeMo\n"
        "handler = httpx.MockTransport(lambda request: httpx.Response(200, json={'id': 'cust-1'}))\n"
        "nemo = NeMo(base_url='http://nemo.test', handler=handler)\n"
        "asyncio.run(nemo.customizer.jobs.get('cust-1'))\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
