"""Tagging a whole file, row by row, resumably."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol, runtime_checkable

from lawtags_client.closing import closing
from lawtags_client.curation import questions_to_tag
from lawtags_client.curation.options import CurationOptions
from lawtags_client.curation.questions import QuestionTexts
from lawtags_client.curation.read.raw import BadRow
from lawtags_client.curation.read.sources import source_name
from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.runs.predictions import Prediction, prediction
from lawtags_client.runs.rows import RowLog
from lawtags_client.tagging.question import Question

_ROWS_AT_ONCE = 16


class TaggedRow(Protocol):
    """The tags of one question; ``row`` counts the questions asked, from zero."""

    @property
    def row(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def scores(self) -> Mapping[str, float]: ...
    @property
    def error(self) -> Exception | None: ...


@runtime_checkable
class HeldRow(Protocol):
    """A row that also says whether the answer was constrained to the vocabulary; None if not known."""

    @property
    def held(self) -> bool | None: ...


@dataclass(frozen=True, slots=True)
class TaggedFile:
    """How many rows there are now, and how many of them carry an error."""

    rows: int
    failed: int


async def tag_file(
    questions: str | Path,
    out: Path,
    tag_many: Callable[[AsyncIterable[Question]], AsyncIterator[TaggedRow]],
    *,
    options: QuestionTexts | CurationOptions | None = None,
    on_row: Callable[[int], None] | None = None,
) -> TaggedFile:
    """Tag every question of a file; existing rows without an error are kept.

    Args:
        questions: the file; see :func:`lawtags_client.curation.questions_to_tag`.
        out: one row per question: ``row`` (from zero), ``id``, ``tags``, ``scores``, ``error``, ``held``,
            and ``abstained`` where the tagger does.
        tag_many: tags questions in their order, reading them as it needs them.
        options: how texts are prepared; those of a curation alone mask nothing.
        on_row: called with the number of rows after each new one.

    Raises:
        ConfigurationError: both are the same file.
        DataError: the file is empty, broken as a whole, or has no column for the title; or ``out`` holds
            something else.
    """
    check_output(questions, out)
    with RowLog(out) as log:
        file = _TaggedRows(source_name(str(questions)), log, on_row)
        async with closing(tag_many(file.missing(questions_to_tag(questions, options)))) as found:
            async for tagged in found:
                file.add(tagged)
        return TaggedFile(len(log.rows), sum(entry.get("error") is not None for entry in log.rows.values()))


class _TaggedRows:
    """The rows of an output file: those that are kept, and those that are added.

    Args:
        name: of the file with the questions, for errors.
        log: the file; rows with an error are removed, so that they are tagged again.
        on_row: called with the number of rows after each new one.
    """

    def __init__(self, name: str, log: RowLog, on_row: Callable[[int], None] | None) -> None:
        self._name = name
        self._log = log
        self._on_row = on_row
        self._done = {row: entry for row, entry in log.rows.items() if entry.get("error") is None}
        if len(self._done) < len(log.rows):
            log.keep(self._done)
        self._asked: list[int] = []

    async def missing(self, questions: Iterator[Question | BadRow]) -> AsyncIterator[Question]:
        """The questions that have no row yet; an unreadable one gets its row here."""
        # Reading, cleaning and masking take their time, in a thread; the rows are written here.
        row = -1
        async for question in _in_thread(questions):
            row += 1
            if isinstance(question, BadRow):
                if row not in self._done:
                    self._append(prediction(row, "", (), error=str(question.error(self._name)), held=None))
            elif row in self._done:
                _check_same(question, self._done[row], self._log.path)
            else:
                self._asked.append(row)
                yield question

    def add(self, tagged: TaggedRow) -> None:
        """Add the tags of a question."""
        self._append(
            prediction(
                self._asked[tagged.row],
                tagged.id,
                tagged.tags,
                scores=tagged.scores,
                error=str(tagged.error) if tagged.error else None,
                held=tagged.held if isinstance(tagged, HeldRow) else "unsaid",
                abstained=bool(getattr(tagged, "abstained", False)),
            )
        )

    def _append(self, row: Prediction) -> None:
        self._log.append(row.as_json())
        if self._on_row is not None:
            self._on_row(len(self._log.rows))


async def _in_thread(questions: Iterator[Question | BadRow]) -> AsyncIterator[Question | BadRow]:
    while batch := await asyncio.to_thread(lambda: list(islice(questions, _ROWS_AT_ONCE))):
        for question in batch:
            yield question


def check_output(questions: str | Path, out: Path) -> None:
    """Check where tags are to go, before anything is loaded.

    Args:
        questions: the file of questions.
        out: the output file.

    Raises:
        ConfigurationError: it is a folder, or the file of questions itself.
    """
    if out.is_dir():
        raise ConfigurationError(f"{out} is a folder", hint="Name a file in it with --out.")
    if out.exists() and Path(questions).exists() and out.samefile(questions):
        raise ConfigurationError(f"{out} contains the questions", hint="Choose another file with --out.")


def _check_same(question: Question, answered: Mapping[str, object], out: Path) -> None:
    if answered.get("id") != question.id:
        raise DataError(
            f"row {answered['row']} belongs to question {answered.get('id')!r}, not to {question.id!r}",
            path=out,
            hint="The file contains answers to other questions. Choose another file with --out.",
        )
