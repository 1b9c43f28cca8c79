"""Compares the client with the official SDK, openai's client and huggingface_hub.

    python benchmarks/client.py                         all parts, about 15 minutes
    python benchmarks/client.py import calls --repeats 5 --out client.json

Parts: ``import`` (CPU time and memory of new processes), ``calls`` (CPU time per call at 1, 64 and 256 in
flight), ``follow`` (1,000 jobs that end within a minute), ``tag_many`` (against servers of fixed latency and
capacity, compared with the best fixed concurrency), ``check`` (training rows), ``upload`` (to the embedded
stack, twice). Every measurement runs in its own process; figures are medians over the repeats.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from lawtags_client.files import atomic_write_json

HERE = Path(__file__).parent
JOBS, MINUTE = 1000, 60.0
IN_FLIGHT = (1, 64, 256)
# Settings of the server, and the fixed concurrencies to compare with.
MODELS: Mapping[str, tuple[str, Sequence[int]]] = {
    "50 ms, 16 places": ("/model/50/16", (8, 16, 24, 32)),
    "500 ms, 32 places": ("/model/500/32", (16, 32, 48, 64)),
    "500 ms, 64 places": ("/model/500/64", (64, 96)),
    "500 ms, 100 places": ("/model/500/100", (64, 100)),
    "batches, 20 ms a word and 1 ms a request": ("/batch/20/1", (32, 64, 100)),
    "batches, 20 ms a word and 5 ms a request": ("/batch/20/5", (32, 100)),
}
ROWS = 2000
STARTS: Mapping[str, str] = {
    "bare python": "pass",
    "import lawtags_client": "import lawtags_client",
    "lawtags, ready": "from lawtags_client import NeMo\n"
    "nemo = NeMo.from_env(platform_url='http://127.0.0.1:1', environ={})\nnemo.customizer.jobs\n"
    "import asyncio, httpx\n"
    "asyncio.run(nemo._transport.connections.client(httpx.URL('http://127.0.0.1:1'), repeatable=True))",
    "import nemo_microservices": "import nemo_microservices",
    "nemo-microservices, ready": "from nemo_microservices import AsyncNeMoMicroservices\n"
    "AsyncNeMoMicroservices(base_url='http://127.0.0.1:1').customization.jobs",
    "import openai": "import openai",
    "openai, ready": "from openai import AsyncOpenAI\n"
    "AsyncOpenAI(base_url='http://127.0.0.1:1', api_key='x').chat.completions",
    "huggingface_hub, ready": "from huggingface_hub import HfApi\nHfApi()",
    "lawtags --help": "import sys\nsys.argv = ['lawtags', '--help']\n"
    "from lawtags_client.cli import main\ntry: main()\nexcept SystemExit: pass",
}
# Appended to each snippet: CPU time, modules, and the peak memory of this program (not of its parent).
_TELL = """
import resource as _r, sys as _s
_u = _r.getrusage(_r.RUSAGE_SELF)
_m = len(_s.modules)
_h = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
_s.stderr.write(f"{(_u.ru_utime + _u.ru_stime) * 1000} {int(_h) / 1024} {_m}")
"""


def in_process(part: str, **options: Any) -> dict[str, Any]:
    """Run one measurement in a new process."""
    command = [sys.executable, str(HERE / "client_sides.py"), part, json.dumps(options)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def middle(repeats: int, measure: Callable[[], Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    found = [measure() for _ in range(repeats)]
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


@contextmanager
def small_server() -> Iterator[str]:
    """Run the server of ``client_server.py`` in a process."""
    command = [sys.executable, str(HERE / "client_server.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        yield server.stdout.readline().strip()
        server.stdin.close()


@contextmanager
def stack(folder: Path) -> Iterator[str]:
    """Run the embedded stack in a process; yields the URL of its Data Store."""
    up = ["local", "up", "--json", "--dir", str(folder / "stack"), "--port", "0"]
    command = [sys.executable, "-c", "from lawtags_client.cli import main; main()", *up]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        assert running.stdout is not None
        try:
            yield json.loads(running.stdout.readline())["data_store_url"]
        finally:
            running.terminate()


class Relay:
    """Forwards bytes to a server, and counts them."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self.sent = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._upstream)
        await asyncio.gather(self._pass_on(reader, back, True), self._pass_on(there, writer, False))

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, counted: bool) -> None:
        try:
            while data := await source.read(1 << 18):
                self.sent += len(data) * counted
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()


