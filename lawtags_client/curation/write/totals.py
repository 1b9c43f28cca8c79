"""Adding up what the steps did to each partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lawtags_client.curation.examples import first_examples
from lawtags_client.curation.report import StepCount
from lawtags_client.curation.staging import StagedQuestions, WorkFolder

# Steps that say nothing where the source lacks what they look at.
_NEEDED = {"word_count": "bodies", "votes": "votes", "repeated_ngrams": "bodies", "has_answer": "answers"}
_SUMMED = ("rows_in", "rows_out", "seconds", "looked_at")


@dataclass
class StepTotals:
    """What the steps did to all partitions together.

    Args:
        steps: in their order.
        counts: what each step found, by kind.
        pii: personal data found in each partition, by kind.
        changes: examples of what each step changed.
    """

    steps: list[StepCount] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    pii: list[dict[str, int]] = field(default_factory=list)
    changes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def with_fingerprints(self, selected: Sequence[StepCount]) -> list[StepCount]:
        """These steps and those behind them.

        Args:
            selected: what was decided with all questions in view. Fingerprints are made beside the other
                steps for its sake, and count as its own.
        """
        *kept, fingerprints = self.steps
        first, *rest = selected
        return [*kept, replace(first, seconds=first.seconds + fingerprints.seconds), *rest]


def add_up(work: WorkFolder, staged: StagedQuestions) -> StepTotals:
    """Add up the records of all partitions."""
    accounts = StepTotals()
    sums: dict[str, dict[str, float]] = {}
    changes: list[dict[str, Any]] = []
    for number in range(staged.partitions):
        record = work.record(number)
        steps = record["steps"]
        if record["changes"]:
            changes.append(record["changes"])
        for step in steps:
            total = sums.setdefault(step["name"], dict.fromkeys(_SUMMED, 0.0))
            for key in _SUMMED:
                total[key] += step[key]
            accounts.counts.setdefault(step["name"], Counter()).update(step["counts"])
        accounts.pii.append(_found(steps, "pii"))
    accounts.steps = [_step_count(name, total) for name, total in sums.items()]
    accounts.changes = first_examples(changes)
    return accounts


def _found(steps: Iterable[dict[str, Any]], name: str) -> dict[str, int]:
    return {
        kind: count
        for step in steps
        if step["name"] == name
        for kind, count in sorted(step["counts"].items())
    }


def _step_count(name: str, total: dict[str, float]) -> StepCount:
    skipped = name in _NEEDED and total["rows_in"] and not total["looked_at"]
    return StepCount(
        name,
        int(total["rows_in"]),
        int(total["rows_out"]),
        total["seconds"],
        f"skipped: the source has no {_NEEDED[name]}" if skipped else None,
    )
