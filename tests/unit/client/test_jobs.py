"""Following and submitting jobs, with a clock that stands still."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import Script, StillTime, client
from small_customizer import SmallCustomizer

from lawtags_client.client import NeMo
from lawtags_client.errors import (
    ConflictError,
    DoubtfulOutcomeError,
    JobFailedError,
    JobStalledError,
    NotFoundError,
    ProtocolError,
    TransportError,
    UnprocessableError,
    WaitTimeoutError,
)
from lawtags_client.intents import FIELD
from lawtags_client.services.customizer.events import (
    LogWritten,
    MetricRecorded,
    ProgressMade,
    StateChanged,
    WarningIssued,
)
from lawtags_client.services.evaluator import scores
from lawtags_client.types.customizer import (
    CustomizationJobRequest,
    CustomizationStatusDetails,
    Hyperparameters,
)
from lawtags_client.types.evaluator import EvaluationResult

REQUEST = CustomizationJobRequest(
    config="a/b@v1",
    dataset="law/tags",
    hyperparameters=Hyperparameters(finetuning_type="lora", epochs=2),
    output_model="law/tagger",
)


def status(
    state: str, steps: int = 0, losses: tuple[float, ...] = (), logs: tuple[str, ...] = ()
) -> httpx.Response:
    points = [{"step": step, "value": value, "timestamp": None} for step, value in enumerate(losses)]
    body: dict[str, Any] = {
        "status": state,
        "steps_completed": steps,
        "metrics": {"keys": ["train_loss"], "metrics": {"train_loss": points}},
        "status_logs": [{"updated_at": "2025-06-20T04:20:22", "message": line} for line in logs],
    }
    # The wire's NaN is no JSON in the strict sense, and yet it comes.
    return httpx.Response(200, content=json.dumps(body))


async def job_of(answers: list[Any], folder: Path, time: StillTime | None = None) -> Any:
    """A job whose status is answered from a list; the job itself is always there."""
    script = Script(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/jobs/cust-1"):
            warnings = [{"message": "too long", "explanation": "Rows are cut."}] if script.requests else None
            return httpx.Response(200, json={"id": "cust-1", "status": "created", "warnings": warnings})
        return script(request)

    return await client(handle, folder, time, max_retries=0).customizer.job("cust-1")


async def test_each_thing_is_told_once(tmp_path: Path) -> None:
    job = await job_of(
        [
            status("pending", logs=("created",)),
            status("running", 1, (1.5,), ("created", "created")),
            status("running", 1, (1.5,), ("created", "created")),
            status("completed", 2, (1.5, float("nan")), ("created", "created")),
        ],
        tmp_path,
    )
    events = [event async for event in job.watch()]
    states = [event.state for event in events if isinstance(event, StateChanged)]
    assert states == ["pending", "running", "completed"]
    assert [event.step for event in events if isinstance(event, MetricRecorded)] == [0, 1]
    assert len([event for event in events if isinstance(event, LogWritten)]) == 2
    assert [event.steps for event in events if isinstance(event, ProgressMade)] == [1, 2]
    assert "diverged" in " ".join(map(str, events))


@pytest.mark.parametrize(
    "states",
    [
        [status("pending"), status("running", 1), status("running", 2), status("completed", 3)],
        [status("pending"), status("failed")],
        [status("completed", 3)],
    ],
    ids=["watched from the start", "failed before a step", "ended before"],
)
async def test_a_warning_is_reported_once_and_before_the_end(
    states: list[httpx.Response], tmp_path: Path
) -> None:
    job = await job_of(states, tmp_path)
    events = [event async for event in job.watch()]
    assert events.count(WarningIssued("too long", "Rows are cut.")) == 1
    assert isinstance(events[-1], StateChanged) and events[-1].final
    assert "Warning: too long: Rows are cut." in map(str, events)


@pytest.mark.parametrize(
    "planned, details, told",
    [
        (
            Hyperparameters(finetuning_type="lora", epochs=1),
            {"steps_completed": 12, "steps_per_epoch": 45, "epochs_completed": 0, "percentage_done": 0.0},
            "step 12 of 45, 26.7 %, 0 of 1 epochs done",
        ),
        (
            Hyperparameters(finetuning_type="lora", epochs=3, max_steps=50),
            {"steps_completed": 45, "steps_per_epoch": 45, "epochs_completed": 1, "percentage_done": 33.3},
            "step 45 of 50, 90 %, 1 of 3 epochs done",
        ),
        (
            Hyperparameters(finetuning_type="lora", epochs=2, max_steps=-1),
            {"steps_completed": 95, "steps_per_epoch": 45, "epochs_completed": 2, "percentage_done": 100.0},
            "step 95 of 90, 100 %, 2 of 2 epochs done",
        ),
        (
            None,
            {"steps_completed": 12, "epochs_completed": 0, "percentage_done": 0.0},
            "step 12, 0 epochs done",
        ),
        (None, {"steps_completed": 12, "percentage_done": 50.0}, "step 12, 50 %"),
    ],
)
def test_progress_is_the_share_of_steps(
    planned: Hyperparameters | None, details: dict[str, Any], told: str
) -> None:
    found = ProgressMade.of(CustomizationStatusDetails.model_validate(details), planned)
    assert str(found) == told
    assert found.percentage == details["percentage_done"]


async def test_watching_knows_how_many_steps_a_job_has(tmp_path: Path) -> None:
    record = {
        "id": "cust-1",
        "status": "created",
        "hyperparameters": {"finetuning_type": "lora", "epochs": 1},
    }
    details = {"status": "running", "steps_completed": 3, "steps_per_epoch": 4, "percentage_done": 0.0}
    ended = {**details, "status": "completed", "steps_completed": 4}
    answers = [record, details, record, ended, record]
    script = Script([httpx.Response(200, json=each) for each in answers])
    job = await client(script, tmp_path, max_retries=0).customizer.job("cust-1")
    events = [event async for event in job.watch() if isinstance(event, ProgressMade)]
    assert [event.share for event in events] == [75.0, 100.0]


@pytest.mark.parametrize("field", ["steps_completed", "steps_per_epoch", "epochs_completed"])
async def test_a_count_that_no_computer_reckons_with_is_a_wrong_answer(field: str, tmp_path: Path) -> None:
    job = await job_of([httpx.Response(200, json={"status": "running", field: 10**400})], tmp_path)
    with pytest.raises(ProtocolError, match=field):
        [event async for event in job.watch()]


async def test_watching_outlives_lost_connections(tmp_path: Path) -> None:
    lost = [httpx.ConnectError("down"), httpx.Response(503), httpx.ReadTimeout("slow"), httpx.Response(200)]
    job = await job_of([status("running", 1), *lost, status("completed", 2)], tmp_path)
    assert [e.state async for e in job.watch() if isinstance(e, StateChanged)] == ["running", "completed"]


async def test_watching_ends_when_the_service_stays_silent(tmp_path: Path) -> None:
    time = StillTime()
    job = await job_of([status("running"), httpx.ConnectError("down")], tmp_path, time)
    with pytest.raises(TransportError):
        [event async for event in job.watch()]
    assert 600 < time.seconds < 660


async def test_wrong_address_shows_at_the_first_look(tmp_path: Path) -> None:
    job = await job_of([httpx.Response(200, html="<html>login</html>")], tmp_path)
    with pytest.raises(ProtocolError):
        [event async for event in job.watch()]


async def test_unknown_state_goes_on(tmp_path: Path) -> None:
    job = await job_of(
        [status("warming_up"), status("unknown"), status("cancelling"), status("completed")], tmp_path
    )
    states = [event.state async for event in job.watch() if isinstance(event, StateChanged)]
    assert states == ["warming_up", "unknown", "cancelling", "completed"]


async def test_looks_become_rarer_while_nothing_moves(tmp_path: Path) -> None:
    time = StillTime()
    job = await job_of([*[status("pending")] * 12, status("completed")], tmp_path, time)
    [event async for event in job.watch()]
    assert time.slept == sorted(time.slept)
    assert time.slept[0] < 1 and 10 < time.slept[-1] <= 15


async def test_failure_carries_the_services_words(tmp_path: Path) -> None:
    failed = {
        "status": "failed",
        "percentage_done": 100.0,
        "status_logs": [{"message": "x", "detail": "no GPU"}],
    }
    job = await job_of([httpx.Response(200, json=failed)], tmp_path)
    with pytest.raises(JobFailedError, match="no GPU") as caught:
        await job.wait()
    assert (caught.value.job_id, caught.value.reason) == ("cust-1", "no GPU")


async def test_stall_and_timeout_are_different_errors(tmp_path: Path) -> None:
    waiting = {"status": "running", "status_logs": [{"message": "Pending", "detail": "no free GPU"}]}
    with pytest.raises(JobStalledError, match="no free GPU"):
        await (await job_of([httpx.Response(200, json=waiting)], tmp_path, StillTime())).wait(
            stall=60, timeout=3600
        )
    with pytest.raises(WaitTimeoutError):
        await (await job_of([status("running", 3)], tmp_path, StillTime())).wait(stall=3600, timeout=60)


async def test_deleted_job_ends_the_wait(tmp_path: Path) -> None:
    job = await job_of([status("running"), httpx.Response(404, json={"detail": "gone"})], tmp_path)
    with pytest.raises(NotFoundError):
        await job.wait()


@pytest.fixture
def server() -> SmallCustomizer:
    return SmallCustomizer()


def nemo_for(server: SmallCustomizer, folder: Path) -> NeMo:
    return client(server, folder, StillTime())


async def test_token_goes_into_the_job_and_its_models_version(
    server: SmallCustomizer, tmp_path: Path
) -> None:
    job = await nemo_for(server, tmp_path).customizer.submit(REQUEST)
    token = job.record.custom_fields[FIELD]
    assert job.output_model == f"law/tagger@lt-{token[:12]}"
    assert REQUEST.output_model == "law/tagger" and REQUEST.custom_fields is None


async def test_lost_reply_is_looked_up_not_repeated(server: SmallCustomizer, tmp_path: Path) -> None:
    server.fault = "lose reply"
    job = await nemo_for(server, tmp_path).customizer.submit(REQUEST)
    assert (server.posts, list(server.jobs)) == (1, [job.id])


async def test_same_intent_after_a_restart_is_the_same_job(server: SmallCustomizer, tmp_path: Path) -> None:
    first = await nemo_for(server, tmp_path).customizer.submit(REQUEST)
    second = await nemo_for(server, tmp_path).customizer.submit(REQUEST)
    assert first.id == second.id and server.posts == 1
    assert (await nemo_for(server, tmp_path).customizer.submit(REQUEST, key="again")).id != first.id


async def test_crash_after_the_post_finds_the_job_by_its_token(
    server: SmallCustomizer, tmp_path: Path
) -> None:
    nemo = nemo_for(server, tmp_path)
    first = await nemo.customizer.submit(REQUEST)
    # As if killed before the id was written down.
    store = nemo.intents
    (intent,) = store.all()  # type: ignore[attr-defined]
    store.forget(intent.key)
    store.begin(replace(intent, remote_id=None))
    assert (await nemo_for(server, tmp_path).customizer.submit(REQUEST)).id == first.id
    assert server.posts == 1


async def test_crash_before_the_post_submits_once(server: SmallCustomizer, tmp_path: Path) -> None:
    server.fault = "lose request"
    nemo = nemo_for(server, tmp_path)
    with pytest.raises(DoubtfulOutcomeError):
        await nemo.customizer.submit(REQUEST)
    await nemo_for(server, tmp_path).customizer.submit(REQUEST)
    assert len(server.jobs) == 1


async def test_refused_request_leaves_its_key_free(server: SmallCustomizer, tmp_path: Path) -> None:
    nemo = nemo_for(server, tmp_path)
    server.fault = "refuse"
    with pytest.raises(UnprocessableError):
        await nemo.customizer.submit(REQUEST, key="mine")
    corrected = REQUEST.model_copy(
        update={"hyperparameters": Hyperparameters(finetuning_type="lora", epochs=3)}
    )
    assert (await nemo.customizer.submit(corrected, key="mine")).id == "cust-0"


async def test_reset_server_gets_the_job_again(server: SmallCustomizer, tmp_path: Path) -> None:
    await nemo_for(server, tmp_path).customizer.submit(REQUEST)
    server.jobs.clear()
    await nemo_for(server, tmp_path).customizer.submit(REQUEST)
    assert len(server.jobs) == 1


async def test_existing_output_model_is_used_if_the_job_is_the_same(
    server: SmallCustomizer, tmp_path: Path
) -> None:
    versioned = REQUEST.model_copy(update={"output_model": "law/tagger@v1"})
    first = await nemo_for(server, tmp_path / "one").customizer.submit(versioned)
    assert (await nemo_for(server, tmp_path / "two").customizer.submit(versioned)).id == first.id
    other = versioned.model_copy(
        update={"hyperparameters": Hyperparameters(finetuning_type="lora", epochs=9)}
    )
    with pytest.raises(ConflictError, match=r"hyperparameters\.epochs"):
        await nemo_for(server, tmp_path / "three").customizer.submit(other)


def test_scores_take_the_only_score_of_a_metric_by_the_metrics_name() -> None:
    metrics = {
        "f1": {"scores": {"f1_score": {"value": 0.5}}},
        "rouge": {"scores": {"rouge_1": {"value": 0.1}, "rouge_2": {"value": 0.2}}},
        "judge": {"scores": {"x": {"value": None}}},
    }
    result = EvaluationResult.model_validate({"tasks": {"tags": {"metrics": metrics}}, "groups": None})
    assert scores(result) == {"tags.f1": 0.5, "tags.rouge.rouge_1": 0.1, "tags.rouge.rouge_2": 0.2}
