"""A process that serves one model over a socket.

Started as ``python -m lawtags_stack.engines.generation.worker --fd N --model FOLDER``. It receives the
messages ``generate``, ``cancel``, ``add_adapter`` and ``remove_adapter``. It sends ``ready`` or ``failed``
once, then per request ``piece`` (if streamed), ``done``, ``ok``, ``error``, ``cancelled``, or ``gone`` if its
adapter was removed. It exits when the socket is closed.
"""

from __future__ import annotations

import argparse
import queue
import socket
import sys
import threading
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.errors import ConfigurationError, LawtagsError
from lawtags_stack.chat.call_grammar import ToolChoice, call_grammar
from lawtags_stack.chat.call_reader import CallReader
from lawtags_stack.chat.messages import plain_tools
from lawtags_stack.engines.generation.answer_builder import failure
from lawtags_stack.engines.generation.request import Constraint, Piece, Sampling
from lawtags_stack.processes.environment import give_memory_back
from lawtags_stack.processes.frames import LARGEST, Message, pack, receive

if TYPE_CHECKING:
    from lawtags_stack.chat.call_format import ParsedCall
    from lawtags_stack.engines.generation.encoding import PromptEncoder
    from lawtags_stack.engines.generation.engine import Engine
    from lawtags_stack.engines.generation.request import Answer
    from lawtags_stack.engines.generation.rows import GenerationRow

_GATHER_SECONDS = 0.002
"""How long an idle worker waits for more requests, to run them as one batch."""

_AUTO: Message = {"mode": "auto"}

DEFAULT_ANSWER = 1024
"""Maximum number of answer tokens if the request sets no limit and the model has room."""


@dataclass(slots=True)
class _GenerationRequest:
    rows: int
    adapter: str | None
    stream: bool
    prompt_tokens: int
    calls: CallReader | None = None
    answers: list[Answer] = field(default_factory=list)


