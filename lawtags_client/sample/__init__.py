"""The bundled sample: questions on law, written for this project, with the dirt of real posts."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = ["path"]


def path() -> Path:
    """Where the questions are: JSONL in the columns of ymoslem/Law-StackExchange.

    What was planted in them, and in which rows, stands beside it in ``dirt.json``.
    """
    return Path(str(files(__name__) / "questions.jsonl"))
