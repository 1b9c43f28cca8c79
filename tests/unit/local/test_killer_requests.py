"""A request that crashes the worker is identified and refused; those that ran beside it are answered."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lawtags_client.errors import BadRequestError, ServerError
from lawtags_stack.engines.embedding import process as embedding
from lawtags_stack.engines.embedding import worker as embedding_worker
from lawtags_stack.engines.embedding.process import EmbeddingProcess
from lawtags_stack.processes.suspects import RequestSlots, Suspects, digest
from lawtags_stack.services.nim import worker_process
from lawtags_stack.services.nim.queue import ModelProcess
from lawtags_stack.services.nim.records import AdapterFiles, ServedEntry
from lawtags_stack.services.nim.worker_process import WorkerGoneError, WorkerOptions

BASE = ServedEntry("base", "base", lambda: Path("folder"), 0)


@pytest.fixture
async def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelProcess]:
    monkeypatch.setattr(worker_process, "_MODULE", "small_worker")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "support"))
    made = ModelProcess("base", tmp_path / "log", WorkerOptions())
    yield made
    await made.stop()


async def ask(process: ModelProcess, prompt: str, served: ServedEntry = BASE) -> int:
    """The status of the answer."""
    try:
        async for _ in process.ask(served, {"prompts": [prompt]}, 1):
            pass
    except (BadRequestError, WorkerGoneError) as error:
        return error.status or 400
    return 200


async def asked(process: ModelProcess, prompt: str, served: ServedEntry = BASE) -> list[int]:
    """The statuses that a client sees that retries where it may."""
    found = [await ask(process, prompt, served)]
    while found[-1] == 503:
        found.append(await ask(process, prompt, served))
    return found


@pytest.mark.parametrize(("end", "statuses"), [("exit", [400]), ("SIGSEGV", [400]), ("SIGKILL", [503, 400])])
async def test_a_request_that_ends_the_worker_alone_is_refused_from_then_on(
    process: ModelProcess, end: str, statuses: list[int]
) -> None:
    assert await asked(process, end) == statuses
    alive = await ask(process, "law"), process.process and process.process.pid
    assert alive[0] == 200
    assert await asked(process, end) == [400]
    assert process.process is not None and process.process.pid == alive[1]
    with pytest.raises(BadRequestError, match="crashed while it was running this request"):
        await anext(process.ask(BASE, {"prompts": [end], "stream": True}, 1))


@pytest.mark.parametrize("end", ["exit", "SIGKILL"])
async def test_requests_beside_it_fail_once_at_most_and_then_succeed(process: ModelProcess, end: str) -> None:
    innocent = [f"together {number}" for number in range(6)]
    found = await asyncio.gather(
        *(asked(process, prompt) for prompt in [*innocent[:3], f"together {end}", *innocent[3:]])
    )
    killer = found.pop(3)
    assert all(statuses in ([200], [503, 200]) for statuses in found)
    assert any(statuses == [503, 200] for statuses in found)
    assert killer in ([503, 400], [503, 503, 400])
    # Cleared, they run together again.
    assert await asyncio.gather(*(asked(process, prompt) for prompt in innocent)) == [[200]] * 6


async def test_several_such_requests_at_once_are_all_found_out(process: ModelProcess) -> None:
    prompts = ["together exit 1", "together a", "together SIGSEGV", "together b", "together exit 2"]
    found = dict(zip(prompts, await asyncio.gather(*(asked(process, p) for p in prompts)), strict=True))
    assert found["together a"][-1] == found["together b"][-1] == 200
    assert [found[prompt][-1] for prompt in prompts[::2]] == [400] * 3
    assert max(len(statuses) for statuses in found.values()) == 2


async def test_a_worker_that_somebody_killed_once_is_not_blamed_on_its_request(process: ModelProcess) -> None:
    assert await ask(process, "law") == 200
    running = asyncio.create_task(asked(process, "together law"))
    await asyncio.sleep(0.05)  # either before the request is sent or while the worker waits for others
    assert process.process is not None
    os.kill(process.process.pid, signal.SIGKILL)
    assert await running == [503, 200]


async def test_a_request_whose_client_left_is_still_known_when_the_worker_dies(process: ModelProcess) -> None:
    assert await ask(process, "law") == 200
    running = asyncio.create_task(ask(process, "together exit"))
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.wait({running})
    assert process.process is not None
    await asyncio.to_thread(process.process.wait, 10)
    assert await ask(process, "law") == 200
    assert await asked(process, "together exit") == [400]


async def test_an_adapter_that_ends_the_worker_is_refused_whatever_it_is_asked(process: ModelProcess) -> None:
    files = AdapterFiles(Path("a.json"), Path("exit.safetensors"))
    broken = ServedEntry("broken", "base", lambda: Path("folder"), 0, adapter=files)
    whole = ServedEntry(
        "whole", "base", lambda: Path("folder"), 0, adapter=AdapterFiles(Path("b"), Path("c"))
    )
    assert await asked(process, "law", broken) == [400]
    assert await asked(process, "other", broken) == [400]
    assert await asked(process, "law", whole) == [200]


async def test_a_worker_that_is_ended_on_purpose_blames_nobody(process: ModelProcess) -> None:
    running = asyncio.create_task(ask(process, "together law"))
    await asyncio.sleep(0.05)
    await process.stop()
    assert await running == 503
    assert not process._suspects


async def embedded(process: EmbeddingProcess, *texts: str) -> list[int]:
    """The statuses that a client sees that retries where it may."""
    found: list[int] = []
    while not found or found[-1] == 503:
        try:
            await process.embed(texts, "NONE")
            found.append(200)
        except (BadRequestError, ServerError) as error:
            found.append(error.status or 400)
    return found


async def test_texts_that_end_the_embedding_process_are_refused_and_others_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_MODULE", "small_encoder")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "support"))
    process = EmbeddingProcess(tmp_path, tmp_path / "log", 0)
    try:
        asked = [("a", "exit"), ("b",), ("SIGKILL",), ("c", "d")]
        found = await asyncio.gather(*(embedded(process, *texts) for texts in asked))
        assert found == [[400], [200], [503, 400], [200]]
        assert [await embedded(process, *texts) for texts in asked] == [[400], [200], [400], [200]]
    finally:
        await process.stop()


@pytest.mark.parametrize(
    ("error", "told"), [(IndexError("no such token"), "failed"), (BadRequestError("too long"), "refused")]
)
def test_a_text_that_cannot_be_embedded_fails_by_itself(error: Exception, told: str) -> None:
    class Encoder:
        def embed(self, texts: list[str], truncate: str) -> tuple[list[list[float]], int]:
            if "bad" in texts:
                raise error
            return [[1.0]], 1

    answers = [
        embedding_worker._answer(Encoder(), {"texts": [text], "truncate": "NONE"})  # type: ignore[arg-type]
        for text in ("good", "bad", "good")
    ]
    assert [list(each) for each in answers] == [["vectors", "tokens"], [told], ["vectors", "tokens"]]
    assert str(error) in answers[1][told]


def test_what_is_remembered_is_bounded_and_the_latest() -> None:
    suspects = Suspects(most=8)
    for number in range(100):
        suspects.died([{"prompts": [number]}], crashed=True)
    for number in range(92):
        assert not suspects.suspected({"prompts": [number]})
    for number in range(92, 100):
        with pytest.raises(BadRequestError):
            suspects.suspected({"prompts": [number]})


def test_a_digest_reads_any_value_and_not_how_it_was_sent() -> None:
    odd = {"prompts": ["\ud800", "é"], "sampling": {"temperature": float("nan"), "a": None}}
    assert digest({**odd, "stream": True, "id": 7}) == digest(dict(reversed(odd.items())))
    assert digest(odd) != digest({**odd, "prompts": ["\ud801", "é"]})


async def test_turns_are_alone_or_together_and_a_cancelled_wait_leaves_nothing() -> None:
    turns = RequestSlots()
    first, second = [await turns.take(alone=False) for _ in range(2)]
    alone = asyncio.create_task(turns.take(alone=True))
    given_up = asyncio.create_task(turns.take(alone=True))
    behind = asyncio.create_task(turns.take(alone=False))
    await asyncio.sleep(0)
    given_up.cancel()
    first.end()
    await asyncio.wait({given_up})
    assert not alone.done() and not behind.done()
    second.end()
    turn = await alone
    assert not behind.done()
    turn.end()
    turn.end()
    (await behind).end()
    (await turns.take(alone=True)).end()
