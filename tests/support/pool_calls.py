"""Calls for worker processes, which import them by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from lawtags_client.errors import MissingExtraError

LOADED: list[str] = []


def remember(word: str) -> None:
    LOADED.append(word)


def write(number: int, folder: str) -> None:
    """Write what was loaded, and by whom, in one piece."""
    path = Path(folder) / f"{number}.part"
    path.write_text(f"{' '.join(LOADED)} {os.getpid()}", encoding="utf-8")
    path.rename(Path(folder) / str(number))


def die_once(number: int, folder: str) -> None:
    """Write, except that the first call for one number kills its process."""
    mark = Path(folder) / "killed"
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    write(number, folder)


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def lack(_: int) -> None:
    raise MissingExtraError("spacy", "curate", "finding names")


def fill(_: int) -> None:
    raise OSError(28, "No space left on device", "/tmp/x")


def stumble(_: int) -> None:
    raise ZeroDivisionError("of this row")


def announce(_: int, folder: str) -> None:
    """Tell the process and its parent, and stay."""
    write(_, folder)
    (Path(folder) / f"pid-{os.getpid()}-{os.getppid()}").touch()
    time.sleep(600)
