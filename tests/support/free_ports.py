"""Ports for a server that is to come back at the same ones."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack


def free_ports(count: int = 3) -> int:
    """The first of some free ports in a row, below those that systems give to connections."""
    while True:
        first = random.randrange(15_000, 32_000)
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        return first
