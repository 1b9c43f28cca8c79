"""Removing questions from a curated folder without reading its sources again.

Everything that depends on the remaining questions is rebuilt from them: prompts and answers, whose order and
candidates depend on the training rows, row numbers, tags, and all digests. The rows are those
that a curation with the same list would have written, with one exception: a question that was refused as a
duplicate of a forgotten one stays refused.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from lawtags_client.curation.forget.forget_list import ForgetList, load_forget_list
from lawtags_client.curation.forget.forgotten_tags import remaining_labels, remaining_words
from lawtags_client.curation.lock import curation_lock
from lawtags_client.curation.options import CurationOptions
from lawtags_client.curation.records import (
    CurationCard,
    ExamplesRecord,
    LabelsRecord,
    QuestionRow,
    RejectedRow,
    RemovalRecord,
    TextsRecord,
)
from lawtags_client.curation.report import PARTS, REPORT, outputs_digest
from lawtags_client.curation.select.shortlists import Shortlists
from lawtags_client.curation.write.atomic_files import RowFiles
from lawtags_client.curation.write.card import write_card
from lawtags_client.curation.write.notes import unseen_tags
from lawtags_client.curation.write.prompts import RowMaker
from lawtags_client.curation.write.rendering import REJECTED, part_files
from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.files import atomic_write_json
from lawtags_client.json_value import JsonRow
from lawtags_client.jsonl import read_rows
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary


def forget_questions(
    folder: Path,
    forget: str | Path,
    *,
    count_tokens: Callable[[str], int] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> RemovalRecord:
    """Remove questions from every output of a curated folder, and rebuild what depends on them.

    Uploaded datasets and trained models still contain the questions.

    Args:
        folder: what :func:`~lawtags_client.curation.curate` wrote.
        forget: a file of ids, or SHA-256 of ids, one per line.
        count_tokens: the length of a text in tokens; needed if the curation had one.
        now: the time to record.

    Returns:
        The record of the removal, as ``curation.json`` now holds it under ``forgotten``.

    Raises:
        DataError: the folder or the list cannot be read, or no training rows would be left; then nothing is
            changed.
        ConfigurationError: the curation counted tokens with a tokenizer, and none is given, or vice versa.

    Example::

        forget_questions(Path("curated"), "deletions.txt")["rows"]
    """
    listed = load_forget_list(forget)
    return _Forgetting(Path(folder), listed, count_tokens).run(now())


class _Forgetting:
    """One removal from one folder."""

    def __init__(self, folder: Path, listed: ForgetList, count_tokens: Callable[[str], int] | None) -> None:
        self._folder = folder
        self._listed = listed
        self._count_tokens = count_tokens
        self._card = _load_card(folder)
        self._forgotten: list[str] = []
        if self._card["prompts"]["tokens_are_estimates"] != (count_tokens is None):
            had = "no" if count_tokens else "a"
            raise ConfigurationError(
                f"{folder} was curated with {had} tokenizer, so its prompts would be truncated differently",
                hint="Pass the same tokenizer as then, or none if there was none.",
            )
        options = self._card["options"]
        # Apart from its question, a row for the Customizer depends only on these.
        self._options = CurationOptions.from_dict(
            {
                "style": options["style"],
                "format": options["format"],
                "split": {"seed": options["split"]["seed"]},
            }
        )

    def run(self, at: datetime) -> RemovalRecord:
        with curation_lock(self._folder) as left_behind:
            record = self._run(at)
            # Left after by a curation that was killed; it contains the questions as they were read.
            shutil.rmtree(left_behind, ignore_errors=True)
        return record

    def _run(self, at: datetime) -> RemovalRecord:
        left = {part: sum(1 for _ in self._questions(part)) for part in PARTS}
        if not left["training"]:
            raise DataError("no training rows would be left", path=self._folder, hint="Delete the folder.")
        vocabulary = Vocabulary.from_questions(question for _, question in self._questions("training"))
        maker = RowMaker(self._options, vocabulary, self._count_tokens, self._card["prompts"]["tokenizer"])
        with RowFiles(self._folder) as files:
            labels = self._write_parts(files, left, maker, self._shortlists(vocabulary))
            rejected = self._write_rejected(files)
            outputs = files.commit()
        for part in PARTS:
            if not left[part]:
                for name in part_files(part):
                    (self._folder / name).unlink(missing_ok=True)
        record = self._listed.record(self._forgotten, at)
        forgotten = [*self._card["forgotten"], record]
        self._card |= {
            "digest": outputs_digest(outputs),
            "splits": left,
            "rejected": rejected,
            "prompts": maker.summary(),
            "tags": dict(zip(vocabulary.tags, vocabulary.counts, strict=True)),
            "labels": self._labels(labels, sum(removal["rows"] for removal in forgotten)),
            "examples": self._examples(),
            "same_ids": [same for same in self._card["same_ids"] if same["id"] not in self._listed],
            "forgotten": forgotten,
            "asking": self._asking(labels),
            "outputs": outputs,
        }
        atomic_write_json(self._folder / REPORT, self._card)
        write_card(self._folder, self._card)
        return record

    def _write_parts(
        self, files: RowFiles, left: Mapping[str, int], maker: RowMaker, shortlists: Shortlists | None
    ) -> dict[str, dict[str, int]]:
        counts = {part: Counter[str]() for part in PARTS}
        for part in PARTS:
            self._forgotten += [row["id"] for row in self._rows(part) if row["id"] in self._listed]
            if not left[part]:
                continue
            rows, questions = part_files(part)
            files.add(rows)
            files.add(questions)
            for place, (row, question) in enumerate(self._questions(part)):
                candidates: tuple[str, ...] = ()
                if shortlists is not None and part == "training":
                    candidates = shortlists.training(place, question)
                elif shortlists is not None:
                    candidates = shortlists.other(question)
                files.write(rows, maker.row(question, candidates))
                files.write(questions, {**row, "row": place})
                counts[part].update(question.tags)
        return {
            tag: {part: counts[part][tag] for part in PARTS} for tag in sorted(set().union(*counts.values()))
        }

    def _labels(self, parts: dict[str, dict[str, int]], gone: int) -> LabelsRecord:
        """The card's record of tags, without those that no question has anymore."""
        kept = remaining_labels(self._card["labels"], parts, gone)
        return {**kept, "parts": parts, "unseen": unseen_tags(parts)}

    def _asking(self, tags: Mapping[str, object]) -> TextsRecord | None:
        """How texts are prepared, without words that come only from forgotten questions.

        Args:
            tags: the tags of the remaining rows.
        """
        # Curations of older releases did not record it.
        asking = self._card.get("asking")
        if not asking or not asking["pii"]:
            return asking
        pii = asking["pii"]
        kept = [*self._card["options"]["pii"]["allow"], *(tag.replace("-", " ") for tag in tags)]
        texts = (
            text
            for part in PARTS
            for _, question in self._questions(part)
            for text in (question.title, question.body or "")
        )
        return {**asking, "pii": {**pii, "allow": remaining_words(pii["allow"], kept, texts)}}

    def _examples(self) -> ExamplesRecord:
        """The examples of the remaining questions."""
        examples, listed = self._card["examples"], self._listed
        return {
            "changed": {
                step: [row for row in rows if row["id"] not in listed]
                for step, rows in examples.get("changed", {}).items()
            },
            "dropped": {
                step: [row for row in rows if row["id"] not in listed and row.get("instead") not in listed]
                for step, rows in examples.get("dropped", {}).items()
            },
        }

    def _write_rejected(self, files: RowFiles) -> dict[str, dict[str, int]]:
        counts: dict[str, Counter[str]] = {}
        files.add(REJECTED)
        for line in _read(self._folder / REJECTED):
            row = cast(RejectedRow, line)
            if row["id"] is not None and row["id"] in self._listed:
                self._forgotten.append(row["id"])
                continue
            if row.get("instead") in self._listed:
                # The row has the words of the forgotten question.
                row.pop("title", None)
                row.pop("instead_at", None)
                row.pop("tags_differ", None)
                row["instead"] = None
            counts.setdefault(row["step"], Counter())[row["reason"]] += 1
            files.write(REJECTED, row)
        return {step: dict(sorted(reasons.items())) for step, reasons in counts.items()}

    def _shortlists(self, vocabulary: Vocabulary) -> Shortlists | None:
        k = self._options.style.shortlist
        if not k:
            return None
        training = (question for _, question in self._questions("training"))
        return Shortlists(training, vocabulary.rows, vocabulary, k, self._options.split.seed)

    def _questions(self, part: str) -> Iterator[tuple[QuestionRow, Question]]:
        """The remaining questions of a part, each with its row."""
        for row in self._rows(part):
            if row["id"] not in self._listed:
                yield (
                    row,
                    Question(id=row["id"], title=row["title"], body=row["body"], tags=tuple(row["tags"])),
                )

    def _rows(self, part: str) -> Iterator[QuestionRow]:
        path = self._folder / part_files(part)[1]
        if path.exists() or self._card["splits"][part]:
            for row in _read(path):
                yield cast(QuestionRow, row)


def _load_card(folder: Path) -> CurationCard:
    path = folder / REPORT
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            "is not a curated folder",
            path=folder,
            hint="Pass the folder that lawtags curate wrote with --out.",
            wrong_path=True,
        ) from error
    except ValueError as error:
        raise DataError("is not valid JSON", path=path, hint="Curate again, with --forget.") from error
    needed = ("options", "prompts", "splits", "labels", "forgotten", "examples", "same_ids")
    if not isinstance(card, dict) or any(name not in card for name in needed):
        raise DataError("was written by another version", path=path, hint="Curate again, with --forget.")
    return cast(CurationCard, card)


def _read(path: Path) -> Iterator[JsonRow]:
    try:
        for _, row in read_rows(path, hint="Curate again."):
            yield row
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, hint="Curate again.") from error
