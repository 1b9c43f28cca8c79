"""Limits of the sandbox process, set and reported by the work that runs in it."""

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
"""Memory that the work may use in addition to the process's baseline."""

LARGEST_TEXT = 16 << 20
"""Maximum number of characters that a template may produce."""

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
    """Limit this process permanently: memory, files, no core dumps.

    Args:
        notes: descriptor of a file that tells the caller what the process was doing when it was killed.
        patience: factor for all time limits.
    """
    _here.notes, _here.patience = notes, patience
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
    with contextlib.suppress(OSError, ValueError):  # macOS rejects some limits on address space
        most = _address_space() + (MEMORY_MB << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    return pages * resource.getpagesize()


def set_place(place: str) -> None:
    """Set the row that the following work is about, for error messages; empty for none."""
    _here.place = f" ({place})" if place else ""


@contextlib.contextmanager
def cpu_limit(what: str, seconds: float) -> Iterator[None]:
    """Kill this process if the block exceeds its CPU time; does nothing outside the sandbox.

    A signal without a handler kills the process even during a single long C operation, such as a power of
    large numbers or a pattern search, when no Python handler can run.

    Args:
        what: subject of the error message, e.g. ``"The pattern 'a+'"``.
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


def join_text(pieces: Iterable[str], most: int = LARGEST_TEXT) -> str:
    """Join pieces of text, up to a limit.

    Raises:
        ResourceLimitError: the text exceeds the limit.
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
    """Create the error for output that exceeds the limit."""
    return ResourceLimitError(f"{_here.what} produces more than {most >> 20} MiB{_here.place}")


def out_of_memory() -> ResourceLimitError:
    """Create the error for exhausted memory."""
    return ResourceLimitError(f"{_here.what} needs more than {MEMORY_MB} MiB of memory{_here.place}")


def too_deep() -> ResourceLimitError:
    """Create the error for excessive recursion."""
    return ResourceLimitError(f"{_here.what} is nested too deeply{_here.place}")


def read_note(note: bytes) -> str:
    """Read from the notes file what the process was doing when it was killed."""
    try:
        found = json.loads(note)
        return f"{found['what']} takes more than {found['seconds']:g} s of CPU time"
    except (ValueError, KeyError, TypeError):
        return "The operation exceeded its limit on CPU time"
