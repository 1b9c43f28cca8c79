"""Reviews the tags of curated questions: lists doubtful rows, and writes the file that a reviewer edits."""

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
    """A curated question and its source.

    Attributes:
        question: the question with its given tags.
        part: ``training``, ``validation`` or ``testing``.
        file: the source file; None in folders that an early release wrote.
        line: line number in that file, starting at one.
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
        doubt: from 0 to 1; higher if one of its tags looks more like a wrong tag.
        wrong: the given tag that looks wrong.
        wrong_probability: probability of that tag, given the text.
        missing: the most likely tag that is not given; None if all are given.
        missing_probability: probability of that tag.
        similar: the most similar other row.
    """

    row: CuratedRow
    doubt: float
    wrong: str
    wrong_probability: float
    missing: str | None
    missing_probability: float | None
    similar: CuratedRow

    def as_dict(self, *, titles: bool = True) -> dict[str, object]:
        """The finding as JSON values; the reviewer edits ``tags``.

        Args:
            titles: include the titles of both rows.
        """
        row, similar = self.row, self.similar
        return {
            "id": row.question.id,
            "given": list(row.question.tags),
            "tags": list(row.question.tags),
            **({"title": row.question.title} if titles else {}),
            "wrong": self.wrong,
            "wrong_probability": round(self.wrong_probability, 4),
            "missing": self.missing,
            "missing_probability": self.missing_probability and round(self.missing_probability, 4),
            "doubt": round(self.doubt, 4),
            "similar": {
                "id": similar.question.id,
                **({"title": similar.question.title} if titles else {}),
                "tags": list(similar.question.tags),
            },
            "part": row.part,
            "source": {"file": row.file, "line": row.line},
        }


@dataclass(frozen=True, slots=True)
class LabelReview:
    """What a review found.

    Attributes:
        rows: number of rows reviewed.
        doubtful: number of rows with a tag that the evidence contradicts.
        findings: the most doubtful of these rows, in descending order of doubt.
        encoder: name of the encoder used, if any.
        reason: why no encoder was used.
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
        name: a run's name or folder, or a curated folder.
        runs: the folder that contains the runs.
        top: maximum number of rows to return.
        encoder: ``auto``, ``none`` or a folder; by default the setting of the run's recipe, or ``auto``.
        seed: seed of the folds.
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
    """The curated folder, and the encoder setting of the run's recipe."""
    if (Path(name) / "questions").is_dir():
        return Path(name), "auto"
    folder = find_run(runs, name)
    recipe = RunFacts.read(Ledger(folder / "ledger.sqlite")).recipe or {}
    options = recipe.get("retriever")
    setting = options.get("encoder") if isinstance(options, Mapping) else None
    return folder / "curated", setting if isinstance(setting, str) else "auto"


def read_curated(folder: Path) -> list[CuratedRow]:
    """Read the tagged questions of all parts of a curated folder.

    Raises:
        ConfigurationError: it contains no curated questions.
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
    """Check that writing a review file overwrites nobody's corrections.

    Raises:
        ConfigurationError: it exists.
    """
    if path.exists():
        raise ConfigurationError(
            f"{path} exists, and may contain reviewed corrections",
            hint="Pass another file to --out, or remove this one.",
        )


def write_review(path: Path, findings: Iterable[LabelFinding], *, titles: bool = False) -> None:
    """Write findings as JSON Lines for a reviewer, who edits ``tags`` of each row.

    Args:
        path: a new file.
        findings: the rows to review.
        titles: include titles, which ``lawtags curate --forget`` cannot remove from this file.

    Raises:
        ConfigurationError: the file exists.
    """
    check_review_file(path)
    make_folder(path.parent)
    rows = (json.dumps(each.as_dict(titles=titles), ensure_ascii=False) for each in findings)
    # The escapes are JSON escapes: the text stays the same, and a terminal can show the file safely.
    atomic_write_text(path, "".join(escape_controls(row) + "\n" for row in rows))
