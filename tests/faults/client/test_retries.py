"""What the client does when answers are late, lost, wrong or missing."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import ssl
from collections.abc import Callable
from datetime import UTC
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
from client_kit import BEGIN, Script, StillTime, client
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import (
    ConfigurationError,
    ConflictError,
    ConnectionFailedError,
    DeadlineExceededError,
    DoubtfulOutcomeError,
    LawtagsError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    ServerError,
    TransportError,
)
from lawtags_client.transport.retry import Failure, RetryPolicy, parse_retry_after
from lawtags_client.types.common import APIEndpoint
from lawtags_client.types.customizer import CustomizationJobRequest, Hyperparameters
from lawtags_client.types.evaluator import EvaluationTargetRequest, ModelTarget

JOB = {"id": "cust-1", "status": "created"}
OK = httpx.Response(200, json=JOB)
REQUEST = CustomizationJobRequest(
    config="a/b@v1", dataset="law/tags", hyperparameters=Hyperparameters(finetuning_type="lora")
)
LOST: list[Exception] = [
    httpx.RemoteProtocolError("Server disconnected without sending a response."),
    httpx.ReadTimeout("slow"),
    httpx.ReadError("reset"),
    httpx.WriteError("pipe"),
]


@pytest.mark.parametrize("loss", LOST, ids=lambda error: type(error).__name__)
async def test_lost_reply_to_a_create_is_sent_once_and_doubtful(loss: Exception, tmp_path: Path) -> None:
    script = Script([loss])
    with pytest.raises(DoubtfulOutcomeError) as caught:
        await client(script, tmp_path).customizer.jobs.create(REQUEST)
    assert len(script.requests) == 1
    assert caught.value.service == "customizer"
    assert caught.value.hint


@pytest.mark.parametrize("status", [408, 502, 504])
async def test_gateway_timeout_leaves_a_create_uncertain(status: int, tmp_path: Path) -> None:
    script = Script([httpx.Response(status, text="gateway")])
    with pytest.raises(DoubtfulOutcomeError):
        await client(script, tmp_path).customizer.jobs.create(REQUEST)
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(409, ConflictError), (500, ServerError), (503, ServerError)], ids=str
)
async def test_refused_create_is_not_repeated(status: int, kind: type[LawtagsError], tmp_path: Path) -> None:
    script = Script([httpx.Response(status, json={"detail": "no"})])
    with pytest.raises(kind):
        await client(script, tmp_path).customizer.jobs.create(REQUEST)
    assert len(script.requests) == 1


async def test_create_goes_out_again_where_nothing_was_sent(tmp_path: Path) -> None:
    script = Script([httpx.ConnectError("refused"), OK])
    job = await client(script, tmp_path).customizer.jobs.create(REQUEST)
    assert (job.id, len(script.requests)) == ("cust-1", 2)


async def test_create_goes_out_again_after_too_many_requests(tmp_path: Path) -> None:
    script = Script([httpx.Response(429, headers={"retry-after": "3"}), OK])
    time = StillTime()
    await client(script, tmp_path, time).customizer.jobs.create(REQUEST)
    assert len(script.requests) == 2
    assert time.slept[0] >= 3


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_transient_status_of_a_read_is_retried(status: int, tmp_path: Path) -> None:
    script = Script([httpx.Response(status), OK])
    assert (await client(script, tmp_path).customizer.jobs.get("cust-1")).id == "cust-1"
    assert len(script.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 501])
async def test_decided_status_of_a_read_is_not_retried(status: int, tmp_path: Path) -> None:
    script = Script([httpx.Response(status, json={"detail": "no"})])
    with pytest.raises(LawtagsError):
        await client(script, tmp_path).customizer.jobs.get("cust-1")
    assert len(script.requests) == 1


async def test_server_overrules_the_decision(tmp_path: Path) -> None:
    script = Script([httpx.Response(503, headers={"x-should-retry": "false"})])
    with pytest.raises(ServerError):
        await client(script, tmp_path).customizer.jobs.get("cust-1")
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ({"retry-after": "7"}, 7, 8),
        ({"retry-after": "1.5"}, 1.5, 2),
        ({"retry-after-ms": "2500"}, 2.5, 3),
        ({"retry-after": "Fri, 20 Jun 2025 12:00:20 GMT"}, 20, 21),
        ({"retry-after": "Fri, 20 Jun 2025 11:00:00 GMT"}, 0.25, 0.5),
        ({"retry-after": "-5"}, 0.25, 0.5),
        ({"retry-after": "0"}, 0.25, 0.5),
        ({"retry-after-ms": "0"}, 0.25, 0.5),
        ({"retry-after": "nan"}, 0.25, 0.5),
        ({"retry-after": "soon"}, 0.25, 0.5),
        ({}, 0.25, 0.5),
    ],
    ids=str,
)
async def test_retry_after_is_honored(
    header: dict[str, str], least: float, most: float, tmp_path: Path
) -> None:
    time = StillTime()
    await client(Script([httpx.Response(429, headers=header), OK]), tmp_path, time).customizer.jobs.get("c")
    assert least <= time.slept[0] <= most


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-0"}, 0.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "90"}, 90.0),
        ({"retry-after": "Fri, 20 Jun 2025 12:01:30 GMT"}, 90.0),
        ({"retry-after": "Fri, 20 Jun 2025 14:01:30 +0200"}, 90.0),
        ({"retry-after": "Fri, 20 Jun 2025 12:01:30 -0000"}, 90.0),
        ({"retry-after": "Fri, 20 Jun 2025 12:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 20 Jun 2025 11:59:59 GMT"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 20 Jun 2025 25:00:00 GMT"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "0", "retry-after": "7"}, 0.0),
        ({"retry-after-ms": "-1", "retry-after": "7"}, 0.0),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({}, None),
    ],
    ids=str,
)
def test_what_a_server_asks_for_is_read_to_the_second(headers: dict[str, str], seconds: float | None) -> None:
    assert parse_retry_after(headers, BEGIN) == seconds


@pytest.mark.parametrize("asked", [None, 0.0])
def test_a_server_that_asks_for_no_pause_gets_the_usual_one(asked: float | None) -> None:
    failure = Failure(RateLimitedError("busy"), passing=True, retry_after=asked)
    delays = [RetryPolicy().delay(retry, failure, 0.5) for retry in range(7)]
    assert delays == [0.375, 0.75, 1.5, 3.0, 6.0, 6.0, 6.0]


@given(
    value=st.one_of(
        st.text(alphabet="0123456789.eE+-naif ", max_size=12),
        st.floats().map(str),
        st.integers(-10, 10**12).map(str),
        st.datetimes(timezones=st.just(UTC)).map(lambda moment: format_datetime(moment, usegmt=True)),
    ),
    name=st.sampled_from(["retry-after", "retry-after-ms"]),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_no_pause_is_shorter_than_requested(value: str, name: str, chance: float) -> None:
    asked = parse_retry_after({name: value}, BEGIN)
    assert asked is None or (math.isfinite(asked) and asked >= 0)
    failure = Failure(RateLimitedError("busy"), passing=True, retry_after=asked)
    pause = RetryPolicy().delay(0, failure, chance)
    assert math.isfinite(pause) and pause >= max(asked or 0.0, 0.125)
    with contextlib.suppress(ValueError):
        seconds = float(value) / (1000 if name.endswith("-ms") else 1)
        if math.isfinite(seconds) and seconds > 0:
            assert pause >= seconds


async def test_wait_beyond_the_deadline_fails_at_once(tmp_path: Path) -> None:
    script, time = Script([httpx.Response(429, headers={"retry-after": "3600"})]), StillTime()
    with pytest.raises(RateLimitedError) as caught:
        await client(script, tmp_path, time).customizer.jobs.get("cust-1")
    assert caught.value.retry_after == 3600
    assert (len(script.requests), time.slept) == (1, [])


async def test_outage_ends_with_the_retries_and_their_delays_grow(tmp_path: Path) -> None:
    script, time = Script([httpx.Response(500, json={"detail": "broken"})]), StillTime()
    with pytest.raises(ServerError, match="broken"):
        await client(script, tmp_path, time, max_retries=4).customizer.jobs.get("cust-1")
    assert time.slept == [0.25, 0.5, 1.0, 2.0]


async def test_budget_keeps_an_outage_from_becoming_a_storm(tmp_path: Path) -> None:
    script = Script([httpx.Response(503)])
    nemo = client(script, tmp_path)
    for _ in range(200):
        with pytest.raises(ServerError):
            await nemo.customizer.jobs.get("cust-1")
    before = len(script.requests)
    for _ in range(100):
        with pytest.raises(ServerError):
            await nemo.customizer.jobs.get("cust-1")
    assert len(script.requests) - before == 100


async def test_delete_whose_answer_was_lost_and_then_finds_nothing_has_happened(tmp_path: Path) -> None:
    script = Script([httpx.ReadError("reset"), httpx.Response(404, json={"detail": "gone"})])
    await client(script, tmp_path).entity_store.models.delete("law/tagger")
    assert len(script.requests) == 2


async def test_delete_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        await client(Script([httpx.Response(404)]), tmp_path).entity_store.models.delete("law/tagger")


HTML = httpx.Response(200, html="<html><body>Please sign in</body></html>")


@pytest.mark.parametrize("call", ["get", "create"])
async def test_html_in_place_of_json_is_an_error_with_the_url(call: str, tmp_path: Path) -> None:
    script = Script([HTML])
    jobs = client(script, tmp_path).customizer.jobs
    with pytest.raises(ProtocolError, match="Please sign in") as caught:
        await (jobs.get("cust-1") if call == "get" else jobs.create(REQUEST))
    assert "platform_url" in (caught.value.hint or "")
    assert "nemo.test" in str(caught.value)
    # A create is never repeated blindly.
    assert len(script.requests) == (5 if call == "get" else 1)


PAGES = {
    "page": httpx.Response(200, html="<!doctype html><title>Starting</title>", headers={"server": "nginx"}),
    "page without a type": httpx.Response(200, content=b"  <html><body>Bad gateway</body></html>"),
    "type without a page": httpx.Response(200, content=b"", headers={"content-type": "TEXT/HTML; charset=x"}),
    "nothing": httpx.Response(200, content=b""),
    "blanks": httpx.Response(200, content=b"\r\n \n", headers={"content-type": "application/json"}),
}


@pytest.mark.parametrize("page", PAGES)
async def test_page_of_a_gateway_is_read_again(page: str, tmp_path: Path) -> None:
    script = Script([PAGES[page], PAGES[page], OK])
    assert (await client(script, tmp_path).customizer.jobs.get("cust-1")).id == "cust-1"
    assert len(script.requests) == 3


@pytest.mark.parametrize("page", PAGES)
async def test_page_that_stays_is_told_with_its_address(page: str, tmp_path: Path) -> None:
    script = Script([PAGES[page]])
    with pytest.raises(ProtocolError, match=r"expected JSON from http.*nemo\.test") as caught:
        await client(script, tmp_path, max_retries=2).customizer.jobs.get("cust-1")
    assert len(script.requests) == 3
    assert "proxy" in (caught.value.hint or "")
    assert page != "page" or ("'Starting'" in str(caught.value) and "nginx" in str(caught.value))


@pytest.mark.parametrize("page", PAGES)
async def test_page_never_repeats_a_create(page: str, tmp_path: Path) -> None:
    script = Script([PAGES[page], OK])
    with pytest.raises((ProtocolError, DoubtfulOutcomeError)):
        await client(script, tmp_path).customizer.jobs.create(REQUEST)
    assert [request.method for request in script.requests].count("POST") == 1


@pytest.mark.parametrize("page", ["page", "page without a type", "type without a page"])
async def test_page_in_place_of_a_receipt_is_no_delete(page: str, tmp_path: Path) -> None:
    script = Script([PAGES[page]])
    with pytest.raises(ProtocolError, match="expected JSON"):
        await client(script, tmp_path, max_retries=1).entity_store.models.delete("law/tagger")
    # One behind which the delete did happen.
    script = Script([PAGES[page], httpx.Response(404, json={"detail": "gone"})])
    await client(script, tmp_path).entity_store.models.delete("law/tagger")


async def test_page_for_some_requests_costs_no_row(tmp_path: Path) -> None:
    asked = [0]

    def answer(request: httpx.Request) -> httpx.Response:
        asked[0] += 1
        if asked[0] % 3 == 1:
            return PAGES["page"]
        prompt = json.loads(request.content)["prompt"]
        prompts = prompt if isinstance(prompt, list) else [prompt]
        return httpx.Response(200, json={"choices": [{"index": n, "text": p} for n, p in enumerate(prompts)]})

    nemo = client(answer, tmp_path)
    found = await nemo.inference.complete_many([f"p{row}" for row in range(40)], model="m")
    assert [outcome.error for outcome in found] == [None] * 40


async def test_truncated_json_is_retried_then_reported(tmp_path: Path) -> None:
    cut = httpx.Response(200, content=b'{"id": "cust-', headers={"x-request-id": "r-1"})
    script = Script([cut, OK])
    assert (await client(script, tmp_path).customizer.jobs.get("cust-1")).id == "cust-1"
    script = Script([cut])
    with pytest.raises(ProtocolError) as caught:
        await client(script, tmp_path, max_retries=1).customizer.jobs.get("cust-1")
    assert (len(script.requests), caught.value.request_id) == (2, "r-1")


async def test_truncated_answer_to_a_create_is_doubtful(tmp_path: Path) -> None:
    script = Script([httpx.Response(200, content=b'{"id": "cust-')])
    with pytest.raises(DoubtfulOutcomeError):
        await client(script, tmp_path).customizer.jobs.create(REQUEST)
    assert len(script.requests) == 1


@pytest.mark.parametrize("body", ["[1, 2]", '"text"', "7", '{"status": "created"}', '{"id": ["x"]}'])
async def test_json_of_another_shape_is_not_taken_for_a_job(body: str, tmp_path: Path) -> None:
    with pytest.raises(ProtocolError):
        await client(Script([httpx.Response(200, text=body)]), tmp_path).customizer.jobs.get("cust-1")


def _badly_compressed(request: httpx.Request) -> httpx.Response:
    async def body():  # type: ignore[no-untyped-def]
        yield b"not gzip"

    return httpx.Response(200, headers={"content-encoding": "gzip"}, content=body())


async def test_spoilt_compression_is_a_protocol_error(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError):
        await client(_badly_compressed, tmp_path, max_retries=1).customizer.jobs.get("cust-1")


async def test_unreachable_service_names_host_and_setting(tmp_path: Path) -> None:
    nemo = client(Script([httpx.ConnectError("Connection refused")]), tmp_path, max_retries=0)
    with pytest.raises(ConnectionFailedError) as caught:
        await nemo.customizer.jobs.get("cust-1")
    assert "nemo.test" in str(caught.value) and "platform_url" in str(caught.value)


async def test_bad_certificate_is_not_retried_and_names_the_setting(tmp_path: Path) -> None:
    error = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed certificate")
    script = Script([error])
    with pytest.raises(ConnectionFailedError, match="ca_file"):
        await client(script, tmp_path).customizer.jobs.get("cust-1")
    assert len(script.requests) == 1


async def test_slow_read_is_a_deadline(tmp_path: Path) -> None:
    with pytest.raises(DeadlineExceededError):
        await client(Script([httpx.ReadTimeout("slow")]), tmp_path, max_retries=1).customizer.jobs.get("c")


async def test_nan_is_never_sent(tmp_path: Path) -> None:
    script = Script([OK])
    nemo = client(script, tmp_path)
    training = Hyperparameters(finetuning_type="lora", learning_rate=float("inf"))
    request = CustomizationJobRequest(config="a/b@v1", dataset="law/tags", hyperparameters=training)
    with pytest.raises(ConfigurationError, match="learning_rate"):
        await nemo.customizer.jobs.create(request)
    (outcome,) = await nemo.inference.complete_many(["x"], model="m", extra_body={"top_k": float("nan")})
    assert isinstance(outcome.error, ConfigurationError)
    assert script.requests == []


NAMES = ["../x", "a/b", "..", ".", "", "a\\b", "%2e%2e", "a\0b", "x" * 300, "a?b", "a#b", "a\nb", " a"]


@pytest.mark.parametrize("name", NAMES, ids=repr)
async def test_name_with_path_traversal_is_rejected_before_the_request(name: str, tmp_path: Path) -> None:
    script = Script([OK])
    nemo = client(script, tmp_path)
    calls: list[Callable[[], object]] = [
        lambda: nemo.customizer.jobs.get(name),
        lambda: nemo.customizer.status(name),
        lambda: nemo.customizer.cancel(name),
        lambda: nemo.entity_store.models.get(f"law/{name}"),
        lambda: nemo.entity_store.namespaces.get(name),
        lambda: nemo.data_store.files(f"law/{name}"),
        lambda: nemo.evaluator.jobs.results(name),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError):
            await call()  # type: ignore[misc]
    assert script.requests == []


async def test_versions_stay_raw_in_paths(tmp_path: Path) -> None:
    script = Script([httpx.Response(200, json={"name": "x"})])
    await client(script, tmp_path).customizer.configs.get("meta/llama-3.2-1b@v1.0.0+A100")
    assert script.paths == ["GET /v1/customization/configs/meta/llama-3.2-1b@v1.0.0+A100"]


async def test_redirect_to_another_host_never_carries_the_token(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "nemo.test":
            return httpx.Response(307, headers={"location": "http://elsewhere.test/v1/x"})
        return OK

    seen: list[httpx.Request] = []

    def record(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answer(request)

    nemo = client(record, tmp_path, token="canary-secret-1")
    await nemo.customizer.jobs.get("cust-1")
    assert seen[0].headers["authorization"] == "Bearer canary-secret-1"
    assert "authorization" not in seen[1].headers
    assert "canary" not in str(seen[1].headers)
    with pytest.raises(ProtocolError, match=r"elsewhere\.test"):
        await nemo.customizer.jobs.create(REQUEST)


async def test_redirect_on_the_same_host_is_followed_with_body_and_token(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/customization/jobs":
            return httpx.Response(307, headers={"location": "/v1/customization/jobs/"})
        assert request.headers["authorization"] == "Bearer canary-secret-1"
        assert b"law/tags" in request.read()
        return OK

    nemo = client(answer, tmp_path, token="canary-secret-1")
    assert (await nemo.customizer.jobs.create(REQUEST)).id == "cust-1"


@pytest.mark.parametrize("back", ["http://elsewhere.test/2", "/2", "http://nemo.test/2"])
async def test_a_server_that_a_redirect_led_to_gets_no_token_by_redirects_of_its_own(
    back: str, tmp_path: Path
) -> None:
    steps = {"/v1/customization/jobs/cust-1": "http://elsewhere.test/1", "/1": back}
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        location = steps.get(request.url.path)
        return httpx.Response(307, headers={"location": location}) if location else OK

    await client(answer, tmp_path, token="canary-secret-1").customizer.jobs.get("cust-1")
    assert ["authorization" in request.headers for request in seen] == [True, False, False]


@pytest.mark.parametrize(
    ("location", "url", "host"),
    [
        ("/moved", "http://nemo.test/moved", "nemo.test"),
        ("http://nemo.test:80/moved", "http://nemo.test/moved", "nemo.test"),
        ("https://nemo.test/moved", "https://nemo.test/moved", "nemo.test"),
        ("http://nemo.test:8080/moved", "http://nemo.test:8080/moved", "nemo.test:8080"),
        ("http://elsewhere.test/moved", "http://elsewhere.test/moved", "elsewhere.test"),
        ("http://[::1]:81/moved?a=b", "http://[::1]:81/moved?a=b", "[::1]:81"),
    ],
)
async def test_a_redirected_request_names_the_host_that_it_goes_to(
    location: str, url: str, host: str, tmp_path: Path
) -> None:
    script = Script([httpx.Response(302, headers={"location": location}), OK])
    await client(script, tmp_path).customizer.jobs.get("cust-1")
    first, second = script.requests
    assert first.headers.get_list("host") == ["nemo.test"]
    assert (str(second.url), second.headers.get_list("host")) == (url, [host])


async def test_endless_redirects_end(tmp_path: Path) -> None:
    script = Script([httpx.Response(302, headers={"location": "/again"})])
    with pytest.raises(ProtocolError, match="loops"):
        await client(script, tmp_path).customizer.jobs.get("cust-1")


async def test_no_secret_in_any_log_message_or_repr(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    secrets = {
        "token": "canary-platform-token",
        "data_store_token": "canary-store-token",
        "inference_token": "canary-inference-token",
        "wandb_api_key": "canary-wandb-key",
    }

    def echo(request: httpx.Request) -> httpx.Response:
        told = {"detail": f"bad header {request.headers.get('authorization')} {request.read().decode()}"}
        return httpx.Response(400, json=told, headers={"x-request-id": "r-7"})

    nemo = client(echo, tmp_path, **secrets)
    caplog.set_level(logging.DEBUG)
    endpoint = APIEndpoint(url="http://m.test/v1/completions", model_id="m", api_key="canary-endpoint-key")
    target = EvaluationTargetRequest(type="model", model=ModelTarget(api_endpoint=endpoint))
    errors: list[LawtagsError] = []
    for call in (
        nemo.customizer.jobs.create(REQUEST, wandb_api_key="canary-wandb-key"),
        nemo.evaluator.targets.create(target),
        nemo.data_store.namespaces.create("law"),
        nemo.inference.models(),
        nemo.evaluator.evaluate(config="law/config", target=target),
    ):
        with pytest.raises(LawtagsError) as caught:
            await call
        errors.append(caught.value)
    told = "".join(f"{error} {error!r} {error.as_dict()}" for error in errors)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    everything = (
        told + caplog.text + repr(nemo) + repr(nemo.settings) + repr(target) + written.decode("latin1")
    )
    assert "r-7" in told
    assert "canary" not in everything


async def test_errors_say_where_and_what(tmp_path: Path) -> None:
    detail = [{"loc": ["body", "hyperparameters", "epochs"], "msg": "Field required", "type": "missing"}]
    answer = httpx.Response(422, json={"detail": detail}, headers={"x-request-id": "r-9"})
    with pytest.raises(LawtagsError) as caught:
        await client(Script([answer]), tmp_path).customizer.jobs.create(REQUEST)
    error = caught.value
    assert error.message == "body.hyperparameters.epochs: Field required"
    assert (error.status, error.request_id, error.service) == (422, "r-9", "customizer")
    assert error.url == "http://nemo.test/v1/customization/jobs"


async def test_broken_connection_is_a_transport_error_after_retries(tmp_path: Path) -> None:
    script = Script([httpx.RemoteProtocolError("peer closed connection")])
    with pytest.raises(TransportError, match="peer closed"):
        await client(script, tmp_path, max_retries=2).customizer.jobs.get("cust-1")
    assert len(script.requests) == 3


async def test_signed_links_are_not_logged_with_their_signature(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    link = "http://storage.test/blob?X-Amz-Signature=canary-sig&part=1&access_token=canary-token"

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/batch"):
            body = first_object(request)
            actions = {"upload": {"href": link, "header": {"x-key": "canary-header"}}}
            return httpx.Response(200, json={"objects": [{"oid": body["oid"], "actions": actions}]})
        if request.url.path.endswith("/preupload/main"):
            return httpx.Response(200, json={"files": [{"path": "a.bin", "uploadMode": "lfs"}]})
        if "/tree/" in request.url.path:
            return httpx.Response(200, json=[])
        return httpx.Response(403, json={"detail": "expired"})

    def first_object(request: httpx.Request) -> dict[str, str]:
        found: dict[str, str] = json.loads(request.read())["objects"][0]
        return found

    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpx")  # the command line quietens it for its process
    with pytest.raises(LawtagsError) as caught:
        await client(answer, tmp_path).data_store.upload_files("law/tags", {"a.bin": b"x"})
    assert "storage.test/blob" in caplog.text
    assert "part=1" in caplog.text
    assert "canary" not in caplog.text + str(caught.value) + repr(caught.value.as_dict())
