"""From questions to training rows: reading, the steps on Dask, duplicates, split, prompts, files."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import operator
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.curation.execution import PartitionRunner, WorkerStarter, open_runner, run_steps
from lawtags_client.curation.forget.forget_list import ForgetList, load_forget_list, remembered
from lawtags_client.curation.isolation import FAILED, IsolatedStep
from lawtags_client.curation.lock import curation_lock
from lawtags_client.curation.options import CurationOptions
from lawtags_client.curation.read.partitions import stage
from lawtags_client.curation.read.sources import find_sources
from lawtags_client.curation.report import (
    REPORT,
    CurationProgress,
    CurationReport,
    StepCount,
)
from lawtags_client.curation.reporting import CurationInputs, CurationResults, build_report
from lawtags_client.curation.select.selection import Selection, select
from lawtags_client.curation.staging import StagedQuestions, WorkFolder
from lawtags_client.curation.step_choice import plan_steps
from lawtags_client.curation.versions import CODE_VERSION, check_installed
from lawtags_client.curation.write.card import write_card
from lawtags_client.curation.write.outputs import OutputWriter, check_outputs, write_bad_rows
from lawtags_client.curation.write.rendering import REJECTED
from lawtags_client.curation.write.totals import add_up
from lawtags_client.errors import DataError
from lawtags_client.files import atomic_write_json

if TYPE_CHECKING:
    import distributed

PARTITION_ROWS = 250


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
    """Turn questions into training, validation and testing rows; a curation that was killed resumes.

    The output depends only on inputs and options, never on the number of partitions or workers.

    Args:
        inputs: files, patterns, or ``hf://datasets/namespace/name``.
        out: output folder; files in it are replaced.
        options: how to clean, mask, filter, split and format.
        test: labeled questions for the testing part: not filtered, and removed from the other parts.
        scheduler: address or open client of a Dask cluster whose workers see ``out``; None runs locally.
        count_tokens: counts the tokens of a text as the model does; None estimates.
        tokenizer: identity of that tokenizer, such as its SHA-256; if it changes, a killed run starts over.
        on_progress: called after each partition.
        forget: file of questions to leave out, in addition to ``options.forget``.
        workers: local processes. None chooses; scripts then need ``if __name__ == "__main__"``.
        partition_rows: maximum rows per partition, which is the work that a kill can lose.
        clock: measures durations, in seconds.
        now: the current time, recorded for forgotten questions.

    Raises:
        DataError: an input cannot be used, too many rows are bad, or no training rows are left.
        ConfigurationError: an option or the environment is wrong, or the output would overwrite an input.
        MissingExtraError: a package is not installed.
        BusyError: another process curates into the same folder.
    """
    check_installed()
    sources = find_sources(inputs, test)
    check_outputs(
        Path(out), sources, (forget, options.forget, options.tags.synonyms, options.tags.corrections)
    )
    given = CurationInputs.load(sources, options, _forget_list(options.forget, forget))
    tools = _Tools(count_tokens, tokenizer, on_progress or _ignore, clock, now)
    return _Curation(Path(out), given, tools).run(scheduler, workers, partition_rows)


@dataclass(frozen=True)
class _Tools:
    """What a curation counts, reports and measures with."""

    count_tokens: Callable[[str], int] | None
    tokenizer: str | None
    on_progress: Callable[[CurationProgress], None]
    clock: Callable[[], float]
    now: Callable[[], datetime]


def _ignore(_: CurationProgress) -> None:
    """Report no progress."""


class _Curation:
    """One curation, stage by stage."""

    def __init__(self, out: Path, inputs: CurationInputs, tools: _Tools) -> None:
        self._out = out
        self._inputs = inputs
        self._options = inputs.options
        self._forget = inputs.forget
        self._tools = tools
        self._progress = tools.on_progress
        self._clock = tools.clock
        self._remembered = remembered(out / REPORT)

    def run(
        self, scheduler: str | distributed.Client | None, workers: int | None, partition_rows: int
    ) -> CurationReport:
        local = 1 if scheduler is not None else workers
        with curation_lock(self._out) as parent:
            try:
                with WorkerStarter(local, self._options.pii).open() as starter:
                    report = self._curate(
                        self._work_folder(parent, partition_rows), scheduler, starter, partition_rows
                    )
            except DataError:
                # The input has to change, so nothing can be resumed, and personal data must be deleted.
                shutil.rmtree(parent, ignore_errors=True)
                raise
            shutil.rmtree(parent, ignore_errors=True)
        return report

    def _curate(
        self,
        work: WorkFolder,
        scheduler: str | distributed.Client | None,
        starter: WorkerStarter,
        partition_rows: int,
    ) -> CurationReport:
        started = self._clock()

        def on_rows(rows: int, characters: int, partitions: int) -> None:
            starter.look(characters, partitions)
            self._progress(CurationProgress("reading", rows, None))

        staged = stage(
            work,
            self._inputs.sources,
            self._options.columns,
            partition_rows=partition_rows,
            stop_at_bad_row=self._options.on_bad_row == "fail",
            on_rows=on_rows,
            forget=self._forget,
        )
        self._check_bad_rows(work, staged)
        usable = staged.rows + len(staged.forgotten)
        read = [StepCount("read", sum(staged.sources), usable, self._clock() - started)]
        if self._forget.asked:
            read.append(StepCount("forget", usable, staged.rows, 0.0))
        # If everything was read before, nothing was looked at until now.
        starter.look(staged.characters, staged.partitions)
        steps = self._steps(staged)
        with open_runner(scheduler, starter.pool, work.text, [one.step for one in steps]) as runner:
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
                work, staged, self._options, own_test=self._inputs.own_test, runner=runner, clock=self._clock
            )
            return self._write(work, staged, selection, read, runner)

    def _steps(self, staged: StagedQuestions) -> list[IsolatedStep]:
        stop = self._options.on_bad_row == "fail"
        return [
            IsolatedStep(step, stop)
            for step in plan_steps(
                self._options, staged.tags, self._inputs.synonyms, self._inputs.corrections
            )
        ]

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
        started, tools = self._clock(), self._tools
        writer = OutputWriter(
            self._out, work, staged, selection, self._options, tools.count_tokens, tools.tokenizer
        )
        written = writer.write(runner, self._counting("writing", staged, writer.pending()))
        totals = add_up(work, staged)
        rows = selection.rows
        prompts = StepCount("prompts", rows, rows, self._clock() - started)
        results = CurationResults(
            staged,
            selection,
            written,
            totals,
            steps=[*read, *totals.with_fingerprints(selection.steps), prompts],
            returned=self._returned(work, staged),
            exact_tokens=tools.count_tokens is not None,
        )
        report = build_report(self._inputs, results, tools.now)
        card = report.as_dict()
        atomic_write_json(self._out / REPORT, card)
        write_card(self._out, card)
        return report

    def _work_folder(self, parent: Path, partition_rows: int) -> WorkFolder:
        decides = {
            "inputs": self._inputs.identities,
            "names": [(source.name, source.test) for source in self._inputs.sources],
            "options": self._options.as_dict(),
            "versions": self._inputs.versions,
            "code": CODE_VERSION,
            "synonyms": self._inputs.synonyms,
            "corrections": self._inputs.named.get("tags.corrections"),
            "forget": sorted(self._forget.hashes),
            "tokenizer": self._tools.tokenizer,
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
        detail = f" ({first['detail']})" if first["detail"] else ""
        raise DataError(
            f"{first['reason']}{detail}. In all, {staged.bad_rows} of {total} rows cannot be used, "
            f"more than {self._options.max_bad:.1%} ({listed})",
            path=self._inputs.sources[first["source"]].location,
            line=first["line"],
            column=first["column"],
            field=first["field"],
            hint=f"All are listed in {self._out / REJECTED}. {_remedy(staged.bad_rows, total)}",
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
                hint="To see which rows, in rejected.jsonl, allow more: "
                f"{_more_bad(staged.bad_rows + failed.total(), total)}.",
            )

    def _returned(self, work: WorkFolder, staged: StagedQuestions) -> int:
        """Rows that were forgotten in this folder before and are in the inputs again."""
        if not self._remembered.asked:
            return 0
        frames = work.frames(staged.partitions, ("id",))
        return sum(question in self._remembered for frame in frames for question in frame["id"])


def _forget_list(*files: str | Path | None) -> ForgetList:
    lists = [load_forget_list(file) for file in files if file is not None]
    return functools.reduce(operator.or_, lists, ForgetList())


def _remedy(bad: int, total: int) -> str:
    """What to do about bad rows; to allow more of them helps only if something is left."""
    if bad == total:
        return "Check that it is the right file: no row of it can be used."
    return f"Fix them, or allow more: {_more_bad(bad, total)}."


def _more_bad(bad: int, total: int) -> str:
    """The options that allow so many bad rows: at least a tenth, which other files may need, too."""
    share = f"{max(math.ceil(bad / total * 100) / 100, 0.1):g}"
    return f"lawtags curate --max-bad {share}, lawtags run --set curation.max_bad={share}"
