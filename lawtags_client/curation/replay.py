"""Replaying the steps of a curation on one row, to show what each of them did to it.

Steps that compare rows with one another, such as the search for duplicates and the split, cannot be replayed
on one row; what they decided is in the files that the curation wrote.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.curation.options import CurationOptions
from lawtags_client.curation.read.columns import SourceRow
from lawtags_client.curation.read.corrections import load_corrections
from lawtags_client.curation.read.raw import BadRow
from lawtags_client.curation.read.sources import QuestionSource, read_source
from lawtags_client.curation.read.synonyms import load_synonyms
from lawtags_client.curation.staging import WorkFolder, read_partition
from lawtags_client.curation.step_choice import plan_steps
from lawtags_client.curation.steps import run_step
from lawtags_client.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = ("title", "body", "tags")
# It only prepares the search for duplicates.
_HIDDEN = frozenset({"fingerprints"})


@dataclass(frozen=True, slots=True)
class ReplayedStep:
    """What a step did to a row.

    Attributes:
        step: its name.
        effect: in words; ``no change`` if there was none.
    """

    step: str
    effect: str


@dataclass(frozen=True, slots=True)
class ReplayedRow:
    """A row after the steps that work on single rows.

    Attributes:
        steps: in their order; none after a rejection.
        title: as the last step left it.
        body: as above.
    """

    steps: tuple[ReplayedStep, ...]
    title: str | None
    body: str | None


def replay(sources: Sequence[QuestionSource], options: CurationOptions, file: str, line: int) -> ReplayedRow:
    """Read a row again, and apply the steps of its curation to it.

    Args:
        sources: all inputs of the curation, since words of their tags are never masked.
        options: those of the curation.
        file: the name of the input that holds the row.
        line: its line.

    Raises:
        DataError: an input cannot be read, or has no such row.
        ConfigurationError: an option is missing that is not recorded, such as the key of the hashes.
        MissingExtraError: a package is not installed.
    """
    named = options.tags
    synonyms = {} if named.synonyms is None else load_synonyms(named.synonyms)
    corrections = {} if named.corrections is None else load_corrections(named.corrections)
    tags: set[str] = set()
    found: tuple[QuestionSource, SourceRow | BadRow] | None = None
    for source in sources:
        for number, row in read_source(source, options.columns):
            if isinstance(row, SourceRow):
                tags.update(row.tags)
            if (source.name, number) == (file, line):
                found = source, row
    if found is None:
        raise DataError(
            f"has no row at line {line}", path=file, hint="The file has changed since the curation."
        )
    source, row = found
    if isinstance(row, BadRow):
        effect = f"rejected: {row.field}: {row.reason}" if row.field else f"rejected: {row.reason}"
        return ReplayedRow((ReplayedStep("read", effect),), None, None)
    steps = [ReplayedStep("read", f"title, {len(row.body or '')} characters of body, {len(row.tags)} tags")]
    frame = _frame(source, line, row)
    for step in plan_steps(options, tuple(sorted(tags)), synonyms, corrections):
        after = run_step(frame, step)
        if step.name not in _HIDDEN:
            steps.append(ReplayedStep(step.name, _effect(frame, after)))
        frame = after
        if frame["rejected_by"].iloc[0]:
            break
    return ReplayedRow(tuple(steps), frame["title"].iloc[0], frame["body"].iloc[0])


def _frame(source: QuestionSource, line: int, row: SourceRow) -> pd.DataFrame:
    """The partition that holds this row alone, with the types of a partition."""
    values: dict[str, object] = {name: getattr(row, name) for name in row.__slots__}
    values |= {"tags": list(row.tags), "row": 0, "source": 0, "file": source.name, "line": line}
    values["test"] = source.test
    with tempfile.TemporaryDirectory(prefix="lawtags-trace-") as folder:
        work = WorkFolder(Path(folder))
        work.write_read([values], 0)
        return read_partition(0, work.text)


def _effect(before: pd.DataFrame, after: pd.DataFrame) -> str:
    rejected = after["rejected_by"].iloc[0]
    if rejected:
        detail = after["detail"].iloc[0]
        return f"rejected: {after['reason'].iloc[0]}" + (f" ({detail})" if detail else "")
    return ", ".join(_changes(before, after)) or "no change"


def _changes(before: pd.DataFrame, after: pd.DataFrame) -> Iterator[str]:
    for name in _SHOWN:
        was, now = before[name].iloc[0], after[name].iloc[0]
        if name == "tags":
            was, now = list(was), list(now)
            if was != now:
                yield f"tags {', '.join(was)} -> {', '.join(now) or 'none'}"
        elif was != now:
            yield f"{name} {len(was or '')} -> {len(now or '')} characters"