class GenerationWorker:
    """Runs an engine for requests that arrive as messages.

    Args:
        engine: the engine.
        connection: the socket for messages.
    """

    def __init__(self, engine: Engine, connection: socket.socket) -> None:
        self._engine = engine
        self._connection = connection
        self._inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._requests: dict[int, _GenerationRequest] = {}
        self._encoders: dict[str, PromptEncoder] = {}

    def run(self) -> None:
        """Process messages until the socket is closed."""
        threading.Thread(target=self._read, name="inbox", daemon=True).start()
        self._send(
            {
                "event": "ready",
                "max_length": self._engine.max_length,
                "chats": self._engine.encoder.chats,
                "computing": self._engine.computing,
            }
        )
        while self._take_messages():
            self._step()

    def _step(self) -> None:
        try:
            for row in self._engine.step():
                self._tell(row)
        except ConnectionError:
            raise  # the other side is gone
        except Exception as error:
            # A step handles failures of single rows. Any other error leaves the engine in an unknown state.
            traceback.print_exc()
            self._engine.reset()
            for number in list(self._requests):
                self._refuse(number, failure(error))

    def _read(self) -> None:
        try:
            while (message := receive(self._connection)) is not None:
                self._inbox.put(message)
        finally:
            self._inbox.put(None)

    def _take_messages(self) -> bool:
        """Handle the received messages, waiting for one if idle; False if the socket is closed."""
        was_idle = not self._engine.busy
        while True:
            try:
                message = self._next(was_idle)
            except queue.Empty:
                return True
            if message is None:
                return False
            self._handle(message)

    def _next(self, was_idle: bool) -> Message | None:
        if not self._engine.busy:
            return self._inbox.get()
        if was_idle:
            return self._inbox.get(timeout=_GATHER_SECONDS)
        return self._inbox.get_nowait()

    def _handle(self, message: Message) -> None:
        number = int(message["id"])
        try:
            if message["op"] == "generate":
                self._begin(number, message)
            elif message["op"] == "cancel":
                self._engine.cancel(number)
                self._requests.pop(number, None)
                self._send({"id": number, "event": "cancelled"})
            elif message["op"] == "add_adapter":
                self._drop_requests(message["name"])
                self._add_adapter(message)
                self._send({"id": number, "event": "ok"})
            elif message["op"] == "remove_adapter":
                self._drop_requests(message["name"])
                self._engine.remove_adapter(message["name"])
                self._encoders.pop(message["name"], None)
                self._send({"id": number, "event": "ok"})
        except (KeyboardInterrupt, SystemExit, ConnectionError):
            raise
        except BaseException as error:  # a panic in a Rust library is not an Exception
            if not isinstance(error, LawtagsError):
                traceback.print_exc()
            self._refuse(number, failure(error))

    def _add_adapter(self, message: Message) -> None:
        name, template = str(message["name"]), message.get("template")
        encoder = self._engine.encoder.with_template(Path(template)) if template else None
        self._engine.add_adapter(name, Path(message["config"]), Path(message["weights"]))
        self._encoders.pop(name, None)
        if encoder is not None:
            self._encoders[name] = encoder

    def _encoder(self, message: Message) -> PromptEncoder:
        """The prompt encoder for a request: an adapter may have its own chat template."""
        return self._encoders.get(str(message.get("adapter")), self._engine.encoder)

    def _refuse(self, number: int, error: LawtagsError) -> None:
        self._engine.cancel(number)
        self._requests.pop(number, None)
        # A server error has its own status; any other error is caused by the request.
        status = error.status or 400
        message = {"message": error.message, "hint": error.hint, "status": status}
        self._send({"id": number, "event": "error", **message})

    def _begin(self, number: int, message: Message) -> None:
        prompts = self._prompts(message)
        asked = self._sampling(message["sampling"], prompts)
        calls, asked = self._calls(message, asked)
        self._requests[number] = _GenerationRequest(
            rows=len(prompts) * asked.n,
            adapter=message.get("adapter"),
            stream=bool(message.get("stream")),
            prompt_tokens=sum(len(prompt) for prompt in prompts),
            calls=calls,
        )
        self._engine.submit(number, prompts, asked, adapter=message.get("adapter"))

    def _prompts(self, message: Message) -> list[list[int]]:
        if "messages" in message:
            # Tools that must not be called are not shown to the model.
            shown = message.get("tools") if message.get("tool_choice", _AUTO)["mode"] != "none" else None
            return [self._encoder(message).chat(message["messages"], shown)]
        prompts = message["prompts"]
        texts = self._engine.encoder.texts([prompt for prompt in prompts if isinstance(prompt, str)])
        encoded = iter(texts)
        return [next(encoded) if isinstance(prompt, str) else list(prompt) for prompt in prompts]

    def _sampling(self, value: Message, prompts: list[list[int]]) -> Sampling:
        if value.get("max_tokens") is not None:
            return Sampling.from_json(value)
        room = self._engine.max_length - max((len(prompt) for prompt in prompts), default=0)
        if room < 1:
            raise ConfigurationError(
                f"the prompt leaves no room for an answer in the model's {self._engine.max_length} tokens",
                hint="Shorten it.",
            )
        return Sampling.from_json({**value, "max_tokens": min(DEFAULT_ANSWER, room)})

    def _calls(self, message: Message, asked: Sampling) -> tuple[CallReader | None, Sampling]:
        """The parser for tool calls in answers, and the sampling with the grammar for them."""
        tools = plain_tools(message.get("tools"))
        if tools is None:
            return None, asked
        form, choice = self._encoder(message).calls, ToolChoice.from_json(message.get("tool_choice", _AUTO))
        names = [tool["function"]["name"] for tool in tools]
        reader = CallReader(form, names) if choice.mode != "none" else None
        if asked.constraint is not None:
            return reader, asked
        held = Constraint("grammar", call_grammar(tools, choice, form))
        try:
            self._engine.check_constraint(held)
        except ConfigurationError:
            if choice.mode != "auto":
                raise
            # If a schema cannot be enforced, the model can still answer: a call is still JSON.
            held = Constraint("grammar", call_grammar(tools, choice, form, open_arguments=True))
        return reader, replace(asked, constraint=held)

    def _drop_requests(self, adapter: str) -> None:
        for number in [n for n, request in self._requests.items() if request.adapter == adapter]:
            self._engine.cancel(number)
            del self._requests[number]
            self._send({"id": number, "event": "gone", "message": "the model was removed or replaced"})

    def _tell(self, row: GenerationRow) -> None:
        try:
            self._report(row)
        except ConnectionError:
            raise  # the other side is gone
        except Exception as error:  # only this answer failed to parse
            traceback.print_exc()
            assert isinstance(row.request, int)
            self._refuse(row.request, failure(error))

    def _report(self, row: GenerationRow) -> None:
        from lawtags_stack.engines.generation.engine import answer

        number = row.request
        assert isinstance(number, int)
        request = self._requests.get(number)
        if request is None:
            return
        if row.fault is not None:
            self._refuse(number, row.fault)
            return
        new, row.new_scores = row.new_scores, []
        row.scores += new
        done = answer(row) if row.finish is not None else None
        rest = ""
        calls: list[ParsedCall] = []
        if done is not None and request.calls is not None:
            rest, done.text, calls = request.calls.finish(row.index, done.text)
            done.calls = tuple(calls)
        if request.stream:
            text = row.stream.take(final=row.finish is not None)
            if request.calls is not None:
                text = request.calls.grow(row.index, text) if done is None else rest
            if text or new or row.finish is not None:
                piece = Piece(row.index, text, tuple(new), row.finish, tuple(calls))
                self._send({"id": number, "event": "piece", "piece": piece.as_json()})
        if done is None:
            return
        request.answers.append(done)
        if len(request.answers) == request.rows:
            self._finish(number, request)

    def _finish(self, number: int, request: _GenerationRequest) -> None:
        del self._requests[number]
        answers = sorted(request.answers, key=lambda each: each.index)
        self._send(
            {
                "id": number,
                "event": "done",
                "answers": [each.as_json() for each in answers],
                "prompt_tokens": request.prompt_tokens,
                "completion_tokens": sum(each.tokens for each in answers),
            }
        )

    def _send(self, message: Message) -> None:
        packed = pack(message)
        if len(packed) > LARGEST:
            error = f"the answer has {len(packed) >> 20} MiB; the limit is {LARGEST >> 20} MiB"
            hint = "Ask for fewer answers, tokens or log-probabilities."
            packed = pack({"id": message["id"], "event": "error", "message": error, "hint": hint})
        self._connection.sendall(packed)


