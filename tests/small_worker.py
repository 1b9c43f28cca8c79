"""Workers that speak as the real ones do and hold no model, so that many of them can be started.

``python -m small_worker --fd N …`` stands in for the process that generates, ``python -m small_encoder`` for
the one that embeds.
"""

from __future__ import annotations

import argparse
import socket

from lawtags_client.local.generation.frames import pack, receive


def main() -> None:
    """Answer every request with the adapters that are held at the moment."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int)
    options, _ = parser.parse_known_args()
    connection = socket.socket(fileno=options.fd)
    connection.sendall(pack({"event": "ready", "computing": "nothing"}))
    held: list[str] = []
    while (message := receive(connection)) is not None:
        answer = {"id": message["id"], "event": "ok"}
        if message["op"] == "add_adapter":
            held.append(message["name"])
        elif message["op"] == "remove_adapter":
            held.remove(message["name"])
        elif message["op"] == "generate":
            wanted = message["adapter"]
            if wanted is not None and wanted not in held:
                answer |= {"event": "error", "message": f"no adapter {wanted}"}
            else:
                answer |= {"event": "done", "answers": sorted(held)}
        else:
            continue
        connection.sendall(pack(answer))


if __name__ == "__main__":
    main()
