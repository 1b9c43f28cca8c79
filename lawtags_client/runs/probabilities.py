"""Files of probabilities: those of every tag on the test rows, for each system that has some.

The prediction files show the ten best tags of a row to people. Calibration needs all of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.errors import DataError
from lawtags_client.runs.arrays import read_arrays, write_arrays
from lawtags_client.runs.documents import REBUILD

if TYPE_CHECKING:
    from lawtags_client.tagging._numpy import Floats, Integers

MOST_PAIRS = 8_000_000
"""Pairs of row and tag that a file holds; of more, the rows are sampled. A file stays under 32 MB."""


@dataclass(frozen=True)
class SystemProbabilities:
    """Probabilities of one system.

    Attributes:
        scores: rows by tags.
        tags: names of the columns.
        rows: the test row of each row of ``scores``, from zero, ascending.
    """

    scores: Floats
    tags: tuple[str, ...]
    rows: Integers


def probabilities_path(folder: Path, system: str) -> Path:
    """The file of a system's probabilities in a run's folder."""
    return folder / f"probabilities-{system}.npz"


def write_probabilities(folder: Path, system: str, scores: Floats, tags: Sequence[str]) -> Path:
    """Write a system's probabilities into a run's folder.

    Args:
        folder: the run's.
        system: name of the system.
        scores: probabilities on the test rows, rows by tags.
        tags: names of the columns.

    Raises:
        DataError: a value is not a probability.
    """
    from lawtags_client.tagging._numpy import np

    path = probabilities_path(folder, system)
    _check(path, scores, tags, hint=f"The system {system} cannot be judged by them. Check its training loss.")
    rows = np.arange(len(scores))
    most = max(1, MOST_PAIRS // max(1, len(tags)))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    names = np.frombuffer(json.dumps(list(tags)).encode(), dtype=np.uint8)
    write_arrays(path, {"scores": scores[rows].astype(np.float32), "rows": rows, "tags": names})
    return path


def find_probabilities(folder: Path, system: str) -> SystemProbabilities | None:
    """A system's probabilities; None if it has none, such as a model that writes tags.

    Raises:
        DataError: the file is damaged.
    """
    from lawtags_client.tagging._numpy import np

    path = probabilities_path(folder, system)
    if not path.is_file():
        return None
    scores, rows, names = read_arrays(path, ("scores", "rows", "tags"))
    try:
        tags = tuple(str(tag) for tag in json.loads(names.tobytes()))
        kinds = (scores.dtype.kind, rows.dtype.kind)
        if kinds != ("f", "i") or scores.shape != (len(rows), len(tags)):
            raise ValueError(f"{scores.shape} scores for {len(rows)} rows and {len(tags)} tags")
    except (TypeError, ValueError) as problem:
        raise DataError(f"cannot be read: {problem}", path=path, hint=REBUILD) from problem
    probabilities = scores.astype(np.float32)
    _check(path, probabilities, tags, hint=REBUILD)
    return SystemProbabilities(probabilities, tags, rows.astype(np.int64))


def _check(path: Path, scores: Floats, tags: Sequence[str], *, hint: str) -> None:
    from lawtags_client.tagging._numpy import np

    # Of NaN, both comparisons are false.
    wrong = ~((scores >= 0) & (scores <= 1))
    if wrong.any():
        row, column = (int(place[0]) for place in np.nonzero(wrong))
        raise DataError(
            f"{int(wrong.sum())} of {scores.size} values are not probabilities; the first is "
            f"{float(scores[row, column])} for tag {tags[column]!r} of row {row}",
            path=path,
            hint=hint,
        )
