"""A job that nothing carries out says so: training and evaluation, embedded and step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import StillTime
from shared_launcher import shared_launcher
from transcripts import exchanges

from lawtags_client.client import NeMo
from lawtags_client.errors import JobStalledError, NotFoundError, WaitTimeoutError
from lawtags_client.helix.client import Helix
from lawtags_client.helix.types.jobs import JobStatus
from lawtags_client.intents import SqliteIntents
from lawtags_client.json_value import JsonValue
from lawtags_client.platform.choice import training_jobs
from lawtags_client.platform.failure_causes import FailureCause, JobDiagnosis
from lawtags_client.platform.helix import HelixPlatform
from lawtags_client.platform.helix_diagnosis import diagnose_on_helix
from lawtags_client.platform.protocol import EvaluationIntent, FineTuneIntent, JobUpdate
from lawtags_client.platform.training_jobs import with_complete_id
from lawtags_client.platform.unattended import UnattendedJob
from lawtags_client.settings import Settings
from lawtags_stack.helix.evaluations.jobs import HelixEvaluationWorker
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

JOB = {"id": "platform-job-1", "name": "tagger", "workspace": "law", "source": "customization"}


def queued(job: str) -> dict[str, Any]:
    step = {"id": f"step-{job}", "job": job, "name": "training", "workspace": "law", "status": "active"}
    return step | {"status_details": {"runner_heartbeat": "2020-01-01T00:00:00Z"} if job == "dead" else {}}


def told(looks: list[tuple[float, JsonValue]], others: list[str], queue_status: int = 200) -> list[str]:
    """The notices of a job that is looked at after so many seconds each, with these steps."""

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/-/steps"):
            data = [queued(job) for job in ["tagger", *others]]
            return httpx.Response(queue_status, json={"data": data, "detail": "no"})
        return httpx.Response(200, json=JOB)

    async def look() -> list[str]:
        time = StillTime()
        async with Helix(
            base_url="http://helix.test",
            clock=time.clock(),
            handler=httpx.MockTransport(handle),
            max_retries=0,
        ) as helix:
            job = UnattendedJob(helix, "law/tagger", cure="Start it.", grace=45)
            found = []
            for seconds, steps in looks:
                time.seconds = seconds
                status = {"name": "tagger", "status": "created", "steps": steps}
                found.append(await job.notice(JobStatus.model_validate(status)))
        return [notice for notice in found if notice is not None]

    return asyncio.run(look())


def step(status: str, name: str = "model-and-dataset-download", **more: JsonValue) -> JsonValue:
    return {"name": name, "status": status, **more}


def test_nothing_is_said_before_the_grace_is_over_and_then_once() -> None:
    waiting: JsonValue = [step("created")]
    assert told([(0, waiting), (44, waiting)], []) == []
    (said,) = told([(0, waiting), (46, waiting), (100, waiting), (1000, waiting)], [])
    assert said == (
        "law/tagger has been waiting for 46 s, and nothing takes its step model-and-dataset-download. "
        "Start it."
    )
    # Without steps as well, and where the queue cannot be read.
    assert len(told([(0, []), (46, [])], [], 500)) == 1


def test_a_step_that_moves_is_attended() -> None:
    done, active = step("completed"), step("active", "training")
    looks: list[tuple[float, JsonValue]] = [(0, [step("created")]), (40, [done, step("created", "training")])]
    assert told([*looks, (80, [done, active]), (900, [done, active])], []) == []
    # The runner went away before the second step.
    assert "its step training" in told([*looks, (86, looks[1][1])], [])[0]
    paused: JsonValue = [step("paused", tasks=[{"name": "t"}])]
    assert told([(0, paused), (900, paused)], []) == []
    resuming: JsonValue = [step("resuming", tasks=[{"name": "t"}])]
    assert len(told([(0, resuming), (900, resuming)], [])) == 1


def test_a_runner_without_a_sign_of_life_is_named_once_for_each_silence() -> None:
    def held(beat: str, state: str = "active") -> JsonValue:
        return [step(state, "training", status_details={"runner": "lawtags-1", "runner_heartbeat": beat})]

    alive = [(seconds, held(f"2026-01-01T00:00:{seconds:02}Z")) for seconds in range(0, 60, 10)]
    # Whatever its clock says, and whatever ours.
    dead: list[tuple[float, JsonValue]] = [(seconds, alive[-1][1]) for seconds in (90, 96, 200, 400)]
    (said,) = told([*alive, *dead], [])
    assert said == (
        "law/tagger: its runner lawtags-1 has given no sign of life for 46 s. Started with its --dir, it "
        "resumes; another one trains from the beginning. Start it."
    )
    back: list[tuple[float, JsonValue]] = [
        (410, held("2026-01-01T00:07:00Z")),
        (500, held("2026-01-01T00:07:00Z")),
    ]
    assert len(told([*alive, *dead, *back], [])) == 2
    stopping: JsonValue = held("2026-01-01T00:00:00Z", "cancelling")
    assert len(told([(0, stopping), (50, stopping)], [])) == 1


def test_what_was_taken_and_what_waits_for_its_turn_are_told_apart() -> None:
    pending: JsonValue = [step("pending")]
    assert "was taken, and has not begun" in told([(0, pending), (46, pending)], [])[0]
    assert told([(0, pending), (46, [step("pending", tasks=[{"name": "t"}])])], []) == []
    waiting: JsonValue = [step("created")]
    (said,) = told([(0, waiting), (46, waiting), (90, waiting)], [f"other-{number}" for number in range(5)])
    assert "for its turn: law/other-0, law/other-1, law/other-2 and 2 more was taken first" in said
    # It is not the turn of a job whose runner was killed.
    assert "nothing takes its step" in told([(0, waiting), (46, waiting)], ["dead"])[0]


def test_a_platform_that_keeps_the_files_itself_needs_a_runner_that_finds_them() -> None:
    details = {"subprocess_persistent_storage_path": "/jobs/1"}
    fetched = step("completed", tasks=[{"name": "t", "status_details": details}])
    waiting: JsonValue = [fetched, step("created", "training")]
    (said,) = told([(0, waiting), (46, waiting)], [])
    assert said.endswith("its step training. Start it. --job-storage FOLDER")


def test_what_the_real_platform_said_of_a_failed_job_is_explained() -> None:
    said = [each for each in exchanges() if each.path.endswith("/automodel/jobs/lc-error/status")][-1].answer
    job = [each for each in exchanges() if each.path.endswith("/automodel/jobs/lc-error")][-1].answer

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/logs"):
            return httpx.Response(404, json={"detail": "Not Found"})
        status = request.url.path.endswith("/status")
        return httpx.Response(200, json=said if status else {**job, "source": "customization"})

    async def ask() -> JobDiagnosis:
        async with Helix(base_url="http://helix.test", handler=httpx.MockTransport(handle)) as helix:
            return await diagnose_on_helix(helix, "lawtags/lc-error")

    found = asyncio.run(ask())
    (cause,) = found.causes
    assert (found.status, cause.name, cause.evidence) == ("error", "gpu-memory", "out of memory")
    assert cause.command == "lawtags run RECIPE --set training.batch_size=4"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A platform that nobody works for: no runner, and nothing that evaluates."""

    async def rest(_: HelixEvaluationWorker) -> None:
        await asyncio.Event().wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HelixEvaluationWorker, "run", rest)
        options = StackOptions(dialect="helix", refresh_interval=3600, device="cpu")
        folder = tmp_path_factory.mktemp("alone")
        with StackThread(folder, options=options, launcher=shared_launcher()) as stack:
            asyncio.run(_prepare(stack.platform_url))
            yield stack.platform_url


