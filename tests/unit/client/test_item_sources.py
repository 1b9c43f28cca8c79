"""Rows that are made while others are under way: in threads, or as they come from elsewhere."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import client

from lawtags_client import tag_many
from lawtags_client.runs import tag_file as tagging_files
from lawtags_client.runs.tag_file import tag_file
from lawtags_client.services.inference.pace import Load
from lawtags_client.services.inference.source import Source, made_in_thread
from lawtags_client.tagging.prompt import Prompt, PromptBuilder, PromptStyle, estimate_tokens
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary

QUESTIONS = [Question(id=str(row), title=f"question {row}") for row in range(40)]


def completions(request: httpx.Request) -> httpx.Response:
    """Answers each prompt with "lease"."""
    if request.method == "GET":
        return httpx.Response(200, json={"release": "1.13.1"})
    prompt = json.loads(request.read())["prompt"]
    prompts = prompt if isinstance(prompt, list) else [prompt]
    logprobs = {"top_logprobs": [{"lease": -0.5}], "tokens": ["lease"], "token_logprobs": [-0.5]}
    choices = [{"index": n, "text": "lease", "logprobs": logprobs} for n in range(len(prompts))]
    return httpx.Response(200, json={"id": "c", "choices": choices})


class LoopTurns:
    """Waits, in a thread, until the event loop had a turn: on the loop itself that would never end."""

    def __init__(self) -> None:
        self._turn = threading.Event()
        self.had = 0

    def wait(self) -> None:
        self._turn.clear()
        assert self._turn.wait(60), "the event loop got no turn"
        self.had += 1

    @asynccontextmanager
    async def given(self) -> AsyncIterator[None]:
        async def turn() -> None:
            while True:
                self._turn.set()
                await asyncio.sleep(0)

        task = asyncio.create_task(turn())
        try:
            yield
        finally:
            task.cancel()


class SlowTagger:
    vocabulary = Vocabulary.from_questions([Question(id="1", title="x", body=None, tags=("lease",))])

    def __init__(self, turns: LoopTurns) -> None:
        self._turns = turns

    def prompt(self, question: Question, /) -> Prompt:
        self._turns.wait()
        return PromptBuilder(PromptStyle(), estimate_tokens).build(question.title)

    def scores(self, questions: Sequence[Question], lm: Sequence[Any] | None, /) -> Any:
        return [[row["lease"]] for row in lm or ()]

    def decide(self, row_scores: Any, /) -> tuple[str, ...]:
        return ("lease",)


async def test_the_event_loop_has_turns_while_prompts_are_made(tmp_path: Path) -> None:
    turns = LoopTurns()
    async with client(completions, tmp_path) as nemo, turns.given():
        asked = tag_many(nemo, QUESTIONS, model="m", tagger=SlowTagger(turns))
        found = [tagged async for tagged in asked]
    assert [(one.row, one.id, one.tags) for one in found] == [(n, str(n), ("lease",)) for n in range(40)]
    assert turns.had == 40


async def test_the_event_loop_has_turns_while_prompts_of_written_tags_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, build = LoopTurns(), PromptBuilder.build

    def slow(self: PromptBuilder, title: str, body: str | None = None) -> Prompt:
        turns.wait()
        return build(self, title, body)

    monkeypatch.setattr(PromptBuilder, "build", slow)
    async with client(completions, tmp_path) as nemo, turns.given():
        found = [tagged async for tagged in tag_many(nemo, QUESTIONS, model="m")]
    assert [(one.row, one.id) for one in found] == [(n, str(n)) for n in range(40)]
    assert turns.had == 40


async def test_the_event_loop_has_turns_while_a_file_is_read_and_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, read = LoopTurns(), tagging_files.questions_to_tag

    def slow(*args: Any) -> Iterator[Any]:
        for question in read(*args):
            turns.wait()
            yield question

    monkeypatch.setattr(tagging_files, "questions_to_tag", slow)
    source = tmp_path / "ask.jsonl"
    source.write_text("".join(json.dumps({"id": q.id, "title": q.title}) + "\n" for q in QUESTIONS))
    async with client(completions, tmp_path) as nemo, turns.given():
        done = await tag_file(source, tmp_path / "out.jsonl", lambda asked: tag_many(nemo, asked, model="m"))
    assert (done.rows, done.failed, turns.had) == (40, 0, 40)


async def test_answers_are_given_out_before_the_next_prompt_has_come(tmp_path: Path) -> None:
    answered: asyncio.Queue[int] = asyncio.Queue()

    async def one_after_the_other() -> AsyncIterator[str]:
        for row in range(5):
            yield f"prompt {row}"
            assert await answered.get() == row

    async with client(completions, tmp_path) as nemo:
        async for outcome in nemo.inference.complete_each(one_after_the_other(), model="m"):
            assert outcome.value is not None
            answered.put_nowait(outcome.row)
    assert answered.empty()


async def test_prompts_that_wait_share_requests(tmp_path: Path) -> None:
    sizes: list[int] = []

    def counting(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            prompt = json.loads(request.content)["prompt"]
            sizes.append(len(prompt) if isinstance(prompt, list) else 1)
        return completions(request)

    async def prompts() -> AsyncIterator[str]:
        for row in range(64):
            yield str(row)

    async with client(counting, tmp_path) as nemo:
        found = [one async for one in nemo.inference.complete_each(prompts(), model="m", batch_size=8)]
    assert sorted(one.row for one in found) == list(range(64))
    assert max(sizes) == 8 and len(sizes) <= 12


async def test_an_error_of_the_source_leaves_behind_what_came_before_it(tmp_path: Path) -> None:
    async def breaks() -> AsyncIterator[str]:
        yield "one"
        yield "two"
        raise OSError("the disk is gone")

    found: list[int] = []
    async with client(completions, tmp_path) as nemo:
        with pytest.raises(OSError, match="the disk is gone"):
            async for outcome in nemo.inference.complete_each(breaks(), model="m", ordered=True):
                found.append(outcome.row)
    assert found in ([], [0], [0, 1])


async def test_hanging_up_closes_a_source_that_waits(tmp_path: Path) -> None:
    closed: list[str] = []

    async def endless() -> AsyncGenerator[str, None]:
        try:
            yield "one"
            await asyncio.Event().wait()
        finally:
            closed.append("yes")

    async with client(completions, tmp_path) as nemo:
        outcomes = nemo.inference.complete_each(endless(), model="m")
        assert (await anext(outcomes)).row == 0
        await outcomes.aclose()  # type: ignore[attr-defined]
    assert closed == ["yes"]


async def test_reading_ahead_is_bounded() -> None:
    read: list[int] = []

    async def numbers() -> AsyncIterator[int]:
        for number in range(10_000):
            read.append(number)
            yield number

    source = Source(numbers())
    assert source.take() is None
    await source.changed()
    assert source.take() == (0, 0)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(read) < 100
    await source.close()


@pytest.mark.parametrize("many", [0, 1, 3, 4, 9])
async def test_what_is_made_in_a_thread_keeps_its_order(many: int) -> None:
    async def later() -> AsyncIterator[int]:
        for number in range(many):
            yield number

    def doubled(batch: list[int]) -> list[int]:
        assert threading.current_thread() is not threading.main_thread()
        return [2 * number for number in batch]

    for items in (range(many), later()):
        made = made_in_thread(items, doubled, 3)
        assert [one async for one in made] == [2 * number for number in range(many)]


@pytest.mark.parametrize("answered", [0, 5])
async def test_an_error_of_the_callers_own_callback_ends_the_call(answered: int, tmp_path: Path) -> None:
    def on_load(load: Load) -> None:
        if load.answered > answered:
            raise RuntimeError("the progress bar is gone")

    async with client(completions, tmp_path) as nemo:
        with pytest.raises(RuntimeError, match="progress bar"):
            async for _ in nemo.inference.complete_each(
                (str(n) for n in range(40)), model="m", batch_size=1, on_load=on_load
            ):
                pass
