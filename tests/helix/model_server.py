"""A small OpenAI-compatible server of a base model and an adapter, as behind the recorded gateway."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_FAIL = re.compile(r"fail (\d{3})")
_LOGPROB = {"token": "contract", "logprob": -0.1, "bytes": None}
_LOGPROBS = {
    "content": [
        {**_LOGPROB, "top_logprobs": [_LOGPROB, {"token": "tort", "logprob": -2.5, "bytes": None}]},
    ]
}


class ModelServer:
    """The server, with the requests that it received.

    Args:
        base: id of the base model.
        adapter: id of its adapter.
    """

    def __init__(self, base: str, adapter: str) -> None:
        self.models = [base, adapter]
        self.requests: list[dict[str, Any]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                """Stay quiet."""

            def do_GET(self) -> None:
                self._reply(200, {"object": "list", "data": [server.listed(each) for each in server.models]})

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"] or 0))
                try:
                    body = json.loads(content)
                except ValueError:
                    self._reply(400, {"error": {"message": "no JSON", "code": 400}})
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.requests.append({"path": self.path, "headers": headers, "body": body})
                status, answer = server.answer(body)
                if status == 200 and body.get("stream"):
                    self._stream(answer)
                else:
                    self._reply(status, answer)

            def _reply(self, status: int, answer: Any) -> None:
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                if status in (429, 503):
                    self.send_header("Retry-After", "7")
                self.end_headers()
                self.wfile.write(content)

            def _stream(self, answer: dict[str, Any]) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                start: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
                for delta in [*start, {"content": "contract"}, {"content": "-law"}, {}]:
                    choice = {"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}
                    head = {name: answer[name] for name in ("id", "created", "model")}
                    self._event(json.dumps({**head, "object": "chat.completion.chunk", "choices": [choice]}))
                self._event("[DONE]")
                self.wfile.write(b"0\r\n\r\n")

            def _event(self, data: str) -> None:
                chunk = f"data: {data}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                self.wfile.flush()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def listed(self, model: str) -> dict[str, Any]:
        """A model as the server lists it."""
        parent = None if model == self.models[0] else self.models[0]
        return {
            "id": model, "object": "model", "created": 0, "owned_by": "stub", "root": model, "parent": parent
        }  # fmt: skip

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer; the text ``fail 429`` in a request asks for that status."""
        failure = _FAIL.search(json.dumps(body.get("messages") or body.get("prompt")))
        if failure is not None:
            code = int(failure[1])
            error = {"message": f"stub says {code}", "type": "stub_error", "code": code}
            return code, {"error": error}
        if body["model"] not in self.models:
            return 404, {"error": {"message": f"The model `{body['model']}` does not exist.", "code": 404}}
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        if "messages" in body:
            choice["message"] = {"role": "assistant", "content": "contract-law"}
        else:
            choice["text"] = " contract-law"
        if body.get("logprobs"):
            choice["logprobs"] = _LOGPROBS
        return 200, {
            "id": "chatcmpl-1",
            "created": 1,
            "model": body["model"],
            "object": "chat.completion" if "messages" in body else "text_completion",
            "choices": [choice],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
        }


@contextmanager
def model_server(base: str, adapter: str) -> Iterator[ModelServer]:
    """Run a server until the block exits."""
    server = ModelServer(base, adapter)
    thread = threading.Thread(target=server.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.server.shutdown()
        server.server.server_close()
        thread.join()
