"""Writing the outputs: rows for the Customizer, their questions, and rejected rows."""

from __future__ import annotations

import bisect
import dataclasses
import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.curation.execution import PartitionRunner
from lawtags_client.curation.options import CurationOptions, PiiOptions
from lawtags_client.curation.read.sources import QuestionSource
from lawtags_client.curation.records import FilePlace, PromptSummary, RejectedRow, SameId
from lawtags_client.curation.report import PARTS, REPORT
from lawtags_client.curation.select.selection import NOWHERE, Selection
from lawtags_client.curation.select.shortlists import Shortlists
from lawtags_client.curation.staging import StagedQuestions, WorkFolder
from lawtags_client.curation.write.atomic_files import RowFiles, line_of
from lawtags_client.curation.write.card import PAGE
from lawtags_client.curation.write.rendering import (
    FILES,
    REJECTED,
    PartitionPlacement,
    RenderedPartition,
    RenderingOptions,
    SurvivingQuestion,
    bad_entry,
    part_files,
    question_of,
    records_of,
    render_partition,
    rendered,
    rows_path,
)
from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COPY_BYTES = 1 << 20
# Limits the number of placements in memory.
_PARTITIONS_AT_ONCE = 256


@dataclass(frozen=True)
class WrittenOutputs:
    """The files written, and statistics on their rows.

    Args:
        outputs: file to SHA-256.
        splits: rows in each part.
        prompts: lengths of prompts, and how many were truncated.
        tags: training rows per tag.
        labels: rows per tag and part.
        rejected: rejected rows by step and reason.
        dropped: the first rejected rows of each step.
        other_tags: duplicates that had different tags than the question kept.
        same_ids: places of different questions that share an id.
    """

    outputs: dict[str, str]
    splits: dict[str, int]
    prompts: PromptSummary
    tags: dict[str, int]
    labels: dict[str, dict[str, int]]
    rejected: dict[str, dict[str, int]]
    dropped: dict[str, list[RejectedRow]]
    other_tags: int
    same_ids: list[SameId]


def check_outputs(out: Path, sources: Sequence[QuestionSource], others: Sequence[str | Path | None]) -> None:
    """Refuse to overwrite inputs.

    Args:
        out: the folder.
        sources: the questions.
        others: other files that are read, if any.

    Raises:
        ConfigurationError: an output file is one of the inputs.
    """
    read = [source.location for source in sources if not source.hub]
    read += [str(other) for other in others if other is not None]
    for name in (*FILES, REPORT, PAGE):
        path = out / name
        for location in read:
            if path.exists() and Path(location).exists() and path.samefile(location):
                raise ConfigurationError(
                    f"{location} would be overwritten by the output",
                    hint="Choose another folder for the output (--out).",
                )


def write_bad_rows(out: Path, work: WorkFolder, staged: StagedQuestions) -> None:
    """Write ``rejected.jsonl`` with only the unreadable rows, when a curation ends early."""
    with RowFiles(out) as files:
        files.add(REJECTED)
        for number in range(staged.partitions + 1):
            for entry in work.bad_rows(number, last=False):
                files.append(REJECTED, line_of(bad_entry(entry)))
        _forget_last(out)
        files.commit()


