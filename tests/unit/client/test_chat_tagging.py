"""A tagger whose model was trained on chats asks in chats."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import client

from lawtags_client import tag, tag_many
from lawtags_client.errors import ProtocolError
from lawtags_client.tagging.prompt import Prompt, PromptBuilder, PromptStyle, estimate_tokens
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary

VOCABULARY = Vocabulary.from_questions([Question(id="1", title="x", body=None, tags=("lease",))])


class FakeTagger:
    vocabulary = VOCABULARY

    def prompt(self, question: Question, /) -> Prompt:
        return PromptBuilder(PromptStyle(), estimate_tokens).build(question.title)

    def scores(self, questions: Sequence[Question], lm: Sequence[Mapping[str, float]] | None, /) -> Any:
        return [[row["lease"]] for row in lm or ()]

    def decide(self, row_scores: Any, /) -> tuple[str, ...]:
        return ("lease",) if row_scores[0] > -1 else ()


class Chats:
    def __init__(self, *, logprobs: bool = True) -> None:
        self.logprobs = logprobs
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"release": "1.13.1"})
        body = json.loads(request.read())
        self.asked.append((request.url.path, body))
        if "fails" in body["messages"][0]["content"]:
            return httpx.Response(400, json={"detail": "too long"})
        top = [{"token": "lease", "logprob": -0.5, "bytes": None}]
        content = [{"token": "lease", "logprob": -0.5, "bytes": None, "top_logprobs": top}]
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": "lease"},
            "finish_reason": "length",
            "logprobs": {"content": content} if self.logprobs else None,
        }
        return httpx.Response(200, json={"id": "c", "choices": [choice]})


async def test_questions_are_asked_as_chats_and_one_failure_costs_no_other(tmp_path: Path) -> None:
    server = Chats()
    questions = [
        Question(id="a", title="first"),
        Question(id="b", title="this fails"),
        Question(id="c", title="third"),
    ]
    async with client(server, tmp_path) as nemo:
        found = [
            tagged async for tagged in tag_many(nemo, questions, model="m", tagger=FakeTagger(), chat=True)
        ]
    assert [(tagged.id, tagged.tags, tagged.error is None) for tagged in found] == [
        ("a", ("lease",), True),
        ("b", (), False),
        ("c", ("lease",), True),
    ]
    for path, body in server.asked:
        assert path == "/v1/chat/completions"
        assert (body["max_tokens"], body["logprobs"], body["top_logprobs"]) == (1, True, 20)
        assert [message["role"] for message in body["messages"]] == ["user"]


async def test_a_server_without_log_probabilities_is_told(tmp_path: Path) -> None:
    async with client(Chats(logprobs=False), tmp_path) as nemo:
        with pytest.raises(ProtocolError, match="no log-probabilities"):
            await tag(nemo, title="first", model="m", tagger=FakeTagger(), chat=True)


async def test_without_a_tagger_a_chat_is_held_to_the_vocabulary_and_scored(tmp_path: Path) -> None:
    server = Chats()
    async with client(server, tmp_path) as nemo:
        tagged = await tag(nemo, title="first", model="m", vocabulary=VOCABULARY, chat=True)
    assert tagged.tags == ("lease",)
    assert tagged.scores == pytest.approx({"lease": math.exp(-0.5)})
    ((path, body),) = server.asked
    assert path == "/v1/chat/completions"
    assert body["nvext"].keys() == {"guided_regex"}
    assert (body["logprobs"], body["temperature"]) == (True, 0.0)


async def test_without_a_tagger_a_chat_server_may_give_no_log_probabilities(tmp_path: Path) -> None:
    async with client(Chats(logprobs=False), tmp_path) as nemo:
        tagged = await tag(nemo, title="first", model="m", vocabulary=VOCABULARY, chat=True)
    assert (tagged.tags, tagged.scores) == (("lease",), {})
