"""Removing the folder of a run, once nothing of it is left on a platform."""

from __future__ import annotations

import shutil
from pathlib import Path

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.intents import Intent, IntentStore, SqliteIntents
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.lock import run_lock
from lawtags_client.runs.naming import run_of_repeat

_LEDGER = "ledger.sqlite"


def remove_run(folder: Path, store: IntentStore, *, keep_on_platform: bool = False) -> None:
    """Remove the folder of a run.

    Args:
        folder: of the run.
        store: takes over the intents of jobs that still exist, so that an audit knows them.
        keep_on_platform: whether jobs, models and datasets of the run may stay on a platform.

    Raises:
        ConfigurationError: it is a repeat of another run, or a platform still has something of it.
        BusyError: a process works on the run.
    """
    if run_of_repeat(folder) is not None:
        raise ConfigurationError(
            f"{folder} is a repeat of another run", hint="Remove the run itself, with all of its repeats."
        )
    with run_lock(folder):
        intents = _intents(folder, keep_on_platform=keep_on_platform)
        if intents and not keep_on_platform and RunFacts.of_folder(folder).undone is None:
            raise ConfigurationError(
                f"run {folder.name!r} has {len(intents)} job{'s' * (len(intents) != 1)} on a platform",
                hint=f"Remove them first: lawtags runs undo {folder.name}. To leave them there, add "
                "--keep-on-platform.",
            )
        for intent in intents:
            store.begin(intent)
            if intent.remote_id is not None:
                store.settle(intent.key, intent.remote_id)
        # Renamed first, so that a removal that is interrupted leaves no half of a run in the list.
        gone = _gone(folder)
        shutil.rmtree(gone, ignore_errors=True)
        folder.rename(gone)
        shutil.rmtree(gone)


def finish_removal(folder: Path) -> bool:
    """Remove what an interrupted removal has left.

    Args:
        folder: of the run, as it was.

    Returns:
        Whether there was anything.
    """
    gone = _gone(folder)
    if folder.exists() or not gone.is_dir():
        return False
    shutil.rmtree(gone, ignore_errors=True)
    return True


def _gone(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.removed"


def _intents(folder: Path, *, keep_on_platform: bool) -> list[Intent]:
    try:
        return SqliteIntents(folder / _LEDGER).all()
    except DataError as problem:
        if keep_on_platform:
            return []
        raise ConfigurationError(
            f"what run {folder.name!r} has on a platform cannot be read: {problem.message}",
            hint="To remove it anyway, and leave there what it has, add --keep-on-platform.",
        ) from problem
