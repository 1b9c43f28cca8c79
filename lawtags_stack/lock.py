"""Allows one stack per folder."""

from __future__ import annotations

import contextlib
import json
import socket
from functools import partial
from pathlib import Path

from lawtags_client.errors import BusyError
from lawtags_client.locks import FolderLock, Holder
from lawtags_client.locks import holder as folder_holder
from lawtags_stack.times import Clock, utc_now

LOCK_FILE = "stack.lock"
ADDRESS_FILE = "stack.json"
"""The file with the stack's process id and addresses."""
# Checking for a holder takes the lock briefly.
_PATIENCE = 0.1


def stack_lock(folder: Path, *, clock: Clock = utc_now) -> FolderLock:
    """Lock a stack's folder.

    Args:
        folder: the folder; created if missing.
        clock: returns the time, for the record of the holder.

    Raises:
        BusyError: another process holds it; the message names pid, host and start.
        ConfigurationError: it cannot be locked.
    """
    return FolderLock(folder, partial(busy_error, folder), file=LOCK_FILE, patience=_PATIENCE, now=clock)


def stack_holder(folder: Path) -> Holder | None:
    """The process that holds a stack's folder, or ``None``."""
    found = folder_holder(folder, file=LOCK_FILE)
    return None if found is None else _known(found, folder)


def busy_error(folder: Path, holder: Holder) -> BusyError:
    """Create the error for a folder that another stack holds."""
    return BusyError(
        f"another stack uses the folder {folder}: {_known(holder, folder)}",
        hint=f"Use that one (lawtags local status --dir {folder} prints its addresses), stop it with "
        f"lawtags local down --dir {folder}, or choose another --dir.",
    )


def _known(holder: Holder, folder: Path) -> Holder:
    """Complete the holder from the stack's address file, in case the lock file was deleted."""
    if not holder.pid:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            found = json.loads((folder / ADDRESS_FILE).read_text("utf-8"))
            return Holder(int(found["pid"]), socket.gethostname(), str(found["started"]))
    return holder
