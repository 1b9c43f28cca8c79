"""Calibrations of this machine: measured once per base model and method, kept in the cache folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from lawtags_client.cache import cache_folder
from lawtags_client.errors import DataError
from lawtags_client.files import atomic_write_json
from lawtags_client.runs.documents import validated
from lawtags_client.training_speed import TrainingSpeed

_HINT = "Calibrate again: lawtags plan RECIPE --data FILE --calibrate"


def find_speed(base_model: str, method: str) -> TrainingSpeed | None:
    """The calibration of this machine for a model and a method; None if there is none that can be read."""
    path = _path(base_model, method)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return validated(TrainingSpeed, value, what="the calibration", hint=_HINT, path=path)
    except (OSError, ValueError, DataError):
        # It is measured again in seconds.
        return None


def keep_speed(base_model: str, method: str, speed: TrainingSpeed) -> Path:
    """Keep a calibration for later plans, and return its file."""
    path = _path(base_model, method)
    atomic_write_json(path, asdict(speed))
    return path


def _path(base_model: str, method: str) -> Path:
    # The name comes from a recipe or a server, so it does not become part of a path.
    key = hashlib.sha256(f"{base_model}\0{method}".encode(errors="backslashreplace")).hexdigest()[:24]
    return cache_folder() / "calibrations" / f"{key}.json"