async def _prepare(url: str) -> None:
    async with Helix(base_url=url, workspace="law") as helix:
        await helix.workspaces.ensure(name="law")
        for fileset, path in (("weights", "config.json"), ("tags", "training/t.jsonl")):
            await helix.filesets.ensure(name=fileset)
            await helix.filesets.upload(fileset, {path: b'{"prompt": "a", "completion": "b"}\n'})
        await helix.models.ensure(name="base", fileset="law/weights")


def platform_at(url: str, folder: Path) -> tuple[Helix, HelixPlatform]:
    helix = Helix(base_url=url, intents=SqliteIntents(folder / "intents.sqlite"))
    return helix, HelixPlatform(helix, grace=0.3)


def causes(url: str, folder: Path, job: str) -> tuple[FailureCause, ...]:
    async def ask() -> tuple[FailureCause, ...]:
        async with connect_to(url, folder) as nemo, training_jobs(nemo) as jobs:
            return (await jobs.why(job)).causes

    return asyncio.run(ask())


def connect_to(url: str, folder: Path) -> NeMo:
    settings = Settings(platform_url=url, trust_env=False)
    return NeMo(settings, intents=SqliteIntents(folder / "intents.sqlite"))


def test_a_training_without_a_runner_says_what_to_start(alone: str, tmp_path: Path) -> None:
    updates: list[JobUpdate] = []
    jobs: list[str] = []

    async def follow() -> None:
        helix, platform = platform_at(alone, tmp_path)
        async with helix:
            wish = FineTuneIntent("key", "law/base", "law/tags", {"epochs": 1}, "law/tagger")
            job = await platform.submit(wish)
            jobs.append(job.id)
            async for update in platform.follow(job.id, timeout=60, stall=1.0):
                updates.append(update)

    with pytest.raises(JobStalledError) as stalled:
        asyncio.run(follow())
    cure = f"Start a runner: lawtags local runner --platform {alone}"
    (why,) = causes(alone, tmp_path, str(jobs[0]))
    assert (why.name, why.command) == ("no-runner", f"lawtags local runner --platform {alone}")
    (notice,) = [update.notice for update in updates if update.notice]
    assert notice.endswith(f"nothing takes its step model-and-dataset-download. {cure}")
    assert stalled.value.hint == f"Nothing has taken it. {cure}"


