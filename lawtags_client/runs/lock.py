"""One process at a time works on a run."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from lawtags_client.errors import BusyError


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold a run's folder; the kernel lets go of it when the process ends, however it ends.

    Args:
        folder: the run's folder.

    Raises:
        BusyError: another process holds it; the message names pid, host and start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lock"
    with path.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"run {folder.name!r} is in use by {_owner(path)}", hint="Wait for it, or stop it first."
            ) from None
        stream.seek(0)
        stream.truncate()
        json.dump(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).isoformat("T", "seconds"),
            },
            stream,
        )
        stream.flush()
        yield


def _owner(path: Path) -> str:
    try:
        owner = json.loads(path.read_text())
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
