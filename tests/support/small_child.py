"""A worker for tests of launchers; its first argument selects what it does."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import NoReturn


def main(arguments: list[str]) -> int:
    """Do one thing, and print the arguments."""
    deed = arguments[0]
    if deed == "exit":
        print("said on standard output")
        print("said on standard error", file=sys.stderr)
        return int(arguments[1])
    if deed == "quit":
        sys.exit(arguments[1])
    if deed == "raise":
        raise RuntimeError("broken on purpose")
    if deed == "die":
        os.kill(os.getpid(), signal.SIGABRT)
    if deed == "read":
        print(sys.stdin.read())
    if deed == "answer":
        with socket.socket(fileno=int(arguments[arguments.index("--fd") + 1])) as connection:
            connection.sendall(b"got " + connection.recv(100))
    if deed == "sleep":
        _sleep()
    if deed == "state":
        open_files = len(list(Path("/proc/self/fd").iterdir())) - 1  # excludes the folder itself
        state = signal.getsignal(signal.SIGINT) is signal.default_int_handler, threading.active_count()
        warnings.warn("shown once", stacklevel=1)
        print(*state, open_files, os.environ["HF_HUB_OFFLINE"])
    return 0


def _sleep() -> NoReturn:
    while True:
        time.sleep(60)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
