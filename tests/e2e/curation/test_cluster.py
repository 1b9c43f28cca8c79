"""A Dask cluster of worker processes gives what one process gives, also when it loses one of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import distributed
import pytest

from lawtags_client.curation import CurationOptions, CurationProgress, PiiOptions, curate
from lawtags_client.errors import ConfigurationError

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="kills a process by signal"),
    # The library's own sockets, when a worker it talked to is gone.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

Write = Callable[..., Path]
OPTIONS = CurationOptions(pii=PiiOptions(entities=("EMAIL_ADDRESS", "URL")), max_bad=0.5)


def _files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.jsonl"))}


def _start(*words: str) -> subprocess.Popen[bytes]:
    environ = os.environ | {"OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", *words],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler on loopback and two workers, which are processes that nobody starts again."""
    with contextlib.ExitStack() as stack:
        scheduler = stack.enter_context(
            distributed.LocalCluster(n_workers=0, processes=True, host="127.0.0.1", dashboard_address=None)
        )
        address = scheduler.scheduler_address
        workers = []
        for name in ("one", "two"):
            folder = str(tmp_path / name)
            worker = _start(
                address, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", folder
            )
            workers.append(worker)
            stack.callback(worker.wait)
            stack.callback(worker.kill)
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield address, workers


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_writes_the_same_bytes(
    questions: list[dict[str, Any]],
    write: Write,
    tmp_path: Path,
    cluster: tuple[str, list[subprocess.Popen[bytes]]],
) -> None:
    address, workers = cluster
    path = write([*questions, b"broken", questions[3] | {"question_id": 5, "score": 99}])
    local = curate([path], tmp_path / "local", OPTIONS)

    with distributed.Client(address, set_as_default=False) as client:
        given = curate([path], tmp_path / "given", OPTIONS, scheduler=client, partition_rows=50)
        assert client.status == "running"
    assert _files(tmp_path / "given") == _files(tmp_path / "local")

    killed: list[int] = []

    def kill_in_the_middle(progress: CurationProgress) -> None:
        if progress.step == "cleaning" and progress.done and not killed:
            assert progress.total is not None
            assert progress.done < progress.total
            workers[0].send_signal(signal.SIGKILL)
            killed.append(workers[0].wait())

    addressed = curate(
        [path],
        tmp_path / "out",
        OPTIONS,
        scheduler=address,
        partition_rows=10,
        on_progress=kill_in_the_middle,
    )
    assert killed == [-signal.SIGKILL]
    assert workers[1].poll() is None
    assert _files(tmp_path / "out") == _files(tmp_path / "local")
    assert addressed.digest == given.digest == local.digest


def test_a_cluster_without_workers_is_refused(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    with (
        distributed.LocalCluster(
            n_workers=0, processes=True, host="127.0.0.1", dashboard_address=None
        ) as empty,
        pytest.raises(ConfigurationError, match="no workers"),
    ):
        curate([write(questions)], tmp_path / "out", OPTIONS, scheduler=empty.scheduler_address)
