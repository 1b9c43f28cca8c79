"""Reviewing the tags of curated questions: which rows to look at, and the file that a reviewer edits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.encoder.choice import EncoderChoice, choose_encoder
from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.files import atomic_write_text, make_folder
from lawtags_client.jsonl import read_rows
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.overview import find_run
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.terminal import escape_controls

_PARTS = ("training", "validation", "testing")


@dataclass(frozen=True, slots=True)
class CuratedRow:
    """A curated question and where it comes from.

    Attributes:
        question: with its given tags.
        part: ``training``, ``validation`` or ``testing``.
        file: the source file; None in folders of early releases.
        line: its line there, from one.
    """

    question: Question
    part: str
    file: str | None
    line: int | None


@dataclass(frozen=True, slots=True)
class LabelFinding:
    """A row to review, the evidence against its tags, and a similar row for comparison.

    Attributes:
        row: the row.
        doubt: from 0 to 1; the higher, the more a tag of it resembles a wrong one.
        wrong: the given tag that looks wrong.
        wrong_probability: of that tag, given the text.
        missing: the likeliest tag that is not given; None if all are given.
        missing_probability: of that tag.
        similar: the most similar other row.
    """

    row: CuratedRow
    doubt: float
    wrong: str
    wrong_probability: float
    missing: str | None
    missing_probability: float | None
    similar: CuratedRow

    def as_dict(self) -> dict[str, object]:
        """The finding as JSON values; the reviewer edits ``tags``."""
        row, similar = self.row, self.similar
        return {
            "id": row.question.id,
            "given": list(row.question.tags),
            "tags": list(row.question.tags),
            "title": row.question.title,
            "wrong": self.wrong,
            "wrong_probability": round(self.wrong_probability, 4),
            "missing": self.missing,
            "missing_probability": self.missing_probability and round(self.missing_probability, 4),
            "doubt": round(self.doubt, 4),
            "similar": {
                "id": similar.question.id,
                "title": similar.question.title,
                "tags": list(similar.question.tags),
            },
            "part": row.part,
            "source": {"file": row.file, "line": row.line},
        }


@dataclass(frozen=True, slots=True)
class LabelReview:
    """What a review found.

    Attributes:
        rows: how many were reviewed.
        doubtful: how many of them have a tag that the evidence contradicts.
        findings: the worst of these, worst first.
        encoder: name of the encoder that was used; None without.
        reason: why none was used.
    """

    rows: int
    doubtful: int
    findings: tuple[LabelFinding, ...]
    encoder: str | None
    reason: str


def review_labels(
    name: str,
    runs: Path,
    *,
    top: int,
    encoder: str | None = None,
    seed: int = 0,
    on_progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> LabelReview:
    """Find rows whose tags the evidence contradicts; blocks while it computes.

    Args:
        name: of a run, or a run's folder, or a curated folder.
        runs: the folder of runs.
        top: how many rows to return.
        encoder: ``auto``, ``none`` or a folder; None takes the setting of the run's recipe, or ``auto``.
        seed: decides the folds.
        on_progress: called with ``(step, done, total)``.

    Raises:
        ConfigurationError: there is no such run or folder.
        DataError: a file is damaged, or there are too few rows.
        MissingExtraError: a package is not installed.
    """
    from lawtags_client.tagging.label_review import (
        doubtful_rows,
        nearest_rows,
        retriever_evidence,
        retriever_similarity,
    )
    from lawtags_client.tagging.retriever import Retriever

    curated, recorded = _curated_folder(name, runs)
    choice = choose_encoder(encoder or recorded)
    rows = read_curated(curated)
    questions = [row.question for row in rows]
    vocabulary = Vocabulary.from_questions(questions)
    retriever = Retriever.fit(
        questions, vocabulary, seed=seed, embedder=choice.encoder, on_progress=on_progress
    )
    evidence = {"retriever": retriever_evidence(retriever, questions)}
    doubtful = doubtful_rows(
        questions,
        vocabulary,
        evidence,
        similarity=retriever_similarity(retriever, questions),
        seed=seed,
    )
    worst = doubtful[:top]
    similar = nearest_rows(retriever, questions, [each.row for each in worst])
    findings = tuple(
        LabelFinding(
            rows[each.row],
            each.doubt,
            each.wrong,
            each.wrong_probability,
            each.missing,
            each.missing_probability,
            rows[other],
        )
        for each, other in zip(worst, similar, strict=True)
    )
    return LabelReview(len(rows), len(doubtful), findings, _encoder_name(choice), choice.reason)


def _encoder_name(choice: EncoderChoice) -> str | None:
    return None if choice.encoder is None else choice.encoder.name


def _curated_folder(name: str, runs: Path) -> tuple[Path, str]:
    """The curated folder that is meant, and the encoder that the run's recipe names."""
    if (Path(name) / "questions").is_dir():
        return Path(name), "auto"
    folder = find_run(runs, name)
    recipe = RunFacts.read(Ledger(folder / "ledger.sqlite")).recipe or {}
    options = recipe.get("retriever")
    setting = options.get("encoder") if isinstance(options, Mapping) else None
    return folder / "curated", setting if isinstance(setting, str) else "auto"


def read_curated(folder: Path) -> list[CuratedRow]:
    """The questions of all parts of a curated folder that have tags.

    Raises:
        ConfigurationError: it holds no curated questions.
        DataError: a file is damaged.
    """
    paths = {part: folder / "questions" / f"{part}.jsonl" for part in _PARTS}
    present = {part: path for part, path in paths.items() if path.is_file()}
    if not present:
        raise ConfigurationError(
            f"{folder} contains no curated questions",
            hint="Pass the name of a run that has curated its questions, or a folder of lawtags curate.",
        )
    return [row for part, path in present.items() for row in _rows(path, part) if row.question.tags]


def _rows(path: Path, part: str) -> Iterable[CuratedRow]:
    try:
        for line, row in read_rows(path):
            source = row.get("source")
            file = source.get("file") if isinstance(source, Mapping) else None
            number = source.get("line") if isinstance(source, Mapping) else None
            yield CuratedRow(
                Question.from_row(row, path=path, line=line),
                part,
                file if isinstance(file, str) else None,
                number if isinstance(number, int) else None,
            )
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror}", path=path, hint="Check its permissions."
        ) from error


def check_review_file(path: Path) -> None:
    """See that a file for a review can be written without losing somebody's corrections.

    Raises:
        ConfigurationError: it exists.
    """
    if path.exists():
        raise ConfigurationError(
            f"{path} exists, and may contain reviewed corrections",
            hint="Pass another file to --out, or remove this one.",
        )


def write_review(path: Path, findings: Iterable[LabelFinding]) -> None:
    """Write findings as JSON Lines for a reviewer, who edits ``tags`` of each row.

    Raises:
        ConfigurationError: the file exists.
    """
    check_review_file(path)
    make_folder(path.parent)
    # Escaped as in JSON, so that the file is safe to page through and reads as the same text.
    lines = (escape_controls(json.dumps(each.as_dict(), ensure_ascii=False)) + "\n" for each in findings)
    atomic_write_text(path, "".join(lines))
