"""A tagger whose fit left the language model out sends nothing to it, and gives the same tags."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import client

from lawtags_client import tag_many
from lawtags_client.asking.tagged import Tagged
from lawtags_client.runs.answers import RowAnswer
from lawtags_client.runs.stages.asking_models import PartAnswers
from lawtags_client.runs.stages.predict import _tagged
from lawtags_client.tagging import Question, Retriever, Tagger, fit_tagger

from .conftest import made_up_first_tokens
from .test_blend import knowing, noise


class FirstTokens:
    """Answers one likely first token per prompt, and counts the requests."""

    def __init__(self) -> None:
        self.requests = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        body = json.loads(request.read() or "{}")
        if "messages" in body:
            top = [{"token": " copy", "logprob": -0.1}]
            logprobs: Any = {"content": [{**top[0], "top_logprobs": top}]}
            message = {"role": "assistant", "content": " copy"}
            return httpx.Response(200, json={"choices": [{"message": message, "logprobs": logprobs}]})
        found = body.get("prompt", [])
        logprobs = {"tokens": [" copy"], "token_logprobs": [-0.1], "top_logprobs": [{" copy": -0.1}]}
        rows = len(found) if isinstance(found, list) else 1
        choices = [{"index": n, "text": " copy", "logprobs": logprobs} for n in range(rows)]
        return httpx.Response(200, json={"choices": choices})


class AlwaysAsking:
    """A tagger that asks the model even if it does not use the answer."""

    uses_model = True

    def __init__(self, tagger: Tagger) -> None:
        self._tagger = tagger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tagger, name)


@pytest.fixture(scope="module", params=["retriever", "blend"])
def without_model(
    request: pytest.FixtureRequest, retriever: Retriever, train: Any, validation: Any, test_rows: Any
) -> Tagger:
    vocabulary = retriever.vocabulary
    encoder = knowing([*validation, *test_rows], vocabulary, 3.0) if request.param == "blend" else None
    useless = noise(len(validation), vocabulary)
    tagger = fit_tagger(retriever, train, validation, useless, encoder=encoder, abstain_below=0.3)
    assert tagger.mix is None and (tagger.blend is None) == (encoder is None)
    return tagger


async def tagged(
    server: FirstTokens, folder: Path, questions: list[Question], tagger: Any, *, chat: bool
) -> list[Tagged]:
    async with client(server, folder) as nemo:
        return [one async for one in tag_many(nemo, questions, model="m", tagger=tagger, chat=chat)]


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("rows", [1, 70])
async def test_no_request_is_sent_and_the_tags_are_the_same(
    without_model: Tagger,
    test_rows: list[Question],
    rows: int,
    chat: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    silent, asked = FirstTokens(), FirstTokens()
    with caplog.at_level(logging.INFO, "lawtags_client"):
        found = await tagged(silent, tmp_path, test_rows[:rows], without_model, chat=chat)
    assert silent.requests == 0
    assert caplog.text.count("no request is sent") == 1
    assert found == await tagged(asked, tmp_path, test_rows[:rows], AlwaysAsking(without_model), chat=chat)
    assert asked.requests > 0
    assert [one.tags for one in found] == [one.tags for one in without_model.tag(test_rows[:rows])]


async def test_a_tagger_that_uses_its_model_asks_it(
    retriever: Retriever,
    train: list[Question],
    validation: list[Question],
    test_rows: list[Question],
    tmp_path: Path,
) -> None:
    evidence = [made_up_first_tokens(question, retriever.vocabulary, 5) for question in validation]
    tagger, server = fit_tagger(retriever, train, validation, evidence), FirstTokens()
    assert tagger.uses_model
    await tagged(server, tmp_path, test_rows[:3], tagger, chat=False)
    assert server.requests > 0


async def test_questions_of_a_wrong_type_are_still_refused(without_model: Tagger, tmp_path: Path) -> None:
    questions: Any = iter(["a title"])
    with pytest.raises(Exception, match="tag_many takes questions, not a str"):
        await tagged(FirstTokens(), tmp_path, questions, without_model, chat=False)


def test_the_predictions_of_a_run_are_the_same(without_model: Tagger, test_rows: list[Question]) -> None:
    tokens = noise(len(test_rows), without_model.vocabulary)
    given = PartAnswers([RowAnswer(row=row, tokens=found) for row, found in enumerate(tokens)], 0, 0)
    alone, asked = (_tagged(without_model, test_rows, answers) for answers in (None, given))
    assert alone.keys() == asked.keys()
    for system, found in alone.items():
        assert found.rows == asked[system].rows
        assert (found.scores == asked[system].scores).all()
