"""Writing what was curated: rows for the Customizer, the questions beside them, and what was refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lawtags_client.curation.options import CurationOptions
from lawtags_client.curation.prompts import RowMaker
from lawtags_client.curation.report import PARTS, REPORT
from lawtags_client.curation.selection import Selection
from lawtags_client.curation.shortlists import Shortlists
from lawtags_client.curation.staging import Staged, WorkFolder
from lawtags_client.curation.writing import RowFiles
from lawtags_client.errors import DataError
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pandas as pd

REJECTED = "rejected.jsonl"


@dataclass(frozen=True)
class Written:
    """What was written.

    Args:
        outputs: file to SHA-256.
        splits: rows in each part.
        prompts: how long they are, and how many were cut.
        tags: on how many training rows each tag stands.
        labels: on how many rows of each part each tag stands.
        rejected: refused rows by step and reason.
    """

    outputs: dict[str, str]
    splits: dict[str, int]
    prompts: dict[str, Any]
    tags: dict[str, int]
    labels: dict[str, dict[str, int]]
    rejected: dict[str, dict[str, int]]


def part_files(part: str) -> tuple[str, str]:
    """The files of a part: rows for the Customizer, and the questions they were made of."""
    return f"{part}/{part}.jsonl", f"questions/{part}.jsonl"


class Writer:
    """Writes the outputs of one curation.

    Args:
        out: the folder.
        work: the partitions behind all steps.
        staged: what reading found.
        selection: which question goes where.
        options: what is asked for.
        count_tokens: the length of a text in tokens of the model.
    """

    def __init__(
        self,
        out: Path,
        work: WorkFolder,
        staged: Staged,
        selection: Selection,
        options: CurationOptions,
        count_tokens: Callable[[str], int] | None,
    ) -> None:
        self._out = out
        self._work = work
        self._staged = staged
        self._selection = selection
        self._options = options
        self._count_tokens = count_tokens
        self._rejected: dict[str, Counter[str]] = {}
        self._parts = Counter(selection.parts.values())
        self._labels = {part: Counter[str]() for part in PARTS}

    def write(self, on_rows: Callable[[int], None]) -> Written:
        """Write all files.

        Args:
            on_rows: told how many rows are written.

        Raises:
            DataError: no training rows are left; ``rejected.jsonl`` is written all the same.
        """
        if not self._parts["training"]:
            with RowFiles(self._out) as files:
                self._write_rejected(files)
                self._forget_last()
                files.commit()
            raise DataError(
                f"no training rows are left of {self._staged.rows} ({_words(self._rejected)})",
                path=self._out / REJECTED,
                hint="The file names the reason for each row.",
            )
        vocabulary = Vocabulary.from_questions(self._training())
        shortlists = None
        style = self._options.style
        if style.shortlist:
            training = list(self._training())
            shortlists = Shortlists(training, vocabulary, style.shortlist, self._options.split.seed)
        maker = RowMaker(self._options, vocabulary, self._count_tokens)
        with RowFiles(self._out) as files:
            self._write_parts(files, maker, shortlists, on_rows)
            self._write_rejected(files)
            self._forget_last()
            for part in PARTS:
                if not self._parts[part]:
                    for name in part_files(part):
                        (self._out / name).unlink(missing_ok=True)
            outputs = files.commit()
        return Written(
            outputs,
            {part: self._parts[part] for part in PARTS},
            maker.summary(),
            dict(zip(vocabulary.tags, vocabulary.counts, strict=True)),
            {
                tag: {part: self._labels[part][tag] for part in PARTS}
                for tag in sorted(set().union(*self._labels.values()))
            },
            {step: dict(sorted(reasons.items())) for step, reasons in self._rejected.items()},
        )

    def write_bad_rows(self) -> None:
        """Write ``rejected.jsonl`` with the unreadable rows alone, where a curation ends early."""
        with RowFiles(self._out) as files:
            files.add(REJECTED)
            for entry in self._bad_rows():
                files.write(REJECTED, entry)
            self._forget_last()
            files.commit()

    def _forget_last(self) -> None:
        # What stands here is no result of these inputs, and must not look whole beside files of theirs.
        (self._out / REPORT).unlink(missing_ok=True)

    def _rows(self) -> Iterator[tuple[str, dict[str, Any], Question]]:
        """The rows that stay, in the order of the input, each with its part."""
        parts = self._selection.parts
        for frame in self._work.frames(self._staged.partitions):
            for values in _records(frame):
                part = parts.get(values["row"])
                if part is not None:
                    rare = () if values["test"] else self._selection.rare
                    tags = tuple(str(tag) for tag in values["tags"] if tag not in rare)
                    yield part, values, Question(values["id"], values["title"], values["body"], tags)

    def _training(self) -> Iterator[Question]:
        return (question for part, _, question in self._rows() if part == "training")

    def _write_parts(
        self,
        files: RowFiles,
        maker: RowMaker,
        shortlists: Shortlists | None,
        on_rows: Callable[[int], None],
    ) -> None:
        for part in PARTS:
            if self._parts[part]:
                for name in part_files(part):
                    files.add(name)
        places: Counter[str] = Counter()
        for written, (part, values, question) in enumerate(self._rows(), 1):
            candidates: tuple[str, ...] = ()
            if shortlists is not None:
                candidates = (
                    shortlists.training(places[part], question)
                    if part == "training"
                    else shortlists.other(question)
                )
            rows, questions = part_files(part)
            files.write(rows, maker.row(question, candidates))
            files.write(questions, _question_row(places[part], values, question))
            places[part] += 1
            self._labels[part].update(question.tags)
            if written % 500 == 0:
                on_rows(written)

    def _write_rejected(self, files: RowFiles) -> None:
        files.add(REJECTED)
        self._rejected.clear()
        instead = {refusal.instead for refusal in self._selection.refused.values()}
        ids = self._ids({row for row in instead if row is not None})
        entries = [((e["source"], e["line"]), _bad_entry(e)) for e in self._staged.bad]
        if self._options.on_bad_row == "skip":
            entries.clear()
        for frame in self._work.frames(self._staged.partitions):
            for values in _records(frame):
                if entry := self._refused_entry(values, ids):
                    entries.append(((values["source"], values["line"]), entry))
        for _, entry in sorted(entries, key=lambda pair: pair[0]):
            self._rejected.setdefault(entry["step"], Counter())[entry["reason"]] += 1
            files.write(REJECTED, entry)

    def _refused_entry(self, values: dict[str, Any], ids: dict[int, str]) -> dict[str, Any] | None:
        refusal = self._selection.refused.get(values["row"])
        if refusal is None and not values["rejected_by"]:
            return None
        entry: dict[str, Any] = {
            "step": refusal.step if refusal else values["rejected_by"],
            "reason": refusal.reason if refusal else values["reason"],
            "file": values["file"],
            "line": values["line"],
            "field": values["field"] or None if refusal is None else refusal.field,
            "id": values["id"],
        }
        if refusal is not None:
            if refusal.instead is not None:
                entry["instead"] = ids[refusal.instead]
        elif values["detail"]:
            entry["detail"] = values["detail"]
        # Text is shown only behind the step that takes personal data out.
        if values["masked"] or not self._options.pii.entities:
            entry["title"] = values["title"]
        return entry

    def _ids(self, rows: set[int]) -> dict[int, str]:
        found: dict[int, str] = {}
        if rows:
            for frame in self._work.frames(self._staged.partitions):
                chosen = frame[frame["row"].isin(rows)]
                found.update(zip(map(int, chosen["row"]), chosen["id"], strict=True))
        return found

    def _bad_rows(self) -> Iterable[dict[str, Any]]:
        return (_bad_entry(entry) for entry in self._staged.bad)


def _bad_entry(entry: dict[str, Any]) -> dict[str, Any]:
    kept = {name: entry[name] for name in ("reason", "file", "line", "field")}
    return {"step": "read", **kept, "id": None}


def _question_row(place: int, values: dict[str, Any], question: Question) -> dict[str, Any]:
    score = values["score"]
    return {
        "id": question.id,
        "row": place,
        "title": question.title,
        "body": question.body,
        "tags": list(question.tags),
        "score": int(score) if score is not None and score == int(score) else score,
        "link": values["link"],
        "license": values["license"],
        "source": {"file": values["file"], "line": values["line"]},
    }


def _records(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    # Tables say NaN where a value is missing; JSON has null.
    names = list(frame.columns)
    for row in zip(*(frame[name].tolist() for name in names), strict=True):
        yield {
            name: None if isinstance(value, float) and value != value else value
            for name, value in zip(names, row, strict=True)
        }


def _words(rejected: dict[str, Counter[str]]) -> str:
    found = [f"{reasons.total()} at {step}" for step, reasons in rejected.items()]
    return ", ".join(found) or "none were refused"
