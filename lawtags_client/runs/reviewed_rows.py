"""The rows whose tags are reviewed: of a run, of a curated folder, or of a file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.curation.questions import QuestionTexts
from lawtags_client.curation.read.columns import SourceRow
from lawtags_client.curation.read.sources import find_sources, read_source
from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.jsonl import read_rows
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.overview import find_run
from lawtags_client.tagging.question import Question

_PARTS = ("training", "validation", "testing")


@dataclass(frozen=True, slots=True)
class ReviewedRow:
    """A question and its source.

    Attributes:
        question: the question with its given tags.
        part: ``training``, ``validation`` or ``testing``; None for a file of questions.
        file: the source file; None in folders that an early release wrote.
        line: line number in that file, starting at one.
    """

    question: Question
    part: str | None
    file: str | None
    line: int | None


@dataclass(frozen=True, slots=True)
class ReviewedRows:
    """The rows of a review.

    Attributes:
        rows: rows with at least one tag.
        encoder: the encoder setting of the run's recipe; ``auto`` if this is no run.
        unreadable: number of rows skipped because they could not be read.
        untagged: number of rows skipped because they have no tags, or not all of them.
    """

    rows: list[ReviewedRow]
    encoder: str = "auto"
    unreadable: int = 0
    untagged: int = 0


def find_reviewed_rows(name: str, runs: Path) -> ReviewedRows:
    """Read the tagged questions of a run, a folder or a file.

    Args:
        name: a run's name or folder, a curated folder, or a file of questions with tags.
        runs: the folder that contains the runs.

    Raises:
        ConfigurationError: there is no such run, folder or file, or it contains no curated questions.
        DataError: a file is damaged.
    """
    if Path(name).is_file():
        return _rows_of_file(name)
    if (Path(name) / "questions").is_dir():
        return ReviewedRows(_curated_rows(Path(name)))
    if Path(name).suffix and not Path(name).exists() and not (runs / name).exists():
        raise ConfigurationError(
            f"there is no file {name!r}, and no such run in {runs}", hint="Check the path."
        )
    folder = find_run(runs, name)
    recipe = RunFacts.read(Ledger(folder / "ledger.sqlite")).recipe or {}
    options = recipe.get("retriever")
    setting = options.get("encoder") if isinstance(options, Mapping) else None
    rows = _curated_rows(folder / "curated")
    return ReviewedRows(rows, setting if isinstance(setting, str) else "auto")


def _curated_rows(folder: Path) -> list[ReviewedRow]:
    """The tagged questions of all parts of a curated folder."""
    paths = {part: folder / "questions" / f"{part}.jsonl" for part in _PARTS}
    present = {part: path for part, path in paths.items() if path.is_file()}
    if not present:
        raise ConfigurationError(
            f"{folder} contains no curated questions",
            hint="Pass a run that has curated its questions, a folder of lawtags curate, or a file.",
        )
    return [row for part, path in present.items() for row in _rows_of_part(path, part) if row.question.tags]


def _rows_of_part(path: Path, part: str) -> Iterator[ReviewedRow]:
    try:
        for line, row in read_rows(path):
            source = row.get("source")
            file = source.get("file") if isinstance(source, Mapping) else None
            number = source.get("line") if isinstance(source, Mapping) else None
            yield ReviewedRow(
                Question.from_row(row, path=path, line=line),
                part,
                file if isinstance(file, str) else None,
                number if isinstance(number, int) else None,
            )
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror}", path=path, hint="Check its permissions."
        ) from error


def _rows_of_file(name: str) -> ReviewedRows:
    """The tagged rows of a file, cleaned as in a curation, but neither filtered nor masked."""
    (source,) = find_sources([name])
    rows, unreadable, untagged, texts = [], 0, 0, QuestionTexts()
    for line, row in read_source(source, {}, hint=_column_hint):
        if not isinstance(row, SourceRow):
            unreadable += 1
        elif row.complete and row.tags:
            (question,) = texts.prepare([row])
            rows.append(ReviewedRow(question, None, source.name, line))
        else:
            untagged += 1
    return ReviewedRows(rows, unreadable=unreadable, untagged=untagged)


def _column_hint(field: str, column: str) -> str:
    setting = shlex.quote(f"columns.{field}={column}")
    return f"Name its column in a curation, and review that: lawtags curate --set {setting}."
