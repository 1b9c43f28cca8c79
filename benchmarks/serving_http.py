"""Tagging throughput over the whole path: HTTP, the stack and its worker process.

    python benchmarks/serving_http.py --clients 16 --rows 400
    python benchmarks/serving_http.py --beside http://127.0.0.1:8080 --beside-pid PID

Each request is one prompt, for one token with its 20 most likely alternatives or for an answer of 16 tokens.
Each client sends its requests sequentially over a persistent connection. ``--beside`` sends the same requests
to another server with OpenAI's API, such as llama.cpp's.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent))

from serving import BODY_TOKENS, read_questions
from stack import StackProcess, cpu_seconds, memory_mb, running

from lawtags_client.files import atomic_write_json
from lawtags_stack.base_models import DEFAULT_BASE_MODEL, ensure_default_base_model

SCORE = {"max_tokens": 1, "temperature": 0, "logprobs": 20}
ANSWER = {"max_tokens": 16, "temperature": 0}
_WORDS = BODY_TOKENS * 3 // 4  # approximate number of words for a body's tokens


def prompts(path: Path, rows: int) -> dict[str, list[str]]:
    """Titles, and bodies of about the stated length."""
    questions = read_questions(path, rows)
    titles = [f"Title: {question['title']}\nTags:" for question in questions]
    texts = [
        f"Title: {question['title']}\n{question['body'] or question['title']} " for question in questions
    ]
    bodies = [" ".join((text * _WORDS).split()[:_WORDS]) for text in texts[: max(1, rows // 8)]]
    return {"titles": titles, "bodies": bodies}


class Asking:
    """Concurrent clients that share a list of prompts.

    Args:
        url: the server, without ``/v1``.
        model: the model's name there.
        texts: the prompts.
        asked: the other fields of the request.
    """

    def __init__(self, url: str, model: str, texts: Sequence[str], asked: dict[str, Any]) -> None:
        self._address = urlsplit(url).netloc
        self._bodies = [json.dumps({"model": model, "prompt": text, **asked}) for text in texts]
        self._left = iter(self._bodies)
        self._lock = threading.Lock()
        self._faults: list[str] = []

    def run(self, clients: int) -> float:
        """Return the seconds until all prompts are answered.

        Raises:
            RuntimeError: a request failed.
        """
        threads = [threading.Thread(target=self._client) for _ in range(clients)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._faults:
            raise RuntimeError(self._faults[0])
        return time.perf_counter() - started

    def _client(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=600)
        while True:
            with self._lock:
                body = next(self._left, None)
            if body is None or self._faults:
                break
            connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                self._faults.append(f"{answer.status}: {text[:300]!r}")
        connection.close()


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure all kinds of work, on this stack and on the other server."""
    ensure_default_base_model()
    texts = prompts(arguments.questions, arguments.rows)
    kinds = {
        "titles": (texts["titles"], SCORE),
        "bodies": (texts["bodies"], SCORE),
        "answers": (texts["titles"], ANSWER),
    }
    report: dict[str, Any] = {"clients": arguments.clients, "precision": arguments.precision, "kinds": {}}
    threads = {"OMP_NUM_THREADS": str(arguments.threads)} if arguments.threads else {}
    with tempfile.TemporaryDirectory() as folder:
        options = ("--inference-precision", arguments.precision)
        with running(Path(folder) / "stack", *options, environment=threads) as stack:
            url = stack.address["inference_url"]
            Asking(url, DEFAULT_BASE_MODEL, texts["titles"][:2], SCORE).run(1)
            worker = worker_pid(stack)
            for kind, (some, asked) in kinds.items():
                before = [cpu_seconds(pid) for pid in (stack.pid, worker)]
                seconds = Asking(url, DEFAULT_BASE_MODEL, some, asked).run(arguments.clients)
                server, model = (cpu_seconds(p) - b for p, b in zip((stack.pid, worker), before, strict=True))
                report["kinds"][kind] = {
                    "requests": len(some),
                    "per_second": round(len(some) / seconds, 2),
                    "per_cpu_second": round(len(some) / (server + model), 2),
                    "server_share": round(server / (server + model), 3),
                }
            report["memory_mb"] = {"server": memory_mb(stack.pid), "worker": memory_mb(worker)}
    if arguments.beside:
        for kind, (some, asked) in kinds.items():
            used = cpu_seconds(arguments.beside_pid)
            Asking(arguments.beside, arguments.beside_model, some, asked).run(arguments.clients)
            used = cpu_seconds(arguments.beside_pid) - used
            report["kinds"][kind]["beside_per_cpu_second"] = round(len(some) / used, 2)
        report["memory_mb"]["other server"] = memory_mb(arguments.beside_pid)
    report["load_average"] = os.getloadavg()
    return report


def worker_pid(stack: StackProcess) -> int:
    """The pid of the worker process that holds the model."""
    with urllib.request.urlopen(f"{stack.address['platform_url']}/v1/stack/status") as answer:
        status = json.load(answer)
    return int(status["services"]["nim"]["workers"][DEFAULT_BASE_MODEL])


def main() -> None:
    """Measure and print."""
    from lawtags_client import sample

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=Path, default=sample.path())
    parser.add_argument(
        "--rows", type=int, default=200, help="number of titles; there are an eighth as many bodies"
    )
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1, help="worker threads; 0 for all cores")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--beside", metavar="URL", help="URL of another server, without /v1")
    parser.add_argument("--beside-pid", type=int, help="pid of that server, to measure its CPU time")
    parser.add_argument("--beside-model", default=DEFAULT_BASE_MODEL)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.beside and not arguments.beside_pid:
        parser.error("--beside needs --beside-pid")
    report = measure(arguments)
    for kind, row in report["kinds"].items():
        print(
            f"{kind:8} {row['per_second']:7.2f} a second, {row['per_cpu_second']:.2f} a CPU second, "
            f"of which the server takes {100 * row['server_share']:.1f} %"
        )
        if arguments.beside:
            print(f"{'':8} the other server: {row['beside_per_cpu_second']:.2f} a CPU second")
    for name, memory in report["memory_mb"].items():
        print(f"memory of the {name}: {memory['now']} MB, at most {memory['peak']} MB")
    print(f"{arguments.precision}; load average after: {report['load_average'][0]:.1f}")
    if arguments.out:
        atomic_write_json(arguments.out, report)


if __name__ == "__main__":
    main()
