"""Files of rows that appear all at once: written under temporary names, renamed together."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO


def line_of(row: Mapping[str, object]) -> bytes:
    """A row as a line of its file."""
    return (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode()


class RowFiles:
    """Several JSON Lines files in one folder, which appear together once all are complete.

    Args:
        folder: their folder.

    Example::

        with RowFiles(out) as files:
            files.write("training/training.jsonl", {"prompt": "…", "completion": "…"})
            digests = files.commit()
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, tuple[Path, IO[bytes]]] = {}
        self._hashes: dict[str, hashlib._Hash] = {}

    def add(self, name: str) -> None:
        """Create a file, which may stay empty."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._open[name] = (temporary, temporary.open("wb"))
        self._hashes[name] = hashlib.sha256()

    def write(self, name: str, row: Mapping[str, object]) -> None:
        """Add a row to a file."""
        self.append(name, line_of(row))

    def append(self, name: str, lines: bytes) -> None:
        """Add rows that are encoded already."""
        self._open[name][1].write(lines)
        self._hashes[name].update(lines)

    def commit(self) -> dict[str, str]:
        """Move all files into place.

        Returns:
            File name to SHA-256.
        """
        for _, stream in self._open.values():
            stream.flush()
            os.fsync(stream.fileno())
            stream.close()
        for name, (temporary, _) in self._open.items():
            temporary.replace(self._folder / name)
        self._open.clear()
        return {name: made.hexdigest() for name, made in self._hashes.items()}

    def __enter__(self) -> RowFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for temporary, stream in self._open.values():
            stream.close()
            temporary.unlink(missing_ok=True)
