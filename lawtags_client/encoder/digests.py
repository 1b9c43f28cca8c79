"""SHA-256 of large files, computed once per size and modification time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path

from lawtags_client.cache import find_cached
from lawtags_client.files import atomic_write_json, sha256_file

_DIGEST = re.compile(r"[0-9a-f]{64}")


def known_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, from the cache if neither its size nor its timestamp has changed.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be read.
    """
    found = path.stat()
    return _known(str(path.resolve()), found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _known(path: str, size: int, modified: int) -> str:
    name = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest() + ".json"
    note = find_cached("digests", name) / name
    try:
        said = json.loads(note.read_bytes())
        if (said["size"], said["modified"]) == (size, modified) and _DIGEST.fullmatch(said["sha256"]):
            return str(said["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # no note yet, or one that cannot be used: it is written again
    digest = sha256_file(Path(path))
    with contextlib.suppress(OSError):  # the next process computes it again
        atomic_write_json(note, {"size": size, "modified": modified, "sha256": digest})
    return digest
