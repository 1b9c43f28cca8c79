"""Reviews the tags of curated questions: lists doubtful rows, and writes the file that a reviewer edits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.encoder.choice import EncoderChoice, choose_encoder
from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.files import atomic_write_text, make_folder
from lawtags_client.runs.reviewed_rows import ReviewedRow, ReviewedRows, find_reviewed_rows
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.terminal import escape_controls

if TYPE_CHECKING:
    from lawtags_client.tagging.label_review import DoubtfulRow


@dataclass(frozen=True, slots=True)
class LabelFinding:
    """A row to review, the evidence against its tags, and a similar row for comparison.

    Attributes:
        row: the row.
        evidence: which tag looks wrong, what speaks against it, and which tag it could be.
        similar: the most similar other row.
    """

    row: ReviewedRow
    evidence: DoubtfulRow
    similar: ReviewedRow

    def as_dict(self, *, titles: bool = True) -> dict[str, object]:
        """The finding as JSON values; the reviewer edits ``tags``.

        Args:
            titles: include the titles of both rows.
        """
        row, found, similar = self.row, self.evidence, self.similar
        return {
            "id": row.question.id,
            "given": list(row.question.tags),
            "tags": list(row.question.tags),
            **({"title": row.question.title} if titles else {}),
            "wrong": found.wrong,
            "wrong_probability": round(found.wrong_probability, 4),
            "because": found.reason,
            "missing": found.missing,
            "missing_probability": found.missing_probability and round(found.missing_probability, 4),
            "doubt": round(found.doubt, 4),
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
        unreadable: number of rows skipped because they could not be read.
        untagged: number of rows skipped because they have no tags, or not all of them.
        disputed: pairs of rows with the same text and different tags; each row is in one pair at most.
    """

    rows: int
    doubtful: int
    findings: tuple[LabelFinding, ...]
    encoder: str | None
    reason: str
    unreadable: int = 0
    untagged: int = 0
    disputed: tuple[tuple[ReviewedRow, ReviewedRow], ...] = ()


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
        name: a run's name or folder, a curated folder, or a file of questions with tags.
        runs: the folder that contains the runs.
        top: maximum number of rows to return.
        encoder: ``auto``, ``none``, a name of the catalog, or a folder; by default the setting of the run's
            recipe, or ``auto``.
        seed: seed of the folds.
        on_progress: called with ``(step, done, total)``.

    Raises:
        ConfigurationError: there is no such run, folder or file.
        DataError: a file is damaged, or there are too few rows.
        MissingExtraError: a package is not installed.
    """
    from lawtags_client.tagging.label_review import (
        doubtful_rows,
        nearest_rows,
        retriever_evidence,
        retriever_similarity,
    )
    from lawtags_client.tagging.retriever import FEWEST_ROWS, Retriever

    found = find_reviewed_rows(name, runs)
    choice = choose_encoder(encoder or found.encoder)
    rows = found.rows
    if len(rows) < FEWEST_ROWS:
        raise DataError(
            f"{name}: {_skipped(found)}, and a review needs at least {FEWEST_ROWS} rows with tags",
            hint="Pass a file with more labeled questions.",
        )
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
        LabelFinding(rows[each.row], each, rows[other]) for each, other in zip(worst, similar, strict=True)
    )
    return LabelReview(
        len(rows),
        len(doubtful),
        findings,
        _encoder_name(choice),
        choice.reason,
        found.unreadable,
        found.untagged,
        tuple(_disputed(rows)),
    )


def _skipped(found: ReviewedRows) -> str:
    parts = [f"{len(found.rows)} rows have tags"]
    if found.untagged:
        parts.append(f"{found.untagged} have none, or not all of them")
    if found.unreadable:
        parts.append(f"{found.unreadable} could not be read")
    return ", ".join(parts)


def _disputed(rows: Iterable[ReviewedRow]) -> Iterable[tuple[ReviewedRow, ReviewedRow]]:
    """Pairs of rows with the same text, of which at least one has tags that are wrong or incomplete."""
    first: dict[tuple[str, str | None], ReviewedRow] = {}
    for row in rows:
        text = (row.question.title, row.question.body)
        other = first.setdefault(text, row)
        if set(other.question.tags) != set(row.question.tags):
            yield first.pop(text), row


def _encoder_name(choice: EncoderChoice) -> str | None:
    return None if choice.encoder is None else choice.encoder.name


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
