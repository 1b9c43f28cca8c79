"""Tagging a whole file, row by row, resumably."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol, runtime_checkable

from lawtags_client.curation import questions_to_tag
from lawtags_client.curation.options import CurationOptions
from lawtags_client.curation.questions import QuestionTexts
from lawtags_client.curation.read.raw import BadRow
from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.runs.predictions import held_row, prediction
from lawtags_client.runs.rows import RowLog
from lawtags_client.tagging.question import Question

_ROWS_AT_ONCE = 16


class TaggedRow(Protocol):
    """What is said of one question; ``row`` counts the questions asked, from zero."""

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
    """What also says whether the answer was held to the vocabulary; None where that is not known."""

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
    """Tag every question of a file; rows that are there already, without an error, are kept.

    Args:
        questions: the file; see :func:`lawtags_client.curation.questions_to_tag`.
        out: one row per question: ``row`` (from zero), ``id``, ``tags``, ``scores``, ``error``, ``held``.
        tag_many: tags questions in their order, reading them as it needs them.
        options: how texts are made ready; those of a curation alone mask nothing.
        on_row: told how many rows there are after each new one.

    Raises:
        ConfigurationError: both files are one.
        DataError: the file is empty, broken as a whole, or has no column for the title; or ``out`` holds
            something else.
    """
    _check_apart(questions, out)
    with RowLog(out) as log:
        done = {row: entry for row, entry in log.rows.items() if entry.get("error") is None}
        if len(done) < len(log.rows):
            log.keep(done)
        places: list[int] = []

        def add(row: dict[str, object]) -> None:
            log.append(row)
            if on_row is not None:
                on_row(len(log.rows))

        async def asked() -> AsyncIterator[Question]:
            # Reading, cleaning and masking take their time, in a thread; the rows are written here.
            row = -1
            async for question in _in_thread(questions_to_tag(questions, options)):
                row += 1
                if row in done:
                    if not isinstance(question, BadRow):
                        _check_same(question, done[row], out)
                    continue
                if isinstance(question, BadRow):
                    place = f"line {question.line}" + (
                        f", field {question.field!r}" if question.field else ""
                    )
                    add(held_row(prediction(row, "", (), error=f"{place}: {question.reason}"), None))
                    continue
                places.append(row)
                yield question

        async for tagged in tag_many(asked()):
            error = str(tagged.error) if tagged.error else None
            row = prediction(places[tagged.row], tagged.id, tagged.tags, scores=tagged.scores, error=error)
            # What tags by other means than a model has nothing to say of it.
            add(held_row(row, tagged.held) if isinstance(tagged, HeldRow) else row)
        failed = sum(entry.get("error") is not None for entry in log.rows.values())
        return TaggedFile(len(log.rows), failed)


async def _in_thread(questions: Iterator[Question | BadRow]) -> AsyncIterator[Question | BadRow]:
    while batch := await asyncio.to_thread(lambda: list(islice(questions, _ROWS_AT_ONCE))):
        for question in batch:
            yield question


def _check_apart(questions: str | Path, out: Path) -> None:
    if out.exists() and Path(questions).exists() and out.samefile(questions):
        raise ConfigurationError(f"{out} contains the questions", hint="Choose another file with --out.")


def _check_same(question: Question, answered: Mapping[str, object], out: Path) -> None:
    if answered.get("id") != question.id:
        raise DataError(
            f"row {answered['row']} belongs to question {answered.get('id')!r}, not of {question.id!r}",
            path=out,
            hint="The file contains answers to other questions. Choose another file with --out.",
        )