def measure_import(repeats: int) -> dict[str, Any]:
    """CPU time, memory and modules of new processes."""

    def start(code: str) -> dict[str, float]:
        ended = subprocess.run(
            [sys.executable, "-c", code + _TELL], capture_output=True, text=True, check=True
        )
        milliseconds, mib, modules = map(float, ended.stderr.split()[-3:])
        return {"cpu_milliseconds": milliseconds, "mib": mib, "modules": modules}

    return {name: middle(repeats, lambda code=code: start(code)) for name, code in STARTS.items()}  # type: ignore[misc]


def measure_calls(repeats: int) -> dict[str, Any]:
    """CPU time per call."""
    sides = {"job": ("lawtags", "nemo-microservices"), "chat": ("lawtags", "nemo-microservices", "openai")}
    found: dict[str, Any] = {}
    with small_server() as url:
        for kind, names in sides.items():
            for number in IN_FLIGHT:
                for side in names:
                    total = 2048 if side == "lawtags" else 1024
                    options = {"side": side, "kind": kind, "url": url, "in_flight": number, "total": total}
                    figures = middle(repeats, lambda options=options: in_process("calls", **options))  # type: ignore[misc]
                    found.setdefault(kind, {}).setdefault(str(number), {})[side] = figures
    return found


def measure_follow(_: int) -> dict[str, Any]:
    """Follow jobs for one minute per client."""
    found = {}
    for side, every in (("lawtags", 0.0), ("nemo-microservices", 30.0)):
        with small_server() as url:
            options = {"jobs": JOBS, "minute": MINUTE, "every": every}
            found[side] = in_process("follow", side=side, url=url, **options)
    return found


def measure_tag_many(_: int) -> dict[str, Any]:
    """Adaptive concurrency, compared with fixed concurrencies."""
    found = {}
    for model, (path, numbers) in MODELS.items():
        tried = {}
        for number in [None, *numbers]:
            with small_server() as url:
                urlopen(f"{url}{path}").read()
                urlopen(f"{url}/begin").read()
                figures = in_process("tag", url=url, rows=ROWS, concurrency=number)
                took = sorted(json.loads(urlopen(f"{url}/stats").read())["took"])
            figures["p99_milliseconds"] = took[int(0.99 * len(took)) - 1] * 1000
            tried["found out" if number is None else str(number)] = figures
        by_hand = {name: figures for name, figures in tried.items() if name != "found out"}
        # The lowest concurrency within one percent of the best.
        most = max(figures["rows_a_second"] for figures in by_hand.values())
        best = next(name for name, one in by_hand.items() if one["rows_a_second"] >= 0.99 * most)
        found[model] = {"best_by_hand": best, "tried": tried}
    return found


def measure_check(repeats: int) -> dict[str, Any]:
    """40,000 rows of 43 MB."""
    chance = random.Random(0)
    words = ["landlord", "contract", "court", "may", "the", "tenant", "damages", "of", "in", "§ 5", "statute"]
    with tempfile.TemporaryDirectory() as folder:
        for split, count in (("training", 40_000), ("validation", 100)):
            (Path(folder) / split).mkdir()
            with (Path(folder) / split / "rows.jsonl").open("w", encoding="utf-8") as lines:
                for number in range(count):
                    body = " ".join(chance.choices(words, k=157))
                    row = {
                        "prompt": f"Title: Question {split} {number}\n{body}\nTags:",
                        "completion": " contract-law, tort",
                    }
                    lines.write(json.dumps(row, ensure_ascii=False) + "\n")
        return {
            side: middle(repeats, lambda side=side: in_process("check", side=side, folder=folder))  # type: ignore[misc]
            for side in ("lawtags", "json and pandas")
        }


