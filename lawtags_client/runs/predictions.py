"""Files of predictions, one row per question."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from lawtags_client.files import atomic_write_text
from lawtags_client.json_value import JsonRow
from lawtags_client.runs.documents import validated
from lawtags_client.runs.probabilities import probabilities_path
from lawtags_client.runs.rows import read_rows

Held = bool | Literal["unsaid"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a system says of one question.

    Attributes:
        row: the row's number, from zero.
        id: of the question.
        tags: the tags given.
        scores: tag to probability, the likeliest first.
        error: why there is no answer.
        refused: whether the server refuses the question for good.
        text: the model's own words, if it generates.
        held: whether the answer was constrained to the vocabulary; None if that is not known, ``unsaid`` if
            what tags has nothing to say of it.
        abstained: whether the tagger found no tag likely enough for an answer.
    """

    row: int
    id: str
    tags: tuple[str, ...]
    scores: dict[str, float]
    error: str | None = None
    refused: bool = False
    text: str | None = None
    held: Held = "unsaid"
    abstained: bool = False

    def as_json(self) -> JsonRow:
        """As it stands in the file."""
        content = asdict(self)
        if not self.refused:
            del content["refused"]
        if self.text is None:
            del content["text"]
        if self.held == "unsaid":
            del content["held"]
        if not self.abstained:
            del content["abstained"]
        return content


def prediction(
    row: int,
    identity: str,
    tags: Sequence[str],
    *,
    scores: Mapping[str, float] | None = None,
    error: str | None = None,
    refused: bool = False,
    text: str | None = None,
    held: Held = "unsaid",
    abstained: bool = False,
) -> Prediction:
    """One row of a predictions file, with rounded probabilities; for its arguments, see ``Prediction``."""
    return Prediction(
        row=row,
        id=identity,
        tags=tuple(tags),
        scores={tag: round(value, 4) for tag, value in (scores or {}).items()},
        error=error,
        refused=refused,
        text=text,
        held=held,
        abstained=abstained,
    )


def predictions_path(folder: Path, system: str) -> Path:
    """The file of a system's predictions in a run's folder."""
    return folder / f"predictions-{system}.jsonl"


def remove_predictions(folder: Path, system: str) -> None:
    """Remove what a system has predicted in an earlier attempt, if it has."""
    for path in (predictions_path(folder, system), probabilities_path(folder, system)):
        path.unlink(missing_ok=True)


def write_predictions(folder: Path, system: str, rows: Sequence[Prediction]) -> Path:
    """Write a system's predictions into a run's folder."""
    path = predictions_path(folder, system)
    atomic_write_text(path, "".join(json.dumps(row.as_json(), ensure_ascii=False) + "\n" for row in rows))
    return path


def read_prediction_rows(folder: Path, system: str) -> list[Prediction]:
    """The rows of a system's predictions, in row order.

    Raises:
        DataError: the file is damaged.
    """
    path = predictions_path(folder, system)
    hint = "Run the recipe again to rebuild it."
    return validated(list[Prediction], list(read_rows(path)), what=path.name, hint=hint, path=path)


def read_predictions(folder: Path, system: str) -> list[frozenset[str]]:
    """The tags that a system gave, in row order."""
    return [frozenset(row.tags) for row in read_prediction_rows(folder, system)]
