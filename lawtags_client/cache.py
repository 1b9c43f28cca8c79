"""Where lawtags keeps what can be made again: converted base models and the like."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "LAWTAGS_CACHE_DIR"


def cache_folder() -> Path:
    """The cache folder: ``LAWTAGS_CACHE_DIR``, else the user's cache of the platform."""
    override = os.environ.get(CACHE_VARIABLE)
    if override:
        return Path(override).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("lawtags"))
