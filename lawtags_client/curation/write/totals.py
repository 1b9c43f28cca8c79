"""Adding up the step records of all partitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from lawtags_client.curation.examples import first_examples
from lawtags_client.curation.records import ChangeExample, StepRecord
from lawtags_client.curation.report import StepCount
from lawtags_client.curation.staging import StagedQuestions, WorkFolder

# Steps that are skipped if the source lacks the field they need.
_NEEDED = {"word_count": "bodies", "votes": "votes", "repeated_ngrams": "bodies", "has_answer": "answers"}


@dataclass
class StepTotals:
    """What the steps did, over all partitions.

    Args:
        steps: in their order.
        counts: what each step found, by kind.
        pii: personal data found in each partition, by kind.
        changes: examples of what each step changed.
    """

    steps: list[StepCount] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    pii: list[dict[str, int]] = field(default_factory=list)
    changes: dict[str, list[ChangeExample]] = field(default_factory=dict)

    def with_fingerprints(self, selected: Sequence[StepCount]) -> list[StepCount]:
        """These steps, followed by those of the selection.

        Args:
            selected: steps of the selection. The first includes the time of the fingerprints, which only the
                selection uses.
        """
        *kept, fingerprints = self.steps
        first, *rest = selected
        return [*kept, replace(first, seconds=first.seconds + fingerprints.seconds), *rest]


@dataclass
class _StepSum:
    """The sums over the records of one step."""

    rows_in: int = 0
    rows_out: int = 0
    seconds: float = 0.0
    looked_at: int = 0

    def add(self, record: StepRecord) -> None:
        self.rows_in += record["rows_in"]
        self.rows_out += record["rows_out"]
        self.seconds += record["seconds"]
        self.looked_at += record["looked_at"]

    def count(self, name: str) -> StepCount:
        skipped = name in _NEEDED and self.rows_in and not self.looked_at
        note = f"skipped: the source has no {_NEEDED[name]}" if skipped else None
        return StepCount(name, self.rows_in, self.rows_out, self.seconds, note)


def add_up(work: WorkFolder, staged: StagedQuestions) -> StepTotals:
    """Add up the records of all partitions."""
    accounts = StepTotals()
    sums: dict[str, _StepSum] = {}
    changes: list[dict[str, list[ChangeExample]]] = []
    for number in range(staged.partitions):
        record = work.record(number)
        steps = record["steps"]
        if record["changes"]:
            changes.append(record["changes"])
        for step in steps:
            sums.setdefault(step["name"], _StepSum()).add(step)
            accounts.counts.setdefault(step["name"], Counter()).update(step["counts"])
        accounts.pii.append(_found(steps, "pii"))
    accounts.steps = [total.count(name) for name, total in sums.items()]
    accounts.changes = first_examples(changes)
    return accounts


def _found(steps: Iterable[StepRecord], name: str) -> dict[str, int]:
    return {
        kind: count
        for step in steps
        if step["name"] == name
        for kind, count in sorted(step["counts"].items())
    }