def main(arguments: list[str] | None = None) -> int:
    """Load the model, send ``ready``, and process messages until the socket is closed."""
    parser = argparse.ArgumentParser(prog="lawtags-inference-worker")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    options = parser.parse_args(arguments)
    connection = socket.socket(fileno=options.fd)
    try:
        engine = _load(options)
    except Exception as error:  # a broken model makes libraries raise anything
        if not isinstance(error, LawtagsError):
            traceback.print_exc()
        connection.sendall(pack({"event": "failed", **_reason(error)}))
        return 1
    try:
        GenerationWorker(engine, connection).run()
    except (BrokenPipeError, ConnectionResetError):
        return 0  # the parent process is gone
    return 0


def _reason(error: Exception) -> Message:
    if isinstance(error, LawtagsError):
        return {"message": error.message, "hint": error.hint}
    lines = str(error).strip().splitlines() or [""]
    return {"message": f"{type(error).__name__}: {lines[0][:300]}", "hint": None}


def _load(options: argparse.Namespace) -> Engine:
    import torch

    from lawtags_stack.engines.device import Compute
    from lawtags_stack.engines.generation.engine import Engine

    if options.threads:
        torch.set_num_threads(options.threads)
    # First, since a missing device is detected immediately.
    compute = Compute.choose(options.device, options.precision)
    engine = Engine.load(options.model, compute=compute)
    # Generate one token: a model whose logits are NaN, or that cannot run at all, is not ready.
    engine.generate([[0]], Sampling(max_tokens=1, temperature=0))
    give_memory_back()  # the weights as loaded from the file, a quarter of the memory
    return engine


if __name__ == "__main__":
    sys.exit(main())
