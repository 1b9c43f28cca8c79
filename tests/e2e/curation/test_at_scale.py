"""What keeps a curation of many rows whole: failing rows, twins across parts, two calls at once, resuming."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from lawtags_client.curation import CurationOptions, DuplicateOptions, PiiOptions, SplitOptions, curate
from lawtags_client.curation.lock import curation_lock
from lawtags_client.curation.step_choice import plan_steps
from lawtags_client.curation.steps import Clean, Step, StepOutcome
from lawtags_client.errors import BusyError, DataError

Write = Callable[..., Path]
NO_PII = PiiOptions(entities=())
PLAIN = CurationOptions(pii=NO_PII)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _placed(out: Path) -> dict[str, str]:
    parts = ("training", "validation", "testing")
    return {row["id"]: part for part in parts for row in _rows(out / "questions" / f"{part}.jsonl")}


class _Failing:
    """Cleans, and fails on one question."""

    name = "cleaning"

    def __call__(self, rows: Any) -> StepOutcome:
        if (rows["id"] == "1007").any():
            raise ZeroDivisionError("secret words of the row")
        return Clean()(rows)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    def planned(*given: Any) -> list[Step]:
        return [_Failing() if step.name == "cleaning" else step for step in plan_steps(*given)]

    monkeypatch.setattr("lawtags_client.curation.pipeline.plan_steps", planned)


@pytest.mark.usefixtures("failing")
def test_a_row_that_a_step_fails_on_is_refused_and_its_neighbours_are_as_ever(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    path = write(questions)
    report = curate([path], out, CurationOptions(pii=NO_PII, max_bad=0.05))
    (refused,) = _rows(out / "rejected.jsonl")
    assert {name: refused[name] for name in ("step", "reason", "line", "id", "detail")} == {
        "step": "cleaning",
        "reason": "the step failed",
        "line": 8,
        "id": "1007",
        "detail": "ZeroDivisionError",
    }
    assert len(_placed(out)) == 79
    assert report.rejected == {"cleaning": {"the step failed": 1}}
    with pytest.raises(DataError, match="failed on 1 of 80 rows"):
        curate([path], out, CurationOptions(pii=NO_PII, max_bad=0.0))
    with pytest.raises(DataError, match="cleaning fails on this row: ZeroDivisionError") as caught:
        curate([path], out, CurationOptions(pii=NO_PII, on_bad_row="fail"))
    assert caught.value.line == 8


def test_cross_split_duplicates_leave_training_and_fail_above_the_limit(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    held_out = [questions[0] | {"question_id": 1}, questions[1] | {"question_id": 2}]
    held_out[1]["question_body"] = held_out[1]["question_body"].replace("My question", "The question")
    path, test = write(questions), write(held_out, "held-out.jsonl")
    out = tmp_path / "out"
    report = curate([path], out, PLAIN, test=test)
    assert report.duplicates["test_overlap"] == report.duplicates["straddling_groups"] == 2
    assert not {"1000", "1001"} & _placed(out).keys()
    strict = CurationOptions(pii=NO_PII, duplicates=DuplicateOptions(max_overlap=0.01))
    with pytest.raises(DataError, match="2 groups of duplicates are in training and in another part"):
        curate([path], out, strict, test=test)
    lenient = CurationOptions(pii=NO_PII, duplicates=DuplicateOptions(max_overlap=1.0))
    assert curate([path], out, lenient, test=test).digest == report.digest


def test_of_twins_that_a_split_would_part_the_best_then_the_oldest_stays(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    near = {
        "question_title": questions[5]["question_title"] + " Really",
        "question_body": questions[5]["question_body"].replace("My question", "The question"),
    }
    twins = [
        questions[5] | near | {"question_id": number, "score": score, "created": created}
        for number, score, created in ((1, 9, "2021-01-01"), (2, 9, "2019-01-01"), (3, 8, "2018-01-01"))
    ]
    questions[5]["score"] = 1
    out = tmp_path / "out"
    report = curate(
        [write([*questions, *twins])], out, CurationOptions(pii=NO_PII, split=SplitOptions(1, 1, 1))
    )
    assert {row["id"]: row["instead"] for row in _rows(out / "rejected.jsonl")} == {
        "1005": "2", "1": "2", "3": "2",
    }  # fmt: skip
    assert report.duplicates["exact_duplicates"] == 2
    assert report.duplicates["near_duplicates"] == 1
    assert report.duplicates["straddling_groups"] <= 1


def test_two_calls_do_not_curate_into_one_folder(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    with curation_lock(tmp_path / "out"), pytest.raises(BusyError, match="is being curated by process"):
        curate([write(questions)], tmp_path / "out", PLAIN)
    assert curate([write(questions)], tmp_path / "out", PLAIN).splits["training"]


def test_a_kill_while_writing_costs_neither_cleaning_nor_selection_and_the_work_is_private(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    path, out = write(questions), tmp_path / "out"
    whole = curate([path], tmp_path / "whole", PLAIN)

    class Killed(BaseException):
        """As sudden as a signal."""

    def kill(progress: Any) -> None:
        if progress.step == "writing" and progress.done >= 40:
            raise Killed

    with pytest.raises(Killed):
        curate([path], out, PLAIN, partition_rows=20, on_progress=kill)
    work = out / ".curation"
    left = {file: file.stat().st_mtime_ns for file in work.rglob("*") if file.is_file()}
    assert {(file.stat().st_mode & 0o777) for file in left} == {0o600}
    assert {(folder.stat().st_mode & 0o777) for folder in (work, *work.iterdir()) if folder.is_dir()} == {
        0o700
    }
    seen: list[Any] = []

    def follow(progress: Any) -> None:
        seen.append(progress)
        if progress.step == "writing":
            kept = [file for file in left if file.name != "lock"]
            assert all(file.stat().st_mtime_ns == left[file] for file in kept)

    again = curate([path], out, PLAIN, partition_rows=20, on_progress=follow)
    assert [(p.done, p.before) for p in seen if p.step == "writing"] == [(40, 40), (60, 40), (80, 40)]
    assert [(p.done, p.before) for p in seen if p.step == "cleaning"] == [(80, 80)]
    assert again.digest == whole.digest
    assert not work.exists()


@pytest.mark.skipif(os.name != "posix", reason="kills a process by signal")
def test_a_run_that_loses_a_local_worker_goes_on_and_writes_the_same_bytes(
    questions: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    path, out = write(questions), tmp_path / "out"
    whole = curate([path], tmp_path / "whole", PLAIN)
    killed: list[int] = []
    # Other tests' servers may have processes of their own.
    others = set(psutil.Process().children())

    def kill(progress: Any) -> None:
        if progress.step == "cleaning" and progress.done and not killed:
            ours = set(psutil.Process().children()) - others
            (loader,) = (one for one in ours if one.children())
            worker = loader.children()[0]
            worker.send_signal(signal.SIGKILL)
            killed.append(worker.pid)

    report = curate([path], out, PLAIN, partition_rows=4, workers=2, on_progress=kill)
    assert killed
    assert report.digest == whole.digest
    for part in ("training", "validation", "testing"):
        name = f"{part}/{part}.jsonl"
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not psutil.pid_exists(killed[0])
