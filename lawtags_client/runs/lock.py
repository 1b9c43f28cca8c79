"""One process at a time works on a run."""

from __future__ import annotations

from pathlib import Path

from lawtags_client.errors import BusyError
from lawtags_client.locks import FolderLock, Holder

# Who only looks whether a run is held has its lock for an instant.
_PATIENCE = 0.5


def run_lock(folder: Path) -> FolderLock:
    """Hold a run's folder.

    Args:
        folder: the run's folder.

    Raises:
        BusyError: another process holds it; the message names pid, host and start.
        ConfigurationError: it cannot be locked.
    """

    def busy(holder: Holder) -> BusyError:
        return BusyError(
            f"run {folder.name!r} is in use by {holder}", hint="Wait for it to finish, or stop it first."
        )

    return FolderLock(folder, busy, patience=_PATIENCE)
