"""Fake workers that speak the real protocol without a model, so that many of them can be started.

``python -m small_worker --fd N …`` replaces the generation process, ``python -m small_encoder`` the embedding
process. A prompt that starts with ``together`` waits briefly for others and runs with them; ``exit`` or the
name of a signal in a prompt ends the process.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
from typing import Any

from lawtags_stack.processes.frames import pack, receive

_TOGETHER_SECONDS = 0.2
_ENDS = {"SIGKILL": signal.SIGKILL, "SIGSEGV": signal.SIGSEGV}
Message = dict[str, Any]


def main() -> None:
    """Answer every request with the names of the loaded adapters."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int)
    options, _ = parser.parse_known_args()
    connection = socket.socket(fileno=options.fd)
    connection.sendall(pack({"event": "ready", "computing": "nothing"}))
    held: list[str] = []
    while (message := receive(connection)) is not None:
        batch = [message]
        while _gathers(batch) and select.select([connection], [], [], _TOGETHER_SECONDS)[0]:
            another = receive(connection)
            if another is None:
                return
            batch.append(another)
        for each in batch:
            _perhaps_end(each)
        for each in batch:
            connection.sendall(pack(_answer(each, held)))


def _gathers(batch: list[Message]) -> bool:
    return any(str(prompt).startswith("together") for each in batch for prompt in each.get("prompts", []))


def _perhaps_end(message: Message) -> None:
    said = " ".join([*map(str, message.get("prompts", [])), str(message.get("weights", ""))])
    if "exit" in said:
        os._exit(3)
    for name, number in _ENDS.items():
        if name in said:
            os.kill(os.getpid(), number)


def _answer(message: Message, held: list[str]) -> Message:
    answer = {"id": message["id"], "event": "ok"}
    if message["op"] == "add_adapter":
        held.append(message["name"])
    elif message["op"] == "remove_adapter":
        held.remove(message["name"])
    elif message["op"] == "cancel":
        answer["event"] = "cancelled"
    elif message["adapter"] is not None and message["adapter"] not in held:
        answer |= {"event": "error", "message": f"no adapter {message['adapter']}"}
    else:
        answer |= {"event": "done", "answers": sorted(held)}
    return answer


if __name__ == "__main__":
    main()
