"""The blocking front where its thread is gone: at the end of the program, and in a forked process."""

from __future__ import annotations

import copy
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from client_kit import Script, client

from lawtags_client import sync
from lawtags_client.blocking import Portal, _iterate, portal

BEGIN = """
import httpx, multiprocessing, sys
from lawtags_client import sync

JOBS = [{"id": f"cust-{n}", "status": "running"} for n in range(2)]
PAGES = {"page": 1, "page_size": 2, "current_page_size": 2, "total_pages": 9, "total_results": 18}
PAGE = {"object": "list", "data": JOBS, "pagination": PAGES}

def new_client():
    handler = httpx.MockTransport(lambda request: httpx.Response(200, json=PAGE))
    return sync.NeMo(base_url="http://nemo.example.com", handler=handler)

nemo = new_client()
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", BEGIN + script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_program_ends_with_a_list_that_is_not_read_to_its_end() -> None:
    done = run("jobs = nemo.customizer.jobs.list()\nprint(next(jobs).id)\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "cust-0\n", "")


def test_a_call_while_the_interpreter_ends_is_an_error_and_does_not_wait() -> None:
    script = (
        "next(nemo.customizer.jobs.list())\n"
        "class Late:\n"
        "    def __init__(self): self.nemo = nemo\n"
        "    def __del__(self):\n"
        "        try: self.nemo.close()\n"
        "        except RuntimeError as error: sys.__stdout__.write(str(error))\n"
        "late = Late()\n"
    )
    done = run(script)
    assert done.returncode == 0
    assert done.stdout == "the interpreter is shutting down; close the blocking client before that"


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_forked_process_has_a_loop_of_its_own_for_old_and_new_clients() -> None:
    script = (
        "first = next(nemo.customizer.jobs.list()).id\n"
        "def child(results):\n"
        "    results.put(next(new_client().customizer.jobs.list()).id)\n"
        "    results.put(next(nemo.customizer.jobs.list()).id)\n"
        "    nemo.close()\n"
        "    results.put('closed')\n"
        "context = multiprocessing.get_context('fork')\n"
        "results = context.Queue()\n"
        "process = context.Process(target=child, args=(results,), daemon=True)\n"
        "process.start()\n"
        "print(first, *(results.get(timeout=30) for _ in range(3)))\n"
        "process.join(30)\n"
        "print(process.exitcode, next(nemo.customizer.jobs.list()).id)\n"
    )
    done = run(script)
    assert done.stdout == "cust-0 cust-0 cust-0 closed\n0 cust-0\n", done.stderr


def test_iterators_that_are_collected_on_the_loops_own_thread_are_closed_there() -> None:
    closed = threading.Event()

    async def source() -> AsyncIterator[object]:
        try:
            yield 1
            yield 2
        finally:
            closed.set()

    held = [_iterate(source())]
    assert next(held[0]) == 1

    async def collect() -> None:
        held.clear()

    portal.run(collect())
    assert closed.wait(30)


def test_the_loop_is_not_waited_for_on_its_own_thread() -> None:
    async def inner() -> None: ...

    async def outer() -> None:
        portal.run(inner())

    with pytest.raises(RuntimeError, match="use the async client"):
        portal.run(outer())


def test_a_portal_that_was_forgotten_starts_again() -> None:
    async def answer() -> int:
        return 42

    one = Portal()
    assert one.run(answer()) == 42
    one.forget()
    assert one.run(answer()) == 42


def test_blocking_objects_can_be_copied(tmp_path: Path) -> None:
    answers = Script([httpx.Response(200, json={"id": "cust-1", "status": "running"})] * 2)
    with sync.NeMo.of(client(answers, tmp_path)) as nemo:
        job = copy.copy(nemo.customizer.job("cust-1"))
        assert (type(job).__name__, job.id) == ("SyncJob", "cust-1")
        assert copy.copy(nemo).customizer.job("cust-1").id == "cust-1"
    with pytest.raises(AttributeError):
        job.__missing__  # type: ignore[attr-defined] # noqa: B018
