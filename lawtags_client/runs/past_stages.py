"""How long the stages of a run are expected to take, by earlier runs of its recipe."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path

from lawtags_client.errors import LawtagsError
from lawtags_client.json_value import JsonValue
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.ledger import Ledger

_NEWEST = 10
# A plan comes after them, so it does not estimate them.
_BEFORE = ("curate", "plan")


def expected_stages(folder: Path, runs: Path, recipe: str, rows: Mapping[str, int]) -> dict[str, float]:
    """Seconds by stage: the median of earlier runs per row, times the rows of this one.

    Args:
        folder: of the run or plan itself, which does not count.
        runs: the folder of runs.
        recipe: its name.
        rows: of the run, by part.
    """
    count = sum(rows.values())
    ledgers = [each for each in runs.glob("*/ledger.sqlite") if each.parent != folder]
    found: dict[str, list[float]] = {}
    counted = 0
    for ledger in sorted(ledgers, key=lambda path: path.stat().st_mtime, reverse=True):
        paces = _paces(ledger, recipe)
        for stage, pace in paces.items():
            found.setdefault(stage, []).append(pace)
        counted += bool(paces)
        if counted == _NEWEST:
            break
    return {stage: round(statistics.median(paces) * count, 1) for stage, paces in found.items()}


def _paces(path: Path, recipe: str) -> dict[str, float]:
    """Seconds per row of the stages of a run; empty if it is of another recipe, or damaged."""
    try:
        ledger = Ledger(path)
        if RunFacts.read(ledger).recipe_name != recipe:
            return {}
        records = {each.name: each for each in ledger.stages() if each.status == "done"}
        rows = _rows(records["curate"].output.get("rows")) if "curate" in records else 0
        if rows == 0:
            return {}
        return {
            name: record.seconds / rows
            for name, record in records.items()
            # The time of a stage with several attempts is that of the last one alone.
            if name not in _BEFORE and record.seconds is not None and ledger.attempts(record) <= 1
        }
    except (LawtagsError, OSError):
        return {}


def _rows(curated: JsonValue) -> int:
    return (
        sum(count for count in curated.values() if isinstance(count, int))
        if isinstance(curated, Mapping)
        else 0
    )
