"""Answers are held to a vocabulary by every server that can, and marked where they are not."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import StillTime, client
from inference_servers import (
    HIDDEN,
    MODEL,
    PROSE,
    SERVERS,
    InferenceServer,
    nim_1,
    openai_lenient,
    vllm_0_12,
)

from lawtags_client import NeMo, Tagged, tag, tag_many
from lawtags_client.errors import ConfigurationError, LawtagsError
from lawtags_client.services.inference.dialects import Dialect, forms, probe_fields
from lawtags_client.services.inference.guidance import Guidance, ServerMemory, Wish
from lawtags_client.services.inference.identity import Server
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.types.inference import Completion

KNOWN = Vocabulary.from_questions(
    [Question(id="1", title="t", body=None, tags=("contract-law", "tax", "tort"))]
)
QUESTIONS = [Question(id=str(number), title=f"Title {number}") for number in range(24)]

ONE_OF = {
    "type": "object",
    "properties": {"tag": {"enum": ["a", "b"]}},
    "required": ["tag"],
    "additionalProperties": False,
}


async def tagged(nemo: NeMo, chat: bool, limit: int = 3) -> list[Tagged]:
    asked = tag_many(nemo, QUESTIONS, model=MODEL, vocabulary=KNOWN, chat=chat, at_most=limit)
    return [one async for one in asked]


@pytest.mark.parametrize(
    ("guided", "text", "held"),
    [
        ({"guided_json": ONE_OF}, "Once upon", False),
        ({"guided_json": ONE_OF}, '{"ta', None),
        ({"guided_choice": ["yes", "no"]}, "", None),
        ({"guided_choice": ["yes", "no"]}, "ye", True),
        ({"guided_choice": ["yes", "no"]}, "x", False),
        ({"guided_regex": "(yes|no)"}, "Once upon a time", None),
    ],
)
async def test_texts_that_were_cut_off_are_compared_as_far_as_they_go(
    guided: dict[str, Any], text: str, held: bool | None, tmp_path: Path
) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return SERVERS["vLLM 0.12"]()(request)
        choice = {"index": 0, "text": text, "finish_reason": "length"}
        return httpx.Response(200, json={"choices": [choice]})

    async with client(handler, tmp_path) as nemo:
        (outcome,) = await nemo.inference.complete_many(["Title"], model=MODEL, guided=guided)
    assert outcome.value is not None and outcome.value.held is held


@pytest.mark.parametrize("chat", [False, True], ids=["completions", "chats"])
@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("name", [*SERVERS, *HIDDEN])
async def test_answers_are_in_the_vocabulary_or_marked(
    name: str, chat: bool, limit: int, tmp_path: Path
) -> None:
    server = (SERVERS | HIDDEN)[name]()
    async with client(server, tmp_path) as nemo:
        found = await tagged(nemo, chat, limit)
    openai = name in ("OpenAI", "strict as OpenAI", "lenient as OpenAI")
    holds = name != "nothing known" and (chat or not openai)
    assert {one.held for one in found} == {holds}
    assert [one.error for one in found] == [None] * len(QUESTIONS)
    assert all(one.tags == (("contract-law",) if holds else ()) for one in found)
    assert server.probes == (name in HIDDEN)


@pytest.mark.parametrize("chat", [False, True], ids=["completions", "chats"])
@pytest.mark.parametrize("name", [*SERVERS, *HIDDEN])
async def test_right_answers_of_a_model_that_nothing_holds_are_not_taken_for_held(
    name: str, chat: bool, tmp_path: Path
) -> None:
    # A tuned model writes tags all by itself: only what the server knows tells whether it is held.
    server = (SERVERS | HIDDEN)[name]()
    server.free = " tax, tort"
    async with client(server, tmp_path) as nemo:
        found = await tagged(nemo, chat)
    openai = name in ("OpenAI", "strict as OpenAI", "lenient as OpenAI")
    for one in found:
        if name == "nothing known" or (openai and not chat):
            assert one.held is not True and one.tags == ("tax", "tort")
        else:
            assert one.held is True and one.tags == ("contract-law",)


@pytest.mark.parametrize("name", [*SERVERS, *HIDDEN])
async def test_requests_that_begin_at_once_find_out_together(name: str, tmp_path: Path) -> None:
    server = (SERVERS | HIDDEN)[name]()
    async with client(server, tmp_path) as nemo:
        asked = (tag(nemo, title=f"Title {n}", model=MODEL, vocabulary=KNOWN, chat=True) for n in range(16))
        found = await asyncio.gather(*asked)
        again = await tag(nemo, title="Title", model=MODEL, vocabulary=KNOWN)
    assert {one.held for one in found} == {name != "nothing known"}
    assert again.error is None
    assert server.probes == (name in HIDDEN)


@pytest.mark.parametrize("free", [PROSE, " tort"], ids=["prose", "a tag"])
@pytest.mark.parametrize(
    ("before", "after"),
    [("NIM 1.15", "NIM 2.1"), ("NIM 2.1", "NIM 1.15"), ("vLLM 0.10", "vLLM 0.12"), ("vLLM 0.24", "SGLang")],
)
@pytest.mark.parametrize("chat", [False, True], ids=["completions", "chats"])
async def test_server_that_is_replaced_under_way_is_noticed(
    before: str, after: str, chat: bool, free: str, tmp_path: Path
) -> None:
    servers = [SERVERS[before](), SERVERS[after]()]
    asked = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += request.method == "POST"
        return servers[asked > 10](request)

    servers[1].free = free
    async with client(handler, tmp_path) as nemo:
        found = await tagged(nemo, chat)
    assert sum(server.probes for server in servers) <= 1
    for one in found:
        assert one.held is not True or set(one.tags) <= set(KNOWN.tags)
    if free == PROSE:
        # What fell between the two is asked for once more, and held.
        assert {one.held for one in found} == {True}
        assert {one.tags for one in found} == {("contract-law",)}


async def test_server_that_stops_holding_is_marked_from_the_first_answer_that_shows_it(
    tmp_path: Path,
) -> None:
    server = SERVERS["NIM 2.1"]()
    async with client(server, tmp_path) as nemo:
        assert (await tag(nemo, title="Title", model=MODEL, vocabulary=KNOWN)).held is True
        server.held = openai_lenient
        for _ in range(5):
            one = await tag(nemo, title="Title", model=MODEL, vocabulary=KNOWN)
            assert (one.held, one.tags) == (False, ())
        server.free = " tax"
        assert (await tag(nemo, title="Title", model=MODEL, vocabulary=KNOWN)).held is not True
    assert server.probes == 1


async def test_replicas_of_two_releases_do_not_cost_a_look_each_time(tmp_path: Path) -> None:
    turn, looks = 0, 0
    server = SERVERS["vLLM 0.12"]()

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal turn, looks
        looks += request.method == "GET"
        turn += request.method == "POST"
        server.held = vllm_0_12 if turn % 3 else openai_lenient
        return server(request)

    time = StillTime()
    async with client(handler, tmp_path, time) as nemo:
        found = await tagged(nemo, False)
        assert {one.held for one in found if one.tags} <= {True, None}
        assert {one.held for one in found if not one.tags} == {False}
        assert looks <= 6 and server.probes <= 1
        time.seconds += 100
        server.held, turn = vllm_0_12, -1000
        await tagged(nemo, False)
    assert looks <= 9 and server.probes <= 2


async def test_replacement_that_no_answer_shows_is_noticed_within_a_minute(tmp_path: Path) -> None:
    servers, time = [SERVERS["NIM 1.15"](), SERVERS["NIM 2.1"]()], StillTime()
    servers[1].free = " tort"
    replaced = False
    async with client(lambda request: servers[replaced](request), tmp_path, time) as nemo:
        await tag(nemo, title="Title", model=MODEL, vocabulary=KNOWN)
        replaced, time.seconds = True, time.seconds + 61
        one = await tag(nemo, title="Title", model=MODEL, vocabulary=KNOWN)
    assert (one.tags, one.held) == (("contract-law",), True)


async def test_outage_while_finding_out_is_told_once_and_not_remembered(tmp_path: Path) -> None:
    server = HIDDEN["vLLM of today behind a proxy"]()
    down = True

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, json={"detail": "starting"}) if down else server(request)

    async with client(handler, tmp_path) as nemo:
        asking = nemo.inference.complete_each(
            ["Title"], model=MODEL, guided={"guided_choice": ["a"]}, concurrency=1
        )
        (outcome,) = [one async for one in asking]
        assert isinstance(outcome.error, LawtagsError) and outcome.error.status == 503
        down = False
        (outcome,) = await nemo.inference.complete_many(
            ["Title"], model=MODEL, guided={"guided_choice": ["a"]}
        )
    assert outcome.value is not None and (outcome.value.text, outcome.value.held) == ("a", True)


async def test_first_request_that_is_given_up_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    server, begun, go = HIDDEN["NIM 1 behind a proxy"](), asyncio.Event(), asyncio.Event()

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            begun.set()
            await go.wait()
            await request.aread()
            return server(request)

    nemo = client(server, tmp_path)
    nemo = type(nemo)(nemo.settings, handler=Slow(), clock=nemo.clock, intents=nemo.intents)
    first, second = (
        asyncio.create_task(tag(nemo, title="Title", model=MODEL, vocabulary=KNOWN)) for _ in range(2)
    )
    await begun.wait()
    first.cancel()
    go.set()
    assert (await second).held is True
    assert server.probes == 1


@pytest.mark.parametrize(
    "message",
    [
        "Extra inputs are not permitted: structured_outputs, guided_regex, regex",
        json.dumps(
            [{"loc": ["body", name], "type": "extra_forbidden"} for name in probe_fields() if name != "nvext"]
        ),
    ],
)
async def test_refusal_that_names_all_fields_but_one_tells_the_one(message: str, tmp_path: Path) -> None:
    def held(body: Any, chat: bool) -> Any:
        return message if len(set(body) & set(probe_fields())) > 1 else nim_1(body, chat)

    server = InferenceServer(held)
    async with client(server, tmp_path) as nemo:
        one = await tag(nemo, title="Title", model=MODEL, vocabulary=KNOWN)
    # It took the field and kept to it, as far as one answer can show.
    assert (one.tags, one.held, server.probes) == (("contract-law",), None, 1)


@pytest.mark.parametrize(
    ("text", "reason", "held"),
    [
        (" tax, tort", "stop", True),
        (" tax, to", "length", True),
        (" tax, tort,", "length", True),
        (" tax, it depends on", "length", False),
        (" It depends on the", "length", False),
        (" tax, fraud", "stop", False),
        (" tax, tort, contract-law, tax", "stop", False),
        ("", "stop", False),
        ('{"tags": ["tax"]}', "stop", False),
    ],
)
async def test_each_answer_is_compared_with_what_was_asked_for(
    text: str, reason: str, held: bool, tmp_path: Path
) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return SERVERS["NIM 1.13"]()(request)
        return httpx.Response(200, json={"choices": [{"index": 0, "text": text, "finish_reason": reason}]})

    async with client(handler, tmp_path) as nemo:
        one = await tag(nemo, title="Title", model=MODEL, vocabulary=KNOWN, at_most=3)
    assert one.held is held
    assert set(one.tags) <= set(KNOWN.tags)


@pytest.mark.parametrize("guided", ["guided_choice", "guided_regex", "guided_json", "guided_grammar"])
@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("dialect", Dialect)
def test_every_constraint_is_put_or_left_out_but_never_half_put(
    dialect: Dialect, chat: bool, guided: str
) -> None:
    value: Any = {"guided_choice": ["a.b"], "guided_json": {"type": "object"}}.get(guided, "a")
    found = forms(dialect, {guided: value, "stop": None}, chat=chat)
    if dialect is Dialect.RESPONSE_FORMAT and guided != "guided_json":
        assert found == []
        return
    (form,) = found
    assert form.fields.pop("stop", "absent") is None and len(form.fields) == 1  # type: ignore[attr-defined]
    assert (form.constraint, form.value) == (guided, value)


@pytest.mark.parametrize(
    ("guided", "text", "held"),
    [
        ({"guided_regex": "a+"}, "aaa", True),
        ({"guided_regex": "a+"}, "ab", False),
        ({"guided_choice": ["a", "b"]}, "b", True),
        ({"guided_choice": ["a", "b"]}, "c", False),
        ({"guided_json": {"type": "object"}}, "{}", True),
        ({"guided_json": {"type": "object"}}, "{", False),
        ({"guided_json": ONE_OF}, '{"tag": "a"}', True),
        ({"guided_json": ONE_OF}, '{"tag": "zzz"}', False),
        ({"guided_json": ONE_OF}, '{"tag": "a", "more": 1}', False),
        ({"guided_json": ONE_OF}, "{}", False),
        ({"guided_json": ONE_OF}, "[1, 2]", False),
        ({"guided_json": json.dumps(ONE_OF)}, '{"tag": "c"}', False),
        ({"guided_json": {"type": "null"}}, "null", True),
        ({"guided_json": {"type": "integer"}}, "true", False),
        ({"guided_json": {"type": "array", "items": {"type": "string"}}}, "[1]", None),
        ({"guided_json": {"type": "array", "items": {"type": "string"}}}, "{}", False),
        # By its name the server can; that a gateway before it passes the constraint on is not known.
        ({"guided_grammar": "root ::= 'a'"}, "b", None),
        ({"guided_regex": "(?P<not python"}, "b", None),
    ],
)
async def test_other_constraints_are_compared_as_far_as_they_can(
    guided: dict[str, Any], text: str, held: bool | None, tmp_path: Path
) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return SERVERS["vLLM 0.12"]()(request)
        return httpx.Response(200, json={"choices": [{"index": 0, "text": text, "finish_reason": "stop"}]})

    async with client(handler, tmp_path) as nemo:
        (outcome,) = await nemo.inference.complete_many(["Title"], model=MODEL, guided=guided)
    assert outcome.value is not None and outcome.value.held is held


async def test_nobody_is_asked_what_it_is_where_nothing_is_to_be_held(tmp_path: Path) -> None:
    server = SERVERS["vLLM 0.12"]()
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.method)
        return server(request)

    async with client(handler, tmp_path) as nemo:
        one = await tag(nemo, title="Title", model=MODEL)
    assert (one.held, seen) == (None, ["POST"])


async def test_look_ends_with_the_last_request_that_waits_for_it() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()
    looks = 0

    async def identify(model: str) -> Server | None:
        nonlocal looks
        looks += 1
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError("nobody sets the event")

    async def probe(model: str, chat: bool, fields: dict[str, Any]) -> str:
        raise AssertionError("nothing was found out")

    async def act(fields: dict[str, Any]) -> Completion:
        raise AssertionError("nothing was found out")

    guidance = Guidance(identify, probe, StillTime().clock(), ServerMemory())
    wish = Wish(MODEL, False, {"guided_choice": ["tax"]})
    for look in (1, 2):
        begun.clear()
        ended.clear()
        waiting = [asyncio.create_task(guidance.ask(wish, act)) for _ in range(3)]
        await begun.wait()
        for task in waiting[:2]:
            task.cancel()
        await asyncio.wait(waiting[:2])
        assert not ended.is_set()
        waiting[2].cancel()
        await asyncio.wait(waiting)
        await ended.wait()
        assert looks == look
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_request_that_begins_when_a_look_ends_does_not_look_again() -> None:
    probes: list[str] = []
    later: list[asyncio.Task[Completion]] = []
    wish = Wish("m", True, guided={"guided_choice": ["tort"]}, matches=lambda *_: True)

    async def unknown(model: str) -> None:
        return None

    async def probe(model: str, chat: bool, fields: dict[str, Any]) -> str:
        probes.append(model)
        # Runs once the look is done, and before whoever waits for it is told.
        asyncio.get_running_loop().call_soon(lambda: later.append(asyncio.create_task(ask())))
        return "nothing that was asked for"

    async def ask() -> Completion:
        return await guidance.ask(wish, act)

    async def act(fields: dict[str, Any]) -> Completion:
        return Completion.model_validate({"choices": [{"index": 0, "text": "tort"}]})

    guidance = Guidance(unknown, probe, StillTime().clock(), ServerMemory())
    await ask()
    await asyncio.gather(*later)
    assert len(later) == 1 and probes == ["m"]


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("silent", ["version", "probe", "everything"])
async def test_finding_out_what_a_server_is_takes_none_of_the_time_beyond_a_call_s(
    silent: str, chat: bool, tmp_path: Path
) -> None:
    async def handler(request: httpx.Request) -> httpx.Response:
        is_probe = request.method == "POST" and json.loads(request.content)["max_tokens"] == 16
        if silent == "everything" or (is_probe if silent == "probe" else request.method == "GET"):
            await asyncio.sleep(3600)
        return httpx.Response(404)

    limits = {"read_timeout": 3000.0, "total_timeout": 0.8, "max_retries": 0}
    async with client(handler, tmp_path, **limits) as nemo:
        # Without a limit on the look as well, this would take an hour.
        async with asyncio.timeout(120):
            with pytest.raises(LawtagsError):
                await tag(nemo, title="Title", model=MODEL, vocabulary=KNOWN, chat=chat)


@pytest.mark.parametrize("wrong", ["yes", [], [1, 2], {"yes": 1}, None, 7])
def test_choices_that_are_no_texts_are_named(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="guided_choice"):
        forms(Dialect.SGLANG, {"guided_choice": wrong}, chat=False)


@pytest.mark.parametrize("wrong", ["{", "[]", "7", [], None])
def test_a_schema_that_is_no_object_is_named(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="guided_json"):
        forms(Dialect.RESPONSE_FORMAT, {"guided_json": wrong}, chat=True)
