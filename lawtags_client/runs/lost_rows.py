"""Rows for which a system has no answer of its own: how many, why, and whether there are too many."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from lawtags_client.runs.predictions import Prediction

LOST_SHARE = 0.02
"""The maximum share of lost rows of a system that gets a verdict."""

WITHOUT_MODEL = "the model gave no answer; these are the tags without it"
"""The error in a row that was tagged without the model."""
# As older releases wrote it.
_RETRIEVER_ALONE = "the model gave no answer; these are the retriever's tags"

_MOST_REASONS = 10


@dataclass(frozen=True, slots=True)
class LostRows:
    """The rows for which a system has no answer of its own.

    Args:
        failed: how many.
        refused: of these, those that the server refuses for good, so that they are not asked for again.
        reasons: the most frequent reasons, each with its number of rows.
        scored_as: what these rows were scored with.
    """

    failed: int = 0
    refused: int = 0
    reasons: tuple[tuple[str, int], ...] = ()
    scored_as: str = "no tags"


def lost_rows(rows: Iterable[Prediction], *, scored_as: str = "no tags") -> LostRows:
    """Count the rows with an error in a file of predictions.

    Args:
        rows: of the file.
        scored_as: what the rows with an error were scored with.
    """
    failed = [row for row in rows if row.error]
    refused = sum(row.refused for row in failed)
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for row in failed:
        reason = str(row.error).removeprefix(f"{WITHOUT_MODEL}: ").removeprefix(f"{_RETRIEVER_ALONE}: ")
        # Reasons that differ only in numbers are one; the first stands for all.
        kind = re.sub(r"\d+", "0", reason)
        first.setdefault(kind, reason)
        counts[kind] += 1
    reasons = tuple((first[kind], count) for kind, count in counts.most_common(_MOST_REASONS))
    return LostRows(len(failed), refused, reasons, scored_as)


def too_many(failed: int, rows: int) -> bool:
    """Whether too many rows are lost for a verdict."""
    return failed > LOST_SHARE * rows
