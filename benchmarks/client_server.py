"""The server for client benchmarks: a few responses on loopback, as cheap as possible.

    python benchmarks/client_server.py            prints its address, and serves until its input is closed

It has a training job; a list of 1,000 jobs that end one by one within a minute of ``/begin``; and a model of
fixed latency with a limited concurrency, set by ``/model/MILLISECONDS/PLACES``, or one that generates ten
words for all requests as a batch, where a word takes a base time plus a time per request, set by
``/batch/MILLISECONDS/MORE``. ``/stats`` reports the number of requests since the last ``/begin``, and the
latencies of the model.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from typing import Any

JOBS, MINUTE = 1000, 60.0
WORDS = 10

JOB = {
    "created_at": "2025-06-20T04:20:21.387984",
    "updated_at": "2025-06-20T04:20:21.387989",
    "namespace": "default",
    "config": "meta/llama-3.2-1b-instruct@v1.0.0+80GB",
    "dataset": "law/tags",
    "hyperparameters": {
        "training_type": "sft",
        "finetuning_type": "lora",
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 0.0001,
        "lora": {"adapter_dim": 32, "alpha": 16, "adapter_dropout": 0.1},
    },
    "output_model": "law/tagger@v1",
    "status_details": {
        "created_at": "2025-06-20T04:20:22.061480",
        "updated_at": "2025-06-20T04:20:22.061480",
        "steps_completed": 12,
        "epochs_completed": 0,
        "percentage_done": 0.0,
        "status_logs": [{"updated_at": "2025-06-20T04:20:22.061480", "message": "created"}],
    },
    "custom_fields": {},
}
CHOICE = {"index": 0, "finish_reason": "stop"}
MESSAGE = {"role": "assistant", "content": "contract, tort"}
HEAD = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: r-1\r\ncontent-length: %d\r\n\r\n"


def answer(value: Any) -> bytes:
    """Encode a complete response."""
    body = json.dumps(value).encode()
    return (HEAD % len(body)).encode() + body


class State:
    """The state of the server."""

    def __init__(self) -> None:
        self.latency, self.places, self.busy = 0.0, 1, 0
        self.word: tuple[float, float] | None = None
        self.writing: list[tuple[float, Server, int]] = []
        self.waiting: deque[tuple[float, Server]] = deque()
        self.begin()
        self.one = answer({"id": "cust-still", "status": "running", **JOB})
        self.chat = answer(self.completion("chat.completion", message=MESSAGE))
        self.text = answer(self.completion("text_completion", text=" contract, tort"))

    @staticmethod
    def completion(kind: str, **choice: Any) -> dict[str, Any]:
        """A response of the model."""
        usage = {"prompt_tokens": 40, "completion_tokens": 4, "total_tokens": 44}
        choices = [{**CHOICE, **choice}]
        return {
            "id": "cmpl-1",
            "object": kind,
            "created": 1,
            "model": "m",
            "choices": choices,
            "usage": usage,
        }

    def begin(self) -> None:
        """Reset the counters and start the clock."""
        self.begun, self.requests, self.took = time.monotonic(), 0, list[float]()

    def job(self, number: int) -> dict[str, Any]:
        """A job of the list."""
        ended = time.monotonic() - self.begun >= MINUTE * number / JOBS
        return {"id": f"cust-{number}", "status": "completed" if ended else "running", **JOB}

    def listed(self, query: str) -> bytes:
        """A page of the list, newest first."""
        asked = dict(part.split("=", 1) for part in query.split("&") if "=" in part)
        page, size = int(asked.get("page", 1)), int(asked.get("page_size", 10))
        numbers = range(JOBS - 1, -1, -1)[(page - 1) * size : page * size]
        found = {
            "page": page,
            "page_size": size,
            "current_page_size": len(numbers),
            "total_pages": -(-JOBS // size),
            "total_results": JOBS,
        }
        jobs = [self.job(number) for number in numbers]
        return answer({"object": "list", "data": jobs, "pagination": found})


class Server(asyncio.Protocol):
    """One connection."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.unread += data
        while (end := self.unread.find(b"\r\n\r\n")) >= 0:
            head, length = self.unread[:end], 0
            for line in head.split(b"\r\n"):
                if line[:15].lower() == b"content-length:":
                    length = int(line[15:])
            if len(self.unread) < end + 4 + length:
                return
            self.unread = self.unread[end + 4 + length :]
            self.act(head.split(b" ", 2)[1].decode())

    def act(self, target: str) -> None:
        """Handle a request."""
        state = self.state
        path, _, query = target.partition("?")
        if path == "/stats":
            self.transport.write(answer({"requests": state.requests, "took": state.took}))
            return
        state.requests += 1
        if path == "/v1/completions" and state.word:
            self.join()
        elif path == "/v1/completions" and state.latency:
            self.queue()
        elif path == "/v1/completions":
            self.transport.write(state.text)
        elif path == "/v1/chat/completions":
            self.transport.write(state.chat)
        elif path == "/v1/customization/jobs":
            self.transport.write(state.listed(query))
        elif path == "/begin":
            state.begin()
            self.transport.write(answer({}))
        elif path.startswith("/batch/"):
            word, more = path.split("/")[2:]
            state.word = int(word) / 1000, int(more) / 1000
            self.transport.write(answer({}))
        elif path.startswith("/model/"):
            milliseconds, places = path.split("/")[2:]
            state.latency, state.places = int(milliseconds) / 1000, int(places)
            self.transport.write(answer({}))
        elif path.startswith("/v1/customization/jobs/cust-") and path[-1].isdigit():
            self.transport.write(answer(state.job(int(path.rpartition("-")[2]))))
        else:
            self.transport.write(state.one)

    def queue(self) -> None:
        """Respond after the model's latency, once a slot is free."""
        state = self.state
        state.waiting.append((time.monotonic(), self))
        self.serve()

    def serve(self) -> None:
        """Assign free slots to waiting requests."""
        state = self.state
        while state.waiting and state.busy < state.places:
            state.busy += 1
            asyncio.get_running_loop().call_later(state.latency, self.served, *state.waiting.popleft())

    def join(self) -> None:
        """Add a request to the batch."""
        state = self.state
        state.writing.append((time.monotonic(), self, WORDS))
        if len(state.writing) == 1:
            self.write_a_word()

    def write_a_word(self) -> None:
        """Generate one word of each answer after its time."""
        state = self.state
        assert state.word is not None
        took = state.word[0] + state.word[1] * len(state.writing)
        asyncio.get_running_loop().call_later(took, self.written)

    def written(self) -> None:
        """Add one word to each answer."""
        state = self.state
        writing = [(came, asker, left - 1) for came, asker, left in state.writing]
        state.writing = [entry for entry in writing if entry[2]]
        for came, asker, left in writing:
            if not left:
                state.took.append(time.monotonic() - came)
                asker.transport.write(state.text)
        if state.writing:
            self.write_a_word()

    def served(self, came: float, asker: Server) -> None:
        """Release a slot."""
        state = self.state
        state.busy -= 1
        state.took.append(time.monotonic() - came)
        asker.transport.write(state.text)
        self.serve()


async def main() -> None:
    """Serve until standard input closes."""
    loop, state = asyncio.get_running_loop(), State()
    server = await loop.create_server(lambda: Server(state), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
