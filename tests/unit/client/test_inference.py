"""Many prompts against a server that misbehaves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import StillTime, client
from inference_servers import MODEL, SERVERS, nim_1

from lawtags_client import tag
from lawtags_client.errors import BadRequestError, LawtagsError, ProtocolError, ServerError
from lawtags_client.services.inference.completions import first_token
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.types.inference import ChatCompletionRequest, ChatMessage


class Nim:
    """Echoes each prompt, within the limits it is given."""

    def __init__(self, **limits: Any) -> None:
        self.limits = limits
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.read())
        self.bodies.append(body)
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        if self.limits.get("busy") and len(self.bodies) <= self.limits["busy"]:
            return httpx.Response(429, headers={"retry-after": "5"}, json={"detail": "busy"})
        if self.limits.get("no_lists") and isinstance(body["prompt"], list):
            return httpx.Response(422, json={"detail": "prompt: str type expected"})
        if "bad" in prompts:
            return httpx.Response(400, json={"detail": "too long"})
        if "broken" in prompts:
            return httpx.Response(500, json={"detail": "broken"})
        choices = [
            {"index": n, "text": f" {prompt}", "logprobs": {"top_logprobs": [{f" {prompt}": -0.1}]}}
            for n, prompt in enumerate(prompts)
        ]
        return httpx.Response(200, json={"choices": list(reversed(choices))})


PROMPTS = [f"p{number}" for number in range(20)]


async def test_prompts_travel_together_and_answers_find_their_rows(tmp_path: Path) -> None:
    nim = Nim()
    outcomes = await client(nim, tmp_path).inference.complete_many(PROMPTS, model="m", logprobs=20)
    assert [outcome.value.text for outcome in outcomes if outcome.value] == [f" {p}" for p in PROMPTS]
    assert len(nim.bodies) == 3
    assert all(body["logprobs"] == 20 and body["max_tokens"] == 1 for body in nim.bodies)
    assert first_token(outcomes[4].value) == {" p4": -0.1}  # type: ignore[arg-type]


async def test_server_without_lists_gets_single_prompts_from_then_on(tmp_path: Path) -> None:
    nim = Nim(no_lists=True)
    inference = client(nim, tmp_path).inference
    outcomes = await inference.complete_many(PROMPTS, model="m", concurrency=1)
    assert all(outcome.value for outcome in outcomes)
    assert sum(isinstance(body["prompt"], list) for body in nim.bodies) <= 2
    before = len(nim.bodies)
    await inference.complete_many(PROMPTS, model="m")
    assert len(nim.bodies) - before == len(PROMPTS)


@pytest.mark.parametrize("row", ["bad", "broken"])
async def test_one_bad_row_hurts_no_other(row: str, tmp_path: Path) -> None:
    prompts = [*PROMPTS[:5], row, *PROMPTS[5:]]
    size = 8 if row == "bad" else 1
    outcomes = await client(Nim(), tmp_path, StillTime()).inference.complete_many(
        prompts, model="m", batch_size=size
    )
    failed = [outcome for outcome in outcomes if outcome.error]
    assert [outcome.row for outcome in failed] == [5]
    assert isinstance(failed[0].error, BadRequestError if row == "bad" else ServerError)


async def test_busy_server_is_left_alone_as_long_as_it_asks(tmp_path: Path) -> None:
    nim, time = Nim(busy=3), StillTime()
    outcomes = await client(nim, tmp_path, time).inference.complete_many(PROMPTS, model="m", batch_size=1)
    assert all(outcome.value for outcome in outcomes)
    assert time.seconds >= 5


async def test_order_is_kept_where_asked_and_prompts_are_read_as_needed(tmp_path: Path) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield f"p{taken}"

    outcomes = client(Nim(), tmp_path).inference.complete_each(
        endless(), model="m", ordered=True, batch_size=2, concurrency=4
    )
    rows = []
    async for outcome in outcomes:
        rows.append(outcome.row)
        if len(rows) == 50:
            break
    await outcomes.aclose()  # type: ignore[attr-defined]
    assert rows == list(range(50))
    assert taken < 150


KNOWN = Vocabulary.from_questions([Question(id="1", title="t", body=None, tags=("contract", "tax"))])


async def test_row_that_is_refused_in_a_form_that_was_accepted_is_asked_for_once(tmp_path: Path) -> None:
    asked = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        if request.method == "GET":
            return httpx.Response(200, json={"release": "1.13.1"})
        asked += 1
        if "endless" in request.read().decode():
            return httpx.Response(400, json={"detail": "too long"})
        return httpx.Response(200, json={"choices": [{"index": 0, "text": " tax"}]})

    nemo = client(answer, tmp_path)
    await tag(nemo, title="t", model="m", vocabulary=KNOWN)
    with pytest.raises(BadRequestError):
        await tag(nemo, title="endless", model="m", vocabulary=KNOWN)
    assert asked == 2


@pytest.mark.parametrize(("threshold", "error"), [(None, None), (0.5, BadRequestError)])
async def test_server_that_refuses_log_probabilities_tags_without_scores(
    threshold: float | None, error: type[Exception] | None, tmp_path: Path
) -> None:
    def refusing(body: Mapping[str, Any], chat: bool) -> Mapping[str, Any] | str | None:
        return "no log-probabilities here" if "logprobs" in body else nim_1(body, chat)

    server = SERVERS["NIM 1.13"]()
    server.held = refusing
    nemo = client(server, tmp_path)
    asking = tag(nemo, title="Title", model=MODEL, vocabulary=KNOWN, threshold=threshold)
    if error is not None:
        with pytest.raises(error):
            await asking
        return
    tagged = await asking
    assert (tagged.tags, tagged.scores, tagged.held) == (("contract",), {}, True)


def stream(*events: str) -> httpx.Response:
    body = "".join(f"{event}\n\n" for event in events)
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body.encode())


CHAT = ChatCompletionRequest(model="m", messages=[ChatMessage(role="user", content="x")])
PIECE = 'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}'


async def test_stream_ends_at_done(tmp_path: Path) -> None:
    nemo = client(lambda _: stream(": ping", PIECE, PIECE, "data: [DONE]", PIECE), tmp_path)
    assert [chunk.text async for chunk in nemo.inference.stream_chat(CHAT)] == ["a", "a"]


@pytest.mark.parametrize(
    "events",
    [
        (PIECE,),
        (PIECE, 'data: {"error": {"message": "out of memory"}}'),
        (PIECE, 'event: error\ndata: {"message": "x"}'),
        (PIECE, "data: {cut"),
    ],
    ids=["cut off", "error in an event", "named error", "half an event"],
)
async def test_broken_stream_is_no_end(events: tuple[str, ...], tmp_path: Path) -> None:
    nemo = client(lambda _: stream(*events), tmp_path)
    with pytest.raises(ProtocolError):
        [chunk async for chunk in nemo.inference.stream_chat(CHAT)]


async def test_answer_that_is_no_stream_is_told(tmp_path: Path) -> None:
    nemo = client(lambda _: httpx.Response(200, json={"choices": []}), tmp_path)
    with pytest.raises(ProtocolError, match="stream of events"):
        [chunk async for chunk in nemo.inference.stream_chat(CHAT)]


@pytest.mark.parametrize("shape", ["detail", "message", "reason"])
async def test_what_a_server_says_does_not_steer_a_terminal(shape: str, tmp_path: Path) -> None:
    said = "no\x9b31m\x1b]0;x\x07\nERROR forged \u202eline"

    def handler(request: httpx.Request) -> httpx.Response:
        if shape == "reason":
            return httpx.Response(400, extensions={"reason_phrase": b"no\x1b[2J"})
        return httpx.Response(400, json={shape: said})

    async with client(handler, tmp_path) as nemo:
        with pytest.raises(LawtagsError) as caught:
            await nemo.inference.models()
    assert not {character for character in caught.value.message if not character.isprintable()}
    assert "no" in caught.value.message
