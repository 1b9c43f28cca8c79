"""The order of stages, and what is done again: with stages that only count."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from lawtags_client.errors import (
    BusyError,
    ConfigurationError,
    ConnectionFailedError,
    DataError,
    DoubtfulOutcomeError,
    LawtagsError,
    RateLimitedError,
    ServerError,
)
from lawtags_client.files import atomic_write_text
from lawtags_client.platform import Platform
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.lock import run_lock
from lawtags_client.runs.outputs import StageOutput
from lawtags_client.runs.progress import LoggedProgress
from lawtags_client.runs.recipe import parse_recipe
from lawtags_client.runs.run import RunResult, execute
from lawtags_client.runs.stage import RunContext, Stage, file_digests
from lawtags_client.runs.tracking import Tracker

RECIPE = parse_recipe({"schema_version": 1, "name": "small", "model": {"config": "ns/model@v1"}})


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted(StageOutput):
    """What a stage leaves here."""

    value: int


class Counting:
    version = 1
    leaves = Counted

    def __init__(self, name: str, after: str | None = None) -> None:
        self.name = name
        self.after = after
        self.runs = 0
        self.option = 0
        self.fails: Exception | None = None
        self.missing = 0

    def inputs(self, context: RunContext) -> Mapping[str, Any]:
        before = cast(Counted, context.outputs[self.after]).value if self.after else None
        return {"before": before, "option": self.option}

    async def run(self, context: RunContext) -> Counted:
        self.runs += 1
        if self.fails is not None:
            raise self.fails
        path = context.folder / f"{self.name}.txt"
        atomic_write_text(path, f"{self.name} {self.option}")
        files = file_digests(context.folder, [path])
        return Counted(value=self.option, files=files, missing=self.missing)


class FailureTracker:
    """Counts the failures that a run reports."""

    failures = 0

    async def failed(self) -> None:
        self.failures += 1


@pytest.fixture
def steps() -> list[Counting]:
    return [Counting("first"), Counting("second", "first"), Counting("third", "second")]


async def go(
    folder: Path, steps: list[Counting], until: str | None = None, tracker: FailureTracker | None = None
) -> RunResult:
    return await execute(
        folder=folder,
        recipe=RECIPE,
        data=["x.jsonl"],
        platform=cast(Platform, None),
        progress=LoggedProgress(),
        until=until,
        steps=cast(list[Stage], steps),
        tracker=tracker and (lambda run_id: contextlib.nullcontext(cast(Tracker, tracker))),
    )


async def test_a_second_run_redoes_nothing(tmp_path: Path, steps: list[Counting]) -> None:
    assert (await go(tmp_path, steps)).redone == ("first", "second", "third")
    again = await go(tmp_path, steps)
    assert again.redone == ()
    assert cast(Counted, again.outputs["third"]).value == 0


async def test_a_changed_option_reruns_only_what_depends_on_it(tmp_path: Path, steps: list[Counting]) -> None:
    await go(tmp_path, steps)
    steps[1].option = 5
    assert (await go(tmp_path, steps)).redone == ("second", "third")


async def test_a_missing_or_altered_file_is_made_again(tmp_path: Path, steps: list[Counting]) -> None:
    await go(tmp_path, steps)
    (tmp_path / "first.txt").unlink()
    (tmp_path / "third.txt").write_text("tampered")
    assert (await go(tmp_path, steps)).redone == ("first", "third")


async def test_a_raised_stage_version_reruns_the_stage_in_an_unfinished_run(
    tmp_path: Path, steps: list[Counting]
) -> None:
    await go(tmp_path, steps, until="second")
    steps[1].version = 2
    assert (await go(tmp_path, steps)).redone == ("second", "third")


@pytest.mark.parametrize("recorded", [True, False], ids=["this release", "an older one"])
async def test_a_finished_run_is_unchanged_by_newer_code(
    tmp_path: Path, steps: list[Counting], caplog: pytest.LogCaptureFixture, recorded: bool
) -> None:
    await go(tmp_path, steps)
    if not recorded:
        with contextlib.closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as connection, connection:
            connection.execute("DROP TABLE finished")
    steps[1].version = 2
    with caplog.at_level(logging.INFO, logger="lawtags.run"):
        again = await go(tmp_path, steps)
    assert again.redone == ()
    assert cast(Counted, again.outputs["third"]).value == 0
    assert "second" in caplog.records[-1].getMessage()
    assert "--new" in caplog.records[-1].getMessage()
    # What is damaged is made again, and what follows from it.
    (tmp_path / "first.txt").unlink()
    assert (await go(tmp_path, steps)).redone == ("first", "second")


async def test_a_finished_run_of_a_release_without_a_stage_stays_as_it_is(
    tmp_path: Path, steps: list[Counting]
) -> None:
    await go(tmp_path, steps)
    for stage in steps[1:]:
        stage.version = 2
    added = Counting("added", "first")
    with_added = [steps[0], added, *steps[1:]]
    before = {path: path.read_bytes() for path in tmp_path.glob("*.txt")}
    again = await go(tmp_path, with_added)
    assert again.redone == ()
    assert added.runs == 0
    assert {path: path.read_bytes() for path in tmp_path.glob("*.txt")} == before
    # What is damaged is made again by this release, which needs the new stage for it.
    (tmp_path / "third.txt").unlink()
    assert (await go(tmp_path, with_added)).redone == ("added", "second", "third")


async def test_a_run_under_way_gets_a_stage_that_its_release_did_not_have(
    tmp_path: Path, steps: list[Counting]
) -> None:
    await go(tmp_path, steps, until="second")
    again = await go(tmp_path, [steps[0], Counting("added", "first"), *steps[1:]])
    assert again.redone == ("added", "third")


async def test_a_stage_records_its_cpu_time(tmp_path: Path, steps: list[Counting]) -> None:
    await go(tmp_path, steps)
    kept = Ledger(tmp_path / "ledger.sqlite").finished("first")
    assert kept is not None
    spent = cast(dict[str, Any], kept.output["summary"])["CPU seconds"]
    assert spent >= 0


async def test_the_result_of_a_stage_survives_an_unfinished_attempt(
    tmp_path: Path, steps: list[Counting]
) -> None:
    await go(tmp_path, steps)
    steps[1].option, steps[1].fails = 5, DataError("no")
    with pytest.raises(DataError):
        await go(tmp_path, steps)
    kept = Ledger(tmp_path / "ledger.sqlite").finished("second")
    assert kept is not None
    assert kept.output["value"] == 0
    steps[1].option, steps[1].fails = 0, None
    assert (await go(tmp_path, steps)).redone == ()


async def test_an_incomplete_stage_runs_again(tmp_path: Path, steps: list[Counting]) -> None:
    steps[1].missing = 2
    await go(tmp_path, steps)
    steps[1].missing = 0
    assert (await go(tmp_path, steps)).redone == ("second",)
    assert (await go(tmp_path, steps)).redone == ()


async def test_a_failed_stage_keeps_what_was_done_before(tmp_path: Path, steps: list[Counting]) -> None:
    steps[1].fails = DataError("no", path="x", line=3)
    with pytest.raises(DataError) as caught:
        await go(tmp_path, steps)
    assert "epeat" not in str(caught.value)
    record = Ledger(tmp_path / "ledger.sqlite").stage("second")
    assert record is not None
    assert record.status == "failed"
    assert record.error is not None
    assert record.error["line"] == 3
    steps[1].fails = None
    assert (await go(tmp_path, steps)).redone == ("second", "third")
    assert steps[0].runs == 1


@pytest.mark.parametrize(
    "problem",
    [
        ConnectionFailedError("refused", hint="Start it."),
        DoubtfulOutcomeError("lost"),
        ServerError("starting", status=503),
        RateLimitedError("slow down"),
    ],
    ids=lambda problem: type(problem).__name__,
)
async def test_a_run_that_ends_because_the_platform_is_down_says_how_to_resume(
    problem: LawtagsError, tmp_path: Path, steps: list[Counting]
) -> None:
    before, steps[1].fails = problem.hint, problem
    with pytest.raises(LawtagsError) as caught:
        await go(tmp_path, steps)
    assert (caught.value.hint or "").startswith(before or "Then")
    assert "repeat the command: it resumes here" in (caught.value.hint or "")
    with pytest.raises(LawtagsError):
        await go(tmp_path, steps)
    assert (caught.value.hint or "").count("repeat the command") == 1


async def test_a_run_that_fails_says_so_to_its_tracker(tmp_path: Path, steps: list[Counting]) -> None:
    tracker = FailureTracker()
    steps[1].fails = DataError("a row is damaged")
    with pytest.raises(DataError):
        await go(tmp_path, steps, tracker=tracker)
    assert tracker.failures == 1
    steps[1].fails = None
    await go(tmp_path, steps, tracker=tracker)
    assert tracker.failures == 1


async def test_a_run_can_stop_after_a_stage(tmp_path: Path, steps: list[Counting]) -> None:
    assert (await go(tmp_path, steps, until="second")).redone == ("first", "second")
    with pytest.raises(ConfigurationError, match="fourth"):
        await go(tmp_path, steps, until="fourth")


async def test_the_run_keeps_its_identity(tmp_path: Path, steps: list[Counting]) -> None:
    await go(tmp_path, steps)
    first = Ledger(tmp_path / "ledger.sqlite").fact("run_id")
    await go(tmp_path, steps)
    assert Ledger(tmp_path / "ledger.sqlite").fact("run_id") == first


async def test_a_run_in_use_is_rejected_naming_the_owner(tmp_path: Path, steps: list[Counting]) -> None:
    code = (
        "import sys; from pathlib import Path; from lawtags_client.runs.lock import run_lock\n"
        "with run_lock(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BusyError, match=f"process {holder.pid} on ") as caught:
            await go(tmp_path, steps)
        assert caught.value.exit_code == 75
        holder.kill()
    with run_lock(tmp_path):  # the kernel let go of the dead process's lock
        pass
