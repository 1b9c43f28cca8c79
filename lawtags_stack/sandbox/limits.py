"""Limits of the sandbox process, set and announced by the work that runs in it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import ResourceLimitError

MEMORY_MB = 512
"""Memory that the work may use on top of what the process needs by itself."""

LARGEST_TEXT = 16 << 20
"""Characters that one template may give."""

NOTE_BYTES = 2048
_LARGEST_FILE = 1 << 20


@dataclass(slots=True)
class _Confinement:
    notes: int | None = None
    patience: float = 1.0
    what: str = "The work"
    place: str = ""


_here = _Confinement()


def confine(notes: int, patience: float) -> None:
    """Confine this process for good: memory, files, no core dumps.

    Args:
        notes: descriptor of the file that tells the caller what the process was doing when it ended.
        patience: factor on all limits of time.
    """
    _here.notes, _here.patience = notes, patience
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
    with contextlib.suppress(OSError, ValueError):  # macOS refuses some limits on address space
        most = _address_space() + (MEMORY_MB << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    return pages * resource.getpagesize()


def at(place: str) -> None:
    """Name the row that the following work is about; an empty text names none."""
    _here.place = f" ({place})" if place else ""


@contextlib.contextmanager
def limited(what: str, seconds: float) -> Iterator[None]:
    """Let the kernel end this process if the block takes more CPU time than it may; does nothing elsewhere.

    A signal without a handler ends the process even within one long operation of C code, such as a power of
    large numbers or a search with a pattern, during which Python runs no handler.

    Args:
        what: the beginning of a sentence about the work, e.g. ``"The pattern 'a+'"``.
        seconds: CPU time.
    """
    outer = _here.what
    _here.what = what
    if _here.notes is None:
        yield
        return
    seconds *= _here.patience
    note = json.dumps({"what": what[:400] + _here.place, "seconds": seconds}).encode()
    os.pwrite(_here.notes, note.ljust(NOTE_BYTES), 0)
    before, _ = signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, before)
    _here.what = outer


def joined(pieces: Iterable[str], most: int = LARGEST_TEXT) -> str:
    """The text that the pieces make up.

    Raises:
        ResourceLimitError: it has more characters than allowed.
    """
    found: list[str] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise too_large(most)
        found.append(piece)
    return "".join(found)


def too_large(most: int) -> ResourceLimitError:
    """What is said of the work at hand if its output is larger than allowed."""
    return ResourceLimitError(f"{_here.what} produces more than {most >> 20} MiB{_here.place}")


def out_of_memory() -> ResourceLimitError:
    """What is said of the work at hand if memory ran out."""
    return ResourceLimitError(f"{_here.what} needs more than {MEMORY_MB} MiB of memory{_here.place}")


def too_deep() -> ResourceLimitError:
    """What is said of the work at hand if it recursed too deeply."""
    return ResourceLimitError(f"{_here.what} is nested too deeply{_here.place}")


def told(note: bytes) -> str:
    """What the process was doing that the kernel ended, from the file of notes."""
    try:
        found = json.loads(note)
        return f"{found['what']} takes more than {found['seconds']:g} s of CPU time"
    except (ValueError, KeyError, TypeError):
        return "The operation exceeded its limit on CPU time"
