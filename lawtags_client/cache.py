"""Where lawtags keeps what can be made again: converted base models and the like."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from functools import cache
from pathlib import Path

from lawtags_client.errors import ConfigurationError

CACHE_VARIABLE = "LAWTAGS_CACHE_DIR"
_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """The cache folder: ``LAWTAGS_CACHE_DIR``, else the user's cache of the platform; it need not exist.

    Raises:
        ConfigurationError: the variable names the home folder of a user that does not exist.
    """
    override = os.environ.get(CACHE_VARIABLE)
    if override:
        try:
            return Path(override).expanduser()
        except RuntimeError:
            raise ConfigurationError(
                f"{CACHE_VARIABLE} is {override!r}, and there is no such home folder",
                hint=f"Set {CACHE_VARIABLE} to the path of a folder.",
            ) from None
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("lawtags"))


def find_cached(part: str, marker: str) -> Path:
    """A folder of the cache: where it is complete already, else where it is to be made.

    A cache that cannot be written may still hold what is asked for. Where it does not, a folder among the
    temporary files takes its place, and the log says so; but not that of a cache that was named.

    Args:
        part: the folder's path below the cache, e.g. ``base-models/smollm2``.
        marker: the file that a complete folder holds.
    """
    chosen, stand_in = cache_folder(), _stand_in()
    if (chosen / part / marker).is_file() or os.environ.get(CACHE_VARIABLE):
        return chosen / part
    problem = _why_not(chosen)
    if problem is None or not _is_own(stand_in):
        return chosen / part
    _tell(chosen, problem, stand_in)
    return stand_in / part


@cache
def _why_not(folder: Path) -> str | None:
    """Why nothing can be kept in a folder, which is made where missing; None where it can."""
    if not folder.is_absolute():
        return "there is no home folder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


@cache
def _tell(folder: Path, problem: str, stand_in: Path) -> None:
    _log.warning(
        "the cache %s is not writable (%s); using %s instead. Set %s to choose another folder.",
        folder, problem, stand_in, CACHE_VARIABLE,
    )  # fmt: skip


def _stand_in() -> Path:
    return Path(tempfile.gettempdir()) / f"lawtags-cache-{os.getuid()}"


def _is_own(folder: Path) -> bool:
    # Anybody may make a folder of this name among the temporary files, and put a model of theirs into it.
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