def measure_upload(_: int) -> dict[str, Any]:
    """One large file, and many small ones, uploaded twice each."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as root, stack(Path(root)) as url:
        shapes = {"one file of 512 MB": (1, 512 << 20), "2,000 files of 10 kB": (2000, 10_000)}
        for shape, (count, size) in shapes.items():
            folder = Path(root) / str(count)
            for number in range(count):
                path = folder / f"part-{number % 20:02}" / f"{number}.bin"
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    for _ in range(0, size, 1 << 20):
                        file.write(os.urandom(min(size, 1 << 20)))
            for side in ("lawtags", "huggingface_hub"):
                relay = Relay(url)
                name = f"bench-{side.replace('_', '-')}/files-{count}"
                passes = []
                for _ in range(2):
                    before = relay.sent
                    figures = in_process("upload", side=side, url=relay.url, folder=str(folder), name=name)
                    figures["bytes_sent"] = relay.sent - before
                    figures["megabytes_a_second"] = count * size / 1e6 / figures["seconds"]
                    passes.append(figures)
                found.setdefault(shape, {})[side] = {"first": passes[0], "again": passes[1]}
                # Content that another client has already sent would be skipped.
                for path in folder.rglob("*.bin"):
                    with path.open("r+b") as file:
                        file.write(os.urandom(64))
    return found


MEASURES: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "import": measure_import,
    "calls": measure_calls,
    "follow": measure_follow,
    "tag_many": measure_tag_many,
    "check": measure_check,
    "upload": measure_upload,
}


def leaves(value: Any, path: Sequence[str] = ()) -> Iterator[tuple[Sequence[str], dict[str, Any]]]:
    """The innermost groups of figures."""
    if not isinstance(value, dict):
        return
    if any(not isinstance(inner, dict) for inner in value.values()) and "tried" not in value:
        yield path, value
        return
    for name, inner in value.items():
        yield from leaves(inner, [*path, name])


def show(report: Mapping[str, Any]) -> None:
    """Print figures and ratios."""
    for part, found in report["parts"].items():
        print(f"\n{part}  (load {found['load'][0]:.1f} before, {found['load'][1]:.1f} after)")
        for path, figures in leaves(found["figures"]):
            shown = "  ".join(f"{name} {value:,.4g}" for name, value in figures.items())
            print(f"  {' · '.join(path):48} {shown}")
        for kind, rows in found["figures"].items() if part == "calls" else ():
            for number, sides in rows.items():
                mine = sides["lawtags"]["microseconds"]
                others = [f"{n} {f['microseconds'] / mine:.1f}" for n, f in sides.items() if n != "lawtags"]
                print(f"  {kind}, {number} in flight: times the calls a CPU second of {', '.join(others)}")
        for name, one in found["figures"].items() if part == "tag_many" else ():
            mine, best = one["tried"]["found out"], one["tried"][one["best_by_hand"]]
            share = mine["rows_a_second"] / best["rows_a_second"]
            slower = mine["p99_milliseconds"] / best["p99_milliseconds"]
            print(
                f"  {name}: {share:.1%} of the best by hand ({one['best_by_hand']}), p99 {slower:.2f} times"
            )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", choices=[*MEASURES, []], help="all of them by default")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a file for all figures, as JSON")
    arguments = parser.parse_args()
    report: dict[str, Any] = {"python": sys.version.split()[0], "repeats": arguments.repeats, "parts": {}}
    for part in arguments.parts or MEASURES:
        before = os.getloadavg()[0]
        figures = MEASURES[part](arguments.repeats)
        report["parts"][part] = {"load": [before, os.getloadavg()[0]], "figures": figures}
        show({"parts": {part: report["parts"][part]}})
    if arguments.out:
        atomic_write_json(arguments.out, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