def test_a_job_that_was_cancelled_and_a_workspace_that_is_gone_are_named(alone: str, tmp_path: Path) -> None:
    async def cancelled() -> str:
        helix, platform = platform_at(alone, tmp_path)
        async with helix:
            wish = FineTuneIntent("cancelled", "law/base", "law/tags", {"epochs": 1}, "law/tagger")
            job = (await platform.submit(wish)).id
            await helix.jobs.cancel(job)
        return job

    (cause,) = causes(alone, tmp_path, asyncio.run(cancelled()))
    assert (cause.name, cause.command) == ("cancelled", "lawtags run RECIPE --data QUESTIONS")

    async def why(job: str) -> JobDiagnosis:
        async with connect_to(alone, tmp_path) as nemo, training_jobs(nemo) as jobs:
            return await with_complete_id(jobs, job, jobs.why)

    with pytest.raises(NotFoundError, match="there is no workspace 'gone'") as gone:
        asyncio.run(why("gone/tagger"))
    assert "--base-model gone/NAME=FOLDER" in (gone.value.hint or "")
    with pytest.raises(NotFoundError, match="Job 'none' not found"):
        asyncio.run(why("law/none"))


def test_an_evaluation_that_nobody_carries_out_says_what_to_start(alone: str, tmp_path: Path) -> None:
    notices: list[str] = []

    async def evaluate() -> None:
        helix, platform = platform_at(alone, tmp_path)
        async with helix:
            wish = EvaluationIntent("key", "law/base", "law/tags#training/t.jsonl", "law", 5)
            await platform.evaluate(wish, timeout=1.0, on_notice=notices.append)

    with pytest.raises(WaitTimeoutError) as late:
        asyncio.run(evaluate())
    (notice,) = notices
    (why,) = causes(alone, tmp_path, notice.partition(" ")[0])
    assert (why.name, why.command) == ("no-jobs-controller", "nemo services run --controllers jobs")
    assert why.evidence == "step evaluate is created"
    assert notice.endswith(
        "nothing takes its step evaluate. Start the platform's jobs controller: "
        "nemo services run --controllers jobs"
    )
    assert "jobs controller" in (late.value.hint or "")


def test_a_job_that_waits_for_its_turn_and_one_that_was_only_taken(alone: str, tmp_path: Path) -> None:
    found: list[FailureCause] = []

    async def ask() -> None:
        helix, platform = platform_at(alone, tmp_path)
        async with helix:
            for key in ("first", "second"):
                wish = FineTuneIntent(key, "law/base", "law/tags", {"epochs": 1}, f"law/{key}")
                names[key] = (await platform.submit(wish)).id
            for key, state in (("first", "active"), ("second", "pending")):
                await helix.runner.move_step(names[key], "model-and-dataset-download", state)
                found.extend((await diagnose_on_helix(helix, names["second"])).causes)

    names: dict[str, str] = {}
    asyncio.run(ask())
    assert [cause.name for cause in found] == ["waits-for-its-turn", "step-not-begun"]
    assert names["first"] in found[0].message
    assert found[1].command == f"lawtags jobs logs {names['second']}"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(5, []), (300, ["runner-silent"])], ids=["alive", "silent for five minutes"]
)
def test_a_killed_runner_is_a_cause(alone: str, seconds: int, expected: list[str], tmp_path: Path) -> None:
    beat = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()

    async def ask() -> tuple[FailureCause, ...]:
        helix, platform = platform_at(alone, tmp_path)
        async with helix:
            wish = FineTuneIntent(f"beat-{seconds}", "law/base", "law/tags", {"epochs": 1}, "law/beat")
            job = (await platform.submit(wish)).id
            sign = {"runner": "lawtags-1", "runner_heartbeat": beat}
            await helix.runner.move_step(job, "model-and-dataset-download", "active", details=sign)
            return (await diagnose_on_helix(helix, job)).causes

    found = asyncio.run(ask())
    assert [cause.name for cause in found] == expected
    assert all("lawtags-1" in cause.message and beat in cause.evidence for cause in found)


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"message": "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."}, "no-free-gpu"),
        ({"reason": "ImagePullBackOff"}, "no-image"),
        ({"message": "Job is pending", "attempt": 3}, "step-not-begun"),
    ],
)
def test_a_step_that_was_taken_tells_what_its_scheduler_says(
    alone: str, details: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    async def ask() -> list[FailureCause]:
        helix, platform = platform_at(alone, tmp_path)
        async with helix:
            wish = FineTuneIntent(f"key-{expected}", "law/base", "law/tags", {"epochs": 1}, f"law/{expected}")
            job = (await platform.submit(wish)).id
            await helix.runner.move_step(job, "model-and-dataset-download", "pending", details=details)
            return list((await diagnose_on_helix(helix, job)).causes)

    names = [cause.name for cause in asyncio.run(ask())]
    assert [name for name in names if name != "waits-for-its-turn"] == [expected]