class OutputWriter:
    """Writes the outputs of one curation.

    Args:
        out: the folder.
        work: the partitions after all steps.
        staged: what reading found.
        selection: which question goes where.
        options: the options.
        count_tokens: the length of a text in tokens of the model.
        tokenizer: identity of the tokenizer.
    """

    def __init__(
        self,
        out: Path,
        work: WorkFolder,
        staged: StagedQuestions,
        selection: Selection,
        options: CurationOptions,
        count_tokens: Callable[[str], int] | None,
        tokenizer: str | None,
    ) -> None:
        self._tokenizer = tokenizer
        self._out = out
        self._work = work
        self._staged = staged
        self._selection = selection
        # Rendering does not need the secret key, so it does not get it.
        bare = PiiOptions(entities=options.pii.entities)
        self._options = dataclasses.replace(options, pii=bare)
        self._count_tokens = count_tokens
        self._parts = {part: int((selection.parts == number).sum()) for number, part in enumerate(PARTS)}

    def pending(self) -> list[int]:
        """Partitions whose lines are not written yet."""
        return [n for n in range(self._staged.partitions) if rendered(self._work, n) is None]

    def write(self, runner: PartitionRunner, on_done: Callable[[int], None]) -> WrittenOutputs:
        """Write all files.

        Args:
            runner: runs the rendering.
            on_done: called with the number of each partition whose lines are written.

        Raises:
            DataError: no training rows are left; ``rejected.jsonl`` is still written.
        """
        if not self._staged.partitions:
            write_bad_rows(self._out, self._work, self._staged)
            raise self._nothing_left(RenderedPartition())
        vocabulary = Vocabulary.from_questions(self._training())
        rare = frozenset(self._selection.rare)
        rendering = RenderingOptions(self._options, vocabulary, rare, self._count_tokens)
        self._render(rendering, runner, on_done)
        if not self._parts["training"]:
            with RowFiles(self._out) as files:
                made = self._join(files, (REJECTED,))
                files.commit()
            raise self._nothing_left(made)
        with RowFiles(self._out) as files:
            wanted = [name for part in PARTS if self._parts[part] for name in part_files(part)]
            made = self._join(files, (*wanted, REJECTED))
            for part in PARTS:
                if not self._parts[part]:
                    for name in part_files(part):
                        (self._out / name).unlink(missing_ok=True)
            outputs = files.commit()
        return WrittenOutputs(
            outputs,
            dict(self._parts),
            made.lengths.summary(
                self._options.style.max_tokens,
                estimated=self._count_tokens is None,
                tokenizer=self._tokenizer,
            ),
            dict(zip(vocabulary.tags, vocabulary.counts, strict=True)),
            {
                tag: {part: made.labels[part][tag] for part in PARTS}
                for tag in sorted(set().union(*made.labels.values()))
            },
            {step: dict(sorted(reasons.items())) for step, reasons in made.rejected.items()},
            made.dropped,
            made.other_tags,
            self._same_ids(),
        )

    def _same_ids(self) -> list[SameId]:
        """Places of different questions that share an id."""
        found: list[SameId] = []
        for rows in self._selection.same_ids:
            places: list[FilePlace] = []
            for row in rows:
                number = bisect.bisect_right(self._staged.starts, row) - 1
                frame = self._work.frame(number, ("id", "file", "line"))
                values = frame.iloc[row - self._staged.starts[number]]
                places.append({"file": values["file"], "line": int(values["line"])})
            found.append({"id": values["id"], "at": places})
        return found

    def _training(self) -> Iterator[Question]:
        """The training rows, in the order of the input."""
        rare = frozenset(self._selection.rare)
        training = self._selection.parts == PARTS.index("training")
        columns = ("id", "title", "body", "tags", "test")
        for number in range(self._staged.partitions):
            chosen = training[self._place(number)]
            if chosen.any():
                for values in records_of(self._work.frame(number, columns)[chosen]):
                    yield question_of(values, rare)

    def _render(
        self, rendering: RenderingOptions, runner: PartitionRunner, on_done: Callable[[int], None]
    ) -> None:
        """Write the lines of every pending partition."""
        pending = self.pending()
        placements = _Placements(self._work, self._staged, self._selection)
        style = self._options.style
        if style.shortlist and self._parts["training"]:
            rows, seed = self._parts["training"], self._options.split.seed
            shortlists = Shortlists(self._training(), rows, rendering.vocabulary, style.shortlist, seed)
            # A retriever is too large to send to workers.
            for number in pending:
                render_partition(number, self._work.text, rendering, placements.of(number), shortlists)
                on_done(number)
            return
        if not _can_travel(rendering.count_tokens):
            for number in pending:
                render_partition(number, self._work.text, rendering, placements.of(number))
                on_done(number)
            return
        for begin in range(0, len(pending), _PARTITIONS_AT_ONCE):
            arguments = {
                number: (self._work.text, rendering, placements.of(number))
                for number in pending[begin : begin + _PARTITIONS_AT_ONCE]
            }
            runner.call(render_partition, arguments, on_done)

    def _join(self, files: RowFiles, names: Sequence[str]) -> RenderedPartition:
        """Concatenate the lines of the partitions, and delete the earlier report."""
        made = RenderedPartition()
        for name in names:
            files.add(name)
        for number in range(self._staged.partitions):
            record = rendered(self._work, number)
            if record is None:
                raise DataError(f"the rows of partition {number} are missing", hint="Repeat the command.")
            made.merge(record)
            with rows_path(self._work, number).open("rb") as stream:
                for name, size in zip(FILES, record.sizes, strict=True):
                    if name not in names:
                        stream.seek(size, 1)
                        continue
                    for piece in _pieces(size):
                        files.append(name, stream.read(piece))
        _forget_last(self._out)
        return made

    def _place(self, number: int) -> slice:
        return slice(self._staged.starts[number], self._staged.starts[number + 1])

    def _nothing_left(self, made: RenderedPartition) -> DataError:
        found = [f"{self._staged.bad_rows} at read"] if self._staged.bad_rows else []
        found += [f"{reasons.total()} at {step}" for step, reasons in made.rejected.items()]
        return DataError(
            f"no training rows are left of {sum(self._staged.sources)} "
            f"({', '.join(found) or 'none of these were refused'})",
            path=self._out / REJECTED,
            hint="The file has the reason for each row.",
        )


