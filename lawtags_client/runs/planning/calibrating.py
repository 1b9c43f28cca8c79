"""What a calibration of this machine needs: the folder of the base model, and rows like those of the job."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from lawtags_client.errors import ConfigurationError
from lawtags_client.json_value import JsonObject
from lawtags_client.runs.recipe import Recipe
from lawtags_client.runs.rows import read_rows
from lawtags_client.runs.tokens import token_counter

_ROWS = 256
_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class CalibrationWish:
    """A calibration to make.

    Args:
        model: the folder of the base model.
        base_model: its name on the platform.
        rows: training rows.
        max_seq_length: they are truncated to so many tokens.
    """

    model: Path
    base_model: str
    rows: list[JsonObject]
    max_seq_length: int


def calibration_wish(recipe: Recipe, curated: Path) -> CalibrationWish:
    """The calibration for a recipe.

    Args:
        recipe: names the base model, and the folder of it as ``model.tokenizer``.
        curated: the curated rows.

    Raises:
        ConfigurationError: this machine does not have the model.
    """
    tokenizer = token_counter(recipe.model.tokenizer).path
    folder = tokenizer.parent if tokenizer is not None else None
    if folder is None or not (folder / "config.json").is_file():
        raise ConfigurationError(
            "a calibration needs the base model on this machine",
            hint="Set model.tokenizer to its folder, with config.json and weights, or leave --calibrate out.",
        )
    rows: list[JsonObject] = list(islice(read_rows(curated / "training" / "training.jsonl"), _ROWS))
    if not rows:
        raise ConfigurationError("a calibration needs training rows", hint="Pass more questions.")
    base = recipe.model.config.partition("@")[0]
    return CalibrationWish(folder, base, rows, recipe.training.max_seq_length or _TOKENS)
