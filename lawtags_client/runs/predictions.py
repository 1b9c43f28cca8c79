"""Files of predictions, one row a question."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lawtags_client.files import atomic_write_text
from lawtags_client.runs.rows import read_rows


def prediction(
    row: int,
    identity: str,
    tags: Sequence[str],
    *,
    scores: Mapping[str, float] | None = None,
    error: str | None = None,
    refused: bool = False,
    text: str | None = None,
) -> dict[str, Any]:
    """One row of a predictions file.

    Args:
        row: the row's number, from zero.
        identity: the question's id.
        tags: the tags given.
        scores: tag to probability, the likeliest first.
        error: why there is no answer.
        refused: whether the server refuses the question for good.
        text: the model's own words, where it generates.
    """
    found: dict[str, Any] = {
        "row": row,
        "id": identity,
        "tags": list(tags),
        "scores": {tag: round(value, 4) for tag, value in (scores or {}).items()},
        "error": error,
    }
    if refused:
        found["refused"] = True
    return found if text is None else found | {"text": text}


def held_row(row: dict[str, object], held: bool | None) -> dict[str, Any]:
    """A row that says whether its answer was held to the vocabulary; None where that is not known."""
    return row | {"held": held}


def write_predictions(folder: Path, system: str, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write a system's predictions into a run's folder."""
    path = folder / f"predictions-{system}.jsonl"
    atomic_write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def read_prediction_rows(folder: Path, system: str) -> list[dict[str, Any]]:
    """The rows of a system's predictions, in row order."""
    return list(read_rows(folder / f"predictions-{system}.jsonl"))


def read_predictions(folder: Path, system: str) -> list[frozenset[str]]:
    """The tags that a system gave, in row order."""
    return [frozenset(row["tags"]) for row in read_prediction_rows(folder, system)]
