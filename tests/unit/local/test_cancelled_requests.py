"""A request that is cancelled at any of its awaits leaves nothing behind that the next one would meet."""

from __future__ import annotations

import asyncio
import os
import types
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from lawtags_stack.engines.embedding import process as embedding
from lawtags_stack.engines.embedding.process import EmbeddingProcess
from lawtags_stack.services.nim import worker_process
from lawtags_stack.services.nim.queue import ModelProcess, ModelProcesses
from lawtags_stack.services.nim.records import AdapterFiles, ServedEntry
from lawtags_stack.services.nim.worker_process import WorkerOptions

T = TypeVar("T")
_PATIENCE = 60.0


@pytest.fixture(autouse=True)
def small_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_MODULE", "small_worker")
    monkeypatch.setattr(embedding, "_MODULE", "small_encoder")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "support"))


@types.coroutine
def _cancelling(work: Coroutine[Any, Any, T], at: int) -> Generator[Any, Any, T]:
    """Run work in the current task, which is cancelled when it waits for the ``at``-th time."""
    task, waits = asyncio.current_task(), 0
    assert task is not None
    step: Callable[[], Any] = lambda: work.send(None)  # noqa: E731
    while True:
        try:
            waited_for = step()
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]
        if waits == at:
            asyncio.get_running_loop().call_soon(task.cancel)
        waits += 1
        try:
            yield waited_for
        except BaseException as error:
            step = lambda error=error: work.throw(error)  # type: ignore[misc]  # noqa: E731
        else:
            step = lambda: work.send(None)  # noqa: E731


async def was_cancelled(work: Coroutine[Any, Any, Any], at: int) -> bool:
    """Whether work waits so often, and was cancelled there."""

    async def run() -> Any:
        return await _cancelling(work, at)

    task = asyncio.create_task(run())
    await asyncio.wait({task}, timeout=_PATIENCE)
    assert task.done(), f"work that was cancelled at its wait {at} does not end"
    return task.cancelled()


def children() -> set[int]:
    """Ids of the processes that this one started and that are not over."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == os.getpid() and state != "Z":
            found.add(int(path.parent.name))
    return found


async def answer(process: ModelProcess, served: ServedEntry) -> list[str]:
    found: list[str] = []
    async for message in process.ask(served, {"prompts": ["x"]}, 1):
        found = message["answers"]
    return found


def model(name: str | None = None) -> ServedEntry:
    files = AdapterFiles(Path(f"{name}.json"), Path(f"{name}.safetensors")) if name else None
    return ServedEntry(name or "base", "base", lambda: Path("folder"), 0, adapter=files)


async def cancelled_everywhere(act: Callable[[int], Coroutine[Any, Any, bool]]) -> int:
    """Act with a cancellation at each wait, one after the other, until there are no more waits."""
    at = 0
    while await act(at):
        at += 1
    return at


async def test_the_next_request_is_answered_after_a_cancellation_at_any_point(tmp_path: Path) -> None:
    before = children()

    async def act(at: int) -> bool:
        process = ModelProcess("base", tmp_path / "log", WorkerOptions(most_adapters=1))
        cancelled = await was_cancelled(answer(process, model("a")), at)
        async with asyncio.timeout(_PATIENCE):
            assert await answer(process, model()) in ([], ["a"])
            assert await answer(process, model("b")) == ["b"]
            assert await answer(process, model("a")) == ["a"]
        assert process.rows == 0
        assert process.process is not None
        assert children() - before == {process.process.pid}
        await process.stop()
        assert children() == before
        return cancelled

    assert await cancelled_everywhere(act) >= 3


async def test_an_adapter_stays_known_on_both_sides_if_its_request_is_cancelled(tmp_path: Path) -> None:
    process = ModelProcess("base", tmp_path / "log", WorkerOptions(most_adapters=2))
    await answer(process, model())
    names = iter("abcdefghijklmnopqrstuvwxyz")

    async def act(at: int) -> bool:
        cancelled = await was_cancelled(answer(process, model(next(names))), at)
        async with asyncio.timeout(_PATIENCE):
            name = next(names)
            held = await answer(process, model(name))
        assert name in held and len(held) <= 2
        return cancelled

    try:
        assert await cancelled_everywhere(act) >= 2
    finally:
        await process.stop()


async def test_requests_that_wait_for_the_same_model_start_it_once(tmp_path: Path) -> None:
    before = children()
    process = ModelProcess("base", tmp_path / "log", WorkerOptions())
    first, *others = [asyncio.create_task(answer(process, model())) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    assert await asyncio.gather(*others) == [[]] * 4
    assert len(children() - before) == 1
    await process.stop()


async def test_stopping_is_complete_wherever_it_is_cancelled_and_whatever_is_under_way(
    tmp_path: Path,
) -> None:
    before = children()

    async def act(at: int) -> bool:
        processes = ModelProcesses(tmp_path, WorkerOptions())
        process = processes.of(model())
        if at % 2:
            await answer(process, model())
        waiting = asyncio.create_task(answer(process, model("a")))
        await asyncio.sleep(0)
        cancelled = await was_cancelled(processes.retire(set()), at)
        await asyncio.wait({waiting}, timeout=_PATIENCE)
        assert waiting.done() and not waiting.cancelled()
        await processes.stop()
        assert children() == before
        return cancelled

    assert await cancelled_everywhere(act) >= 1


async def test_an_embedding_request_never_gets_the_answer_to_a_cancelled_one(tmp_path: Path) -> None:
    before = children()
    process = EmbeddingProcess(tmp_path, tmp_path / "log", 0)

    async def act(at: int) -> bool:
        cancelled = await was_cancelled(process.embed(["x" * 40] * 70, "NONE"), at)
        async with asyncio.timeout(_PATIENCE):
            assert (await process.embed(["four"], "NONE"))[0] == [[4.0]]
        return cancelled

    try:
        assert await cancelled_everywhere(act) >= 3
    finally:
        await process.stop()
    assert children() == before
