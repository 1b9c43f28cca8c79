"""The embedded stack itself: startup time, requests per second, memory of its processes.

    python benchmarks/stack.py --requests 500 --out stack.json

The stack runs in its own process; its CPU seconds come from the operating system, so they are meaningful on a
busy machine. Requests use persistent connections of ``http.client``.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lawtags_client.files import atomic_write_json

_TICKS = os.sysconf("SC_CLK_TCK")
CONFIG = "huggingfacetb/smollm2-135m-instruct@v1.0.0+cpu"
Request = tuple[str, str, dict[str, Any] | None]


class StackProcess:
    """A stack in its own process."""

    def __init__(self, folder: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "lawtags_client.cli.local", "up", "--json", "--port", "0"]
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [*command, "--dir", str(folder), *options],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        assert self._process.stdout is not None
        self.address: dict[str, Any] = json.loads(self._process.stdout.readline())
        self.seconds_to_ready = time.perf_counter() - started
        self.pid = self._process.pid

    def cpu_seconds(self) -> float:
        """CPU seconds of the process so far."""
        return cpu_seconds(self.pid)

    def memory_mb(self) -> dict[str, float]:
        """Current and peak memory of the process."""
        return memory_mb(self.pid)

    def stop(self) -> None:
        """Stop the process."""
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate()


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mb(pid: int) -> dict[str, float]:
    """Current and peak memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    found = {line.partition(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return {name: round(int(found[key]) / 1024, 1) for name, key in (("now", "VmRSS"), ("peak", "VmHWM"))}


@contextmanager
def running(
    folder: Path, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[StackProcess]:
    """Run a stack for the duration of the block.

    Args:
        folder: its data folder.
        options: additional options of ``lawtags local up``.
        environment: additional environment variables.
    """
    stack = StackProcess(folder, *options, environment=environment)
    try:
        yield stack
    finally:
        stack.stop()


def starts(folder: Path, times: int) -> dict[str, Any]:
    """Startup times: first on an empty folder, then on the existing one."""
    seconds, used = [], []
    for _ in range(times):
        with running(folder) as stack:
            seconds.append(round(stack.seconds_to_ready, 3))
            used.append(round(stack.cpu_seconds(), 3))
    return {"seconds": seconds, "median": statistics.median(seconds), "cpu_seconds": statistics.median(used)}


def load(stack: StackProcess, request: Request, count: int, clients: int) -> dict[str, Any]:
    """Send the same request repeatedly from concurrent clients."""
    taken: list[float] = []
    url, each = stack.address["platform_url"], count // clients
    before, started = stack.cpu_seconds(), time.perf_counter()
    threads = [threading.Thread(target=_client, args=(url, request, each, taken)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, used = time.perf_counter() - started, stack.cpu_seconds() - before
    taken.sort()
    return {
        "requests": len(taken),
        "clients": clients,
        "p50_ms": round(1000 * statistics.median(taken), 2),
        "p99_ms": round(1000 * taken[int(0.99 * (len(taken) - 1))], 2),
        "per_second": round(len(taken) / seconds, 1),
        "per_cpu_second": round(len(taken) / max(used, 1 / _TICKS), 1),
    }


def _client(url: str, request: Request, count: int, taken: list[float]) -> None:
    method, path, body = request
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    data = json.dumps(body) if body is not None else None
    for _ in range(count):
        began = time.perf_counter()
        connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        taken.append(time.perf_counter() - began)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status}")
    connection.close()


def measure(folder: Path, requests: int) -> dict[str, Any]:
    """Measure everything."""
    report: dict[str, Any] = {"load_average": os.getloadavg(), "start": starts(folder / "started", 5)}
    with running(folder / "asked") as stack:
        report["memory_mb"] = {"after start": stack.memory_mb()}
        kinds: dict[str, Request] = {
            "create a data set": ("POST", "/v1/datasets", {"files_url": "hf://datasets/a/b"}),
            "read a config": ("GET", f"/v1/customization/configs/{CONFIG}", None),
            "list ten of many": ("GET", "/v1/datasets?sort=-created_at", None),
            "list with a filter": ("GET", "/v1/datasets?filter[project]=none", None),
            "health": ("GET", "/health", None),
        }
        report["requests"] = [
            {"kind": kind, **load(stack, request, requests, clients)}
            for kind, request in kinds.items()
            for clients in (1, 16)
        ]
        report["memory_mb"]["after the requests"] = stack.memory_mb()
    return report


def show(report: dict[str, Any]) -> None:
    """The figures as tables."""
    start = report["start"]
    print(f"start to ready: {start['median']:.2f} s, {start['cpu_seconds']:.2f} CPU seconds (median of five)")
    print("\n| request | clients | p50 ms | p99 ms | a second | a CPU second |\n| --- " + "| ---: " * 5 + "|")
    for row in report["requests"]:
        figures = (row["clients"], row["p50_ms"], row["p99_ms"], row["per_second"], row["per_cpu_second"])
        print(f"| {row['kind']} | {' | '.join(f'{figure:g}' for figure in figures)} |")
    print()
    for when, memory in report["memory_mb"].items():
        print(f"memory {when}: {memory['now']} MB, at most {memory['peak']} MB")
    print("load average before: " + ", ".join(f"{each:.1f}" for each in report["load_average"]))


def main() -> None:
    """Measure, print, and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=800, help="requests of each kind")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder), arguments.requests)
    show(report)
    if arguments.out:
        atomic_write_json(arguments.out, report)


if __name__ == "__main__":
    main()