class _Placements:
    """Placement of the questions of each partition, with those kept in place of duplicates."""

    def __init__(self, work: WorkFolder, staged: StagedQuestions, selection: Selection) -> None:
        import numpy

        self._staged = staged
        self._selection = selection
        wanted = numpy.unique(selection.instead)
        self._kept = wanted[wanted != NOWHERE]
        self._questions: list[SurvivingQuestion] = []
        places = numpy.searchsorted(self._kept, staged.starts)
        for number in range(staged.partitions):
            chosen = self._kept[places[number] : places[number + 1]] - staged.starts[number]
            if len(chosen):
                frame = work.frame(number, ("id", "file", "line", "tags")).iloc[chosen]
                self._questions += [
                    SurvivingQuestion(values["id"], values["file"], values["line"], frozenset(values["tags"]))
                    for values in records_of(frame)
                ]
        self._before: dict[int, tuple[int, ...]] = {}
        counts: Counter[int] = Counter()
        for number in range(staged.partitions):
            self._before[number] = tuple(counts[part] for part in range(len(PARTS)))
            counts.update(selection.parts[staged.starts[number] : staged.starts[number + 1]].tolist())

    def of(self, number: int) -> PartitionPlacement:
        """The placement for one partition."""
        import numpy

        place = slice(self._staged.starts[number], self._staged.starts[number + 1])
        instead: NDArray[np.int64] = self._selection.instead[place]
        kept = numpy.unique(instead[instead != NOWHERE])
        found = numpy.searchsorted(self._kept, kept)
        return PartitionPlacement(
            self._selection.parts[place],
            self._selection.refused[place],
            instead,
            {int(row): self._questions[at] for row, at in zip(kept, found, strict=True)},
            self._before[number],
            last=number == self._staged.partitions - 1,
        )


def _forget_last(out: Path) -> None:
    # A report of other inputs must not appear to describe the new files.
    for name in (REPORT, PAGE):
        (out / name).unlink(missing_ok=True)


def _can_travel(function: Callable[[str], int] | None) -> bool:
    """Whether the function can be sent to another process."""
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


def _pieces(size: int) -> Iterator[int]:
    for begin in range(0, size, _COPY_BYTES):
        yield min(_COPY_BYTES, size - begin)
