"""From questions to training rows: reading, the steps on Dask, duplicates, split, prompts, files."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import operator
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lawtags_client.curation.execution import PartitionRunner, choose_workers, open_runner, run_steps
from lawtags_client.curation.forget.forget_list import ForgetList, load_forget_list, remembered
from lawtags_client.curation.isolation import FAILED, IsolatedStep
from lawtags_client.curation.lock import curation_lock
from lawtags_client.curation.options import CurationOptions
from lawtags_client.curation.questions import QuestionTexts
from lawtags_client.curation.read.notices import value_notes
from lawtags_client.curation.read.partitions import stage
from lawtags_client.curation.read.sources import QuestionSource, find_sources
from lawtags_client.curation.read.synonyms import load_synonyms
from lawtags_client.curation.report import (
    REPORT,
    CurationProgress,
    CurationReport,
    StepCount,
    outputs_digest,
)
from lawtags_client.curation.select.selection import Selection, select
from lawtags_client.curation.staging import StagedQuestions, WorkFolder
from lawtags_client.curation.steps import masking, plan_steps
from lawtags_client.curation.versions import CODE_VERSION, check_installed, versions_of
from lawtags_client.curation.write import notes
from lawtags_client.curation.write.card import write_card
from lawtags_client.curation.write.outputs import OutputWriter, WrittenOutputs, check_outputs, write_bad_rows
from lawtags_client.curation.write.rendering import REJECTED
from lawtags_client.curation.write.totals import StepTotals, add_up
from lawtags_client.errors import DataError
from lawtags_client.files import atomic_write_json, sha256_file

if TYPE_CHECKING:
    import distributed

PARTITION_ROWS = 250
_MORE_BAD = "lawtags curate --max-bad 0.1, lawtags run --set curation.max_bad=0.1"


def curate(
    inputs: Sequence[str | Path],
    out: Path,
    options: CurationOptions,
    *,
    test: Path | None = None,
    scheduler: str | distributed.Client | None = None,
    count_tokens: Callable[[str], int] | None = None,
    tokenizer: str | None = None,
    on_progress: Callable[[CurationProgress], None] | None = None,
    forget: str | Path | None = None,
    workers: int | None = None,
    partition_rows: int = PARTITION_ROWS,
    clock: Callable[[], float] = time.perf_counter,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> CurationReport:
    """Turn questions into training, validation and testing rows.

    The files in ``out`` depend on inputs and options alone, not on the number of partitions or workers. A
    curation that was killed resumes where it stopped.

    Args:
        inputs: files, patterns, or ``hf://datasets/namespace/name``.
        out: folder for the rows; files in it are replaced.
        options: what is asked for.
        test: labeled questions that become the testing part. No filter drops them, and their duplicates
            leave the other parts.
        scheduler: a Dask cluster whose workers see ``out``: its address, or a client of it, which is left
            open. None stays on this machine.
        count_tokens: the length of a text in tokens of the model; an estimate if None.
        tokenizer: what tells this counting from others, such as the SHA-256 of the tokenizer; recorded, and
            a curation that was killed under another one starts over.
        on_progress: told how far it is.
        forget: a file of questions to leave out, beside that of ``options.forget``.
        workers: processes on this machine; None starts several only where that pays (a script must then
            guard its main part with ``if __name__ == "__main__"``).
        partition_rows: the most rows that are worked on together, and that a kill can cost.
        clock: measures time.
        now: tells when questions were forgotten.

    Raises:
        DataError: an input cannot be used, too many rows are bad, or no training rows are left.
        ConfigurationError: an option or the environment is wrong, or the output would overwrite an input.
        MissingExtraError: a package is not installed.
        BusyError: another process curates into the same folder.

    Example::

        curate(["questions.jsonl"], Path("curated"), CurationOptions()).splits
    """
    check_installed()
    sources = find_sources(inputs, test)
    check_outputs(Path(out), sources, (forget, options.forget, options.tags.synonyms))
    return _Curation(
        sources,
        Path(out),
        options,
        count_tokens=count_tokens,
        tokenizer=tokenizer,
        on_progress=on_progress or (lambda _: None),
        clock=clock,
        forget=_forget_list(options.forget, forget),
        now=now,
    ).run(scheduler, workers, partition_rows)


class _Curation:
    """One curation on its way through the stages."""

    def __init__(
        self,
        sources: list[QuestionSource],
        out: Path,
        options: CurationOptions,
        *,
        count_tokens: Callable[[str], int] | None,
        tokenizer: str | None,
        on_progress: Callable[[CurationProgress], None],
        clock: Callable[[], float],
        forget: ForgetList,
        now: Callable[[], datetime],
    ) -> None:
        self._sources = sources
        self._out = out
        self._options = options
        self._count_tokens = count_tokens
        self._tokenizer = tokenizer
        self._progress = on_progress
        self._clock = clock
        self._forget = forget
        self._now = now
        self._remembered = remembered(out / REPORT)
        self._versions = versions_of(options)
        self._identities = [source.identity() for source in sources]
        self._own_test = any(source.test for source in sources)
        named = options.tags.synonyms
        self._synonyms = {} if named is None else load_synonyms(named)

    def run(
        self, scheduler: str | distributed.Client | None, workers: int | None, partition_rows: int
    ) -> CurationReport:
        with curation_lock(self._out) as parent:
            try:
                report = self._curate(
                    self._work_folder(parent, partition_rows), scheduler, workers, partition_rows
                )
            except DataError:
                # The input has to change, so there is nothing to go on with, and text of people to remove.
                shutil.rmtree(parent, ignore_errors=True)
                raise
            shutil.rmtree(parent, ignore_errors=True)
        return report

    def _curate(
        self,
        work: WorkFolder,
        scheduler: str | distributed.Client | None,
        workers: int | None,
        partition_rows: int,
    ) -> CurationReport:
        started = self._clock()
        staged = stage(
            work,
            self._sources,
            self._options.columns,
            partition_rows=partition_rows,
            stop_at_bad_row=self._options.on_bad_row == "fail",
            on_rows=lambda rows: self._progress(CurationProgress("reading", rows, None)),
            forget=self._forget,
        )
        self._check_bad_rows(work, staged)
        usable = staged.rows + len(staged.forgotten)
        read = [StepCount("read", sum(staged.sources), usable, self._clock() - started)]
        if self._forget.asked:
            read.append(StepCount("forget", usable, staged.rows, 0.0))
        workers = workers or choose_workers(staged.characters, staged.partitions)
        steps = self._steps(staged)
        with open_runner(scheduler, workers, work.text, [one.step for one in steps]) as runner:
            run_steps(
                steps,
                work,
                staged,
                runner=runner,
                on_done=self._counting("cleaning", staged, work.pending(staged.partitions)),
            )
            self._check_failures(work, staged)
            self._progress(CurationProgress("duplicates and split", 0, None))
            selection = select(
                work, staged, self._options, own_test=self._own_test, runner=runner, clock=self._clock
            )
            return self._write(work, staged, selection, read, runner)

    def _steps(self, staged: StagedQuestions) -> list[IsolatedStep]:
        stop = self._options.on_bad_row == "fail"
        return [IsolatedStep(step, stop) for step in plan_steps(self._options, staged.tags, self._synonyms)]

    def _counting(self, step: str, staged: StagedQuestions, pending: Sequence[int]) -> Callable[[int], None]:
        """Progress in rows, from the numbers of partitions that are done."""
        before = rows = staged.rows - sum(map(staged.size, pending))

        def done(partition: int) -> None:
            nonlocal rows
            rows += staged.size(partition)
            self._progress(CurationProgress(step, rows, staged.rows, before))

        self._progress(CurationProgress(step, rows, staged.rows, before))
        return done

    def _write(
        self,
        work: WorkFolder,
        staged: StagedQuestions,
        selection: Selection,
        read: Sequence[StepCount],
        runner: PartitionRunner,
    ) -> CurationReport:
        started = self._clock()
        writer = OutputWriter(
            self._out, work, staged, selection, self._options, self._count_tokens, self._tokenizer
        )
        written = writer.write(runner, self._counting("writing", staged, writer.pending()))
        accounts = add_up(work, staged)
        rows = selection.rows
        made = StepCount("prompts", rows, rows, self._clock() - started)
        report = CurationReport(
            inputs=[
                identity | {"rows": count, "test": source.test}
                for identity, count, source in zip(
                    self._identities, staged.sources, self._sources, strict=True
                )
            ],
            options=self._options.as_dict(),
            versions=self._versions,
            steps=[*read, *accounts.with_fingerprints(selection.steps), made],
            bad_rows=staged.bad or {},
            values=staged.values,
            rejected=written.rejected,
            pii={
                "model": self._versions.get("pii-model"),
                "action": self._options.pii.action,
                "counts": dict(sorted(accounts.counts.get("pii", Counter()).items())),
                "partitions": accounts.pii,
            },
            splits=written.splits,
            asking=QuestionTexts(
                dataclasses.replace(self._options, pii=masking(self._options, staged.tags, self._synonyms)),
                self._versions.get("pii-model"),
            ).as_dict(),
            duplicates=selection.counts | {"other_tags": written.other_tags},
            same_ids=written.same_ids,
            prompts=written.prompts,
            tags=written.tags,
            labels=self._labels(staged, selection, written, accounts),
            examples={"changed": accounts.changes, "dropped": written.dropped},
            outputs=written.outputs,
            digest=outputs_digest(written.outputs),
            forgotten=[self._forget.record(staged.forgotten, self._now())] if self._forget.asked else [],
            not_found=tuple(entry.given for entry in self._forget.not_found(staged.forgotten)),
            notes=self._notes(work, staged, selection, written, accounts),
        )
        card = report.as_dict()
        atomic_write_json(self._out / REPORT, card)
        write_card(self._out, card)
        return report

    def _labels(
        self, staged: StagedQuestions, selection: Selection, written: WrittenOutputs, accounts: StepTotals
    ) -> dict[str, Any]:
        return {
            "parts": written.labels,
            "rare": selection.rare,
            "synonyms": self._synonyms_used(accounts),
            "proposals": selection.proposals,
            "respelled": [
                {"given": given, "tag": tag, "rows": count} for given, tag, count in staged.respelled
            ],
            "unseen": notes.unseen_tags(written.labels),
        }

    def _notes(
        self,
        work: WorkFolder,
        staged: StagedQuestions,
        selection: Selection,
        written: WrittenOutputs,
        accounts: StepTotals,
    ) -> list[str]:
        return [
            *notes.step_notes(accounts.steps),
            *value_notes(staged.values),
            *notes.source_notes(self._own_test, self._count_tokens is not None),
            *notes.returned_notes(self._returned(work, staged)),
            *notes.not_found_notes(self._forget.not_found(staged.forgotten)),
            *notes.selection_notes(selection, self._options),
            *notes.label_notes(staged.respelled, written.labels),
            *notes.duplicate_notes(selection.counts, written.other_tags),
            *notes.empty_parts(written.splits, self._options),
        ]

    def _work_folder(self, parent: Path, partition_rows: int) -> WorkFolder:
        decides = {
            "inputs": self._identities,
            "names": [(source.name, source.test) for source in self._sources],
            "options": self._options.as_dict(),
            "versions": self._versions,
            "code": CODE_VERSION,
            "synonyms": self._synonyms,
            "forget": sorted(self._forget.hashes),
            "tokenizer": self._tokenizer,
            "partition_rows": partition_rows,
        }
        name = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
        # Left by a curation of other inputs or options that did not come to its end.
        for other in parent.iterdir():
            if other.is_dir() and other.name != name:
                shutil.rmtree(other, ignore_errors=True)
        return WorkFolder(parent / name)

    def _check_bad_rows(self, work: WorkFolder, staged: StagedQuestions) -> None:
        total = sum(staged.sources)
        if not staged.bad or not staged.first_bad or staged.bad_rows <= self._options.max_bad * total:
            return
        write_bad_rows(self._out, work, staged)
        most = sorted(staged.bad.items(), key=lambda pair: (-pair[1], pair[0]))[:3]
        listed = "; ".join(f"{count} × {reason}" for reason, count in most)
        if others := staged.bad_rows - sum(count for _, count in most):
            listed += f"; {others} × other reasons"
        first = staged.first_bad
        raise DataError(
            f"{first['reason']}. In all, {staged.bad_rows} of {total} rows cannot be used, "
            f"more than {self._options.max_bad:.1%} ({listed})",
            path=first["file"],
            line=first["line"],
            field=first["field"],
            hint=f"All are listed in {self._out / REJECTED}. Fix them, or allow more: {_MORE_BAD}.",
        )

    def _check_failures(self, work: WorkFolder, staged: StagedQuestions) -> None:
        """Rows on which a step fails are bad rows, too."""
        failed: Counter[str] = Counter()
        for frame in work.frames(staged.partitions, ("rejected_by", "reason", "detail")):
            ours = frame[frame["reason"] == FAILED]
            failed.update(
                f"{step}: {kind}" for step, kind in zip(ours["rejected_by"], ours["detail"], strict=True)
            )
        total = sum(staged.sources)
        if failed and staged.bad_rows + failed.total() > self._options.max_bad * total:
            listed = "; ".join(f"{count} × {kind}" for kind, count in failed.most_common(3))
            raise DataError(
                f"steps failed on {failed.total()} of {total} rows, with bad rows more than "
                f"{self._options.max_bad:.1%} ({listed})",
                hint=f"Allow more to see which rows in rejected.jsonl: {_MORE_BAD}.",
            )

    def _returned(self, work: WorkFolder, staged: StagedQuestions) -> int:
        """Rows that were forgotten in this folder before and are in the inputs again."""
        if not self._remembered.asked:
            return 0
        frames = work.frames(staged.partitions, ("id",))
        return sum(question in self._remembered for frame in frames for question in frame["id"])

    def _synonyms_used(self, accounts: StepTotals) -> dict[str, Any] | None:
        named = self._options.tags.synonyms
        if named is None:
            return None
        used = accounts.counts.get("tag_synonyms", Counter[str]())
        return {
            "file": Path(named).name,
            "sha256": sha256_file(Path(named)),
            "entries": len(self._synonyms),
            "renamed": dict(sorted(used.items())),
        }


def _forget_list(*files: str | Path | None) -> ForgetList:
    lists = [load_forget_list(file) for file in files if file is not None]
    return functools.reduce(operator.or_, lists, ForgetList())
