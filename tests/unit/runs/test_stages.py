"""Stages that ask a platform, with one that is scripted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from tiny_models import make_encoder

from lawtags_client.encoder import choice
from lawtags_client.errors import (
    BadRequestError,
    ConfigurationError,
    JobCancelledError,
    JobFailedError,
    JobStalledError,
    PayloadTooLargeError,
    ServerError,
    UnprocessableError,
)
from lawtags_client.platform import (
    EvaluationIntent,
    EvaluationSummary,
    FineTuneIntent,
    JobReference,
    JobUpdate,
    Platform,
    PromptInput,
)
from lawtags_client.runs.answers import RowAnswer, working_file
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.metrics import read_metrics
from lawtags_client.runs.outputs import (
    CurateOutput,
    CustomizeOutput,
    JobPlan,
    PlanOutput,
    PredictOutput,
    ServeOutput,
    StageOutput,
    TokenCounts,
    UploadOutput,
)
from lawtags_client.runs.predictions import prediction, read_predictions, write_predictions
from lawtags_client.runs.probabilities import write_probabilities
from lawtags_client.runs.progress import LoggedProgress, Progress
from lawtags_client.runs.recipe import parse_recipe
from lawtags_client.runs.run import execute
from lawtags_client.runs.stage import RunContext, Stage
from lawtags_client.runs.stages.asking_models import PartAnswers, first_tokens
from lawtags_client.runs.stages.baselines import Baselines
from lawtags_client.runs.stages.customize import Customize, shortened
from lawtags_client.runs.stages.evaluate import Evaluate
from lawtags_client.runs.stages.predict import _fit, _tagged
from lawtags_client.runs.training_monitor import TrainingState
from lawtags_client.runs.verdict import SYSTEMS
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.retriever import Retriever
from lawtags_client.tagging.vocabulary import Vocabulary

RECIPE: dict[str, Any] = {
    "schema_version": 1,
    "name": "small",
    "model": {"config": "ns/model@v1"},
    # Tuning beside the job has its own tests.
    "encoder": {"tune": "off"},
}


@dataclass
class Scripted:
    """A platform whose jobs end as told."""

    ends: list[Exception | None] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    intents: list[FineTuneIntent] = field(default_factory=list)
    asked: list[PromptInput] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)
    tokens: Callable[[PromptInput], Any] = lambda prompt: {"a": -0.1}

    async def submit(self, intent: FineTuneIntent) -> JobReference:
        self.keys.append(intent.key)
        self.intents.append(intent)
        return JobReference(f"cust-{intent.key}", "tests/tagger@lt-1")

    async def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)

    async def follow(self, job_id: str, *, timeout: float, stall: float) -> AsyncIterator[JobUpdate]:
        yield JobUpdate("running", 1, 50.0, (("train_loss", 0, 1.0),))
        end = self.ends.pop(0)
        if end is not None:
            raise end

    async def served(self, model: str, *, timeout: float) -> None:
        self.loaded.add(model)

    async def evaluate(
        self, intent: EvaluationIntent, *, on_notice: Callable[[str], None], **_: Any
    ) -> EvaluationSummary:
        assert intent.model in self.loaded, "an endpoint that was started again has yet to load it"
        self.keys.append(intent.key)
        on_notice("Nobody is there.")
        end = self.ends.pop(0)
        if end is not None:
            raise end
        return EvaluationSummary("eval-1", {"tags.f1": 0.5})

    async def first_tokens(
        self, model: str, prompts: Sequence[PromptInput], *, top: int
    ) -> AsyncIterator[tuple[int, Any]]:
        for place, prompt in enumerate(prompts):
            self.asked.append(prompt)
            yield place, self.tokens(prompt)


class Told(LoggedProgress):
    def __init__(self) -> None:
        super().__init__()
        self.updates: list[tuple[float, float | None, str]] = []
        self.notes: list[str] = []
        self.trainings: list[TrainingState] = []
        self.silence = asyncio.Event()

    def update(self, done: float, total: float | None, text: str) -> None:
        self.updates.append((done, total, text))
        if "4 rows in flight, no answer for" in text:
            self.silence.set()

    def training(self, state: TrainingState) -> None:
        self.trainings.append(state)

    def note(self, text: str) -> None:
        self.notes.append(text)


class Before:
    """Stands for the stages before the one that is looked at."""

    version = 1

    def __init__(self, name: str, output: StageOutput) -> None:
        self.name = name
        self.output = output
        self.leaves = type(output)

    def inputs(self, context: RunContext) -> Mapping[str, Any]:
        return {}

    async def run(self, context: RunContext) -> StageOutput:
        return self.output


PLAN = JobPlan(
    config="ns/model@v1",
    hyperparameters={"epochs": 1},
    output_model="tests/tagger",
    steps=2,
    tokens=TokenCounts(counter="estimate", training_total=60, longest=20),
)
BEFORE = [
    Before("curate", CurateOutput(digest="curated")),
    Before("plan", PlanOutput(plan=PLAN)),
    Before("upload", UploadOutput(dataset="tests/data", files_url="hf://datasets/tests/data")),
]


async def carry(
    folder: Path,
    platform: Scripted,
    *steps: Stage,
    recipe: dict[str, Any] = RECIPE,
    progress: Progress | None = None,
) -> Any:
    return await execute(
        folder=folder,
        recipe=parse_recipe(recipe),
        data=["x.jsonl"],
        platform=cast(Platform, platform),
        progress=progress or LoggedProgress(),
        steps=[*BEFORE, *steps],
    )


@pytest.mark.parametrize("end", [JobFailedError("failed", job_id="x"), JobCancelledError("no", job_id="x")])
async def test_a_job_that_ended_badly_gets_a_new_job_next_time(tmp_path: Path, end: Exception) -> None:
    pytest.importorskip("tensorboard")
    platform = Scripted([end, None])
    with pytest.raises(type(end)):
        await carry(tmp_path, platform, Customize())
    await carry(tmp_path, platform, Customize())
    assert len(set(platform.keys)) == 2


async def test_training_is_told_as_it_happened(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    told = Told()

    class Following(Scripted):
        async def follow(self, job_id: str, **_: Any) -> AsyncIterator[JobUpdate]:
            yield JobUpdate("running", None, None)
            yield JobUpdate("running", 1, None, (("train_loss", 0, 2.0),))
            # The same step again, with a loss that was late.
            yield JobUpdate("running", 1, None, (("train_loss", 1, 1.5),))
            yield JobUpdate("running", 2, None, (("val_loss", 1, 1.23456),))
            yield JobUpdate("completed", 2, None, (("val_loss", 1, 1.23456),), ("uploading the model",))

    done = await carry(tmp_path, Following(), Customize(), progress=told)
    steps = [(state.steps, state.total_steps, dict(state.curves)) for state in told.trainings]
    assert steps == [
        (1, 2, {"train_loss": [(1, 2.0)]}),
        (2, 2, {"train_loss": [(1, 2.0), (2, 1.5)], "val_loss": [(2, 1.23456)]}),
    ]
    assert told.notes[-3:] == [
        "running", "uploading the model", "completed, train loss 1.5000, val loss 1.2346"
    ]  # fmt: skip
    assert done.outputs["customize"].summary["val_loss"] == 1.2346


@pytest.mark.parametrize("end", [JobStalledError("silent", job_id="x"), KeyboardInterrupt()])
async def test_a_job_that_goes_on_is_taken_up_again(tmp_path: Path, end: BaseException) -> None:
    pytest.importorskip("tensorboard")
    platform = Scripted([cast(Exception, end), None])
    with pytest.raises(type(end)):
        await carry(tmp_path, platform, Customize())
    done = await carry(tmp_path, platform, Customize())
    assert len(platform.keys) == 2
    assert len(set(platform.keys)) == 1
    assert done.left(CustomizeOutput).job == f"cust-{platform.keys[0]}"
    told = json.loads((tmp_path / "customization.json").read_text())
    assert told["metrics"] == {"train_loss": [{"step": 0, "value": 1.0}]}
    assert list((tmp_path / "tensorboard").iterdir())
    assert "epochs: 1" in (tmp_path / "hparams.yaml").read_text()


LONG = JobPlan(
    config="ns/model@v1",
    hyperparameters={"epochs": 10, "max_steps": 100, "warmup_steps": 40},
    output_model="tests/tagger",
    steps=100,
    tokens=TokenCounts(counter="estimate", training_total=60, longest=20),
)
LOSSES = [(3.0, 2.0), (2.0, 1.5), (1.0, 1.7), (0.5, 1.9), (0.4, 2.1), (0.3, 2.3)]


@dataclass
class Overfitting(Scripted):
    """A platform whose long jobs overfit from step 20 on, and whose cancel may be interrupted."""

    interruptions: int = 0
    followed: list[int] = field(default_factory=list)

    async def follow(self, job_id: str, **_: Any) -> AsyncIterator[JobUpdate]:
        intent = next(each for each in reversed(self.intents) if job_id == f"cust-{each.key}")
        most = cast(int, intent.hyperparameters["max_steps"])
        for number, (train, val) in enumerate(LOSSES):
            step = 10 * number + 9
            if step >= most:
                break
            points = (("train_loss", step, train), ("val_loss", step, val))
            self.followed.append(step + 1)
            yield JobUpdate("running", step + 1, None, points)
        yield JobUpdate("completed", most)

    async def cancel(self, job_id: str) -> None:
        if self.interruptions:
            self.interruptions -= 1
            raise KeyboardInterrupt
        await super().cancel(job_id)


def overfitting(**options: object) -> dict[str, Any]:
    return RECIPE | {"overfitting": {"patience": 2, **options}}


async def carry_long(folder: Path, platform: Scripted, recipe: dict[str, Any], told: Told) -> Any:
    steps = [BEFORE[0], Before("plan", PlanOutput(plan=LONG)), BEFORE[2], Customize()]
    return await execute(
        folder=folder,
        recipe=parse_recipe(recipe),
        data=["x.jsonl"],
        platform=cast(Platform, platform),
        progress=told,
        steps=steps,
    )


async def test_a_job_that_overfits_is_announced_and_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    platform, told = Overfitting(), Told()
    await carry_long(tmp_path, platform, overfitting(), told)
    (said,) = [note for note in told.notes if "overfits" in note]
    assert "since step 20 the validation loss has risen from 1.5000 to 1.9000" in said
    assert said.endswith("To end such jobs, set overfitting.action: stop")
    assert platform.cancelled == [] and len(platform.keys) == 1
    assert json.loads((tmp_path / "customization.json").read_text())["stopped"] is None


async def test_overfitting_can_be_ignored(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    told = Told()
    await carry_long(tmp_path, Overfitting(), overfitting(action="ignore"), told)
    assert not any("overfits" in note for note in told.notes)


async def test_a_job_that_overfits_is_stopped_and_its_best_step_is_kept(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    platform, told = Overfitting(), Told()
    done = await carry_long(tmp_path, platform, overfitting(action="stop"), told)
    first, second = platform.intents
    assert platform.cancelled == [f"cust-{first.key}"]
    assert platform.followed == [10, 20, 30, 40, 10, 20]
    # A warm-up as long as the job would never reach the learning rate.
    wanted = {"max_steps": 20, "warmup_steps": 19}
    assert second.hyperparameters == {**first.hyperparameters, **wanted}
    # With a learning rate, it ends where that of the longer job was at this step.
    planned = {"learning_rate": 1e-3, "warmup_steps": 10, "max_steps": 110, "min_learning_rate": 0}
    assert shortened(planned, 60) == planned | {"max_steps": 60, "min_learning_rate": pytest.approx(5.5e-4)}
    assert shortened({**planned, "min_learning_rate": 5e-4}, 110)["min_learning_rate"] == pytest.approx(5e-4)
    assert shortened(planned, 5)["min_learning_rate"] == pytest.approx(9.99e-4)
    assert shortened({**planned, "optimizer": "adam_with_flat_lr"}, 60)["min_learning_rate"] == 0
    kept = json.loads((tmp_path / "customization.json").read_text())
    assert kept["job"] == f"cust-{second.key}" == done.left(CustomizeOutput).job
    stopped = kept["stopped"]
    assert (stopped["best_step"], stopped["stopped_at"], stopped["planned"]) == (20, 40, 100)
    assert stopped["metrics"]["val_loss"][-1] == {"step": 39, "value": 1.9}
    assert done.outputs["customize"].summary["steps saved"] == "40 of 100"
    assert any("The job is stopped; one of 20 steps takes its place" in note for note in told.notes)


async def test_a_run_interrupted_while_it_stops_a_job_keeps_to_that(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    platform = Overfitting(interruptions=1)
    with pytest.raises(KeyboardInterrupt):
        await carry_long(tmp_path, platform, overfitting(action="stop"), Told())
    assert platform.cancelled == []
    await carry_long(tmp_path, platform, overfitting(action="stop"), Told())
    assert platform.cancelled == [f"cust-{platform.keys[0]}"]
    assert [each.hyperparameters["max_steps"] for each in platform.intents] == [100, 20]
    assert platform.followed == [10, 20, 30, 40, 10, 20]


async def test_a_job_close_to_its_end_is_not_stopped(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    late, told = Overfitting(), Told()
    plan = replace(LONG, hyperparameters={**LONG.hyperparameters, "max_steps": 70}, steps=70)
    steps = [BEFORE[0], Before("plan", PlanOutput(plan=plan)), BEFORE[2], Customize()]
    await execute(
        folder=tmp_path / "late",
        recipe=parse_recipe(overfitting(action="stop", patience=4)),
        data=["x.jsonl"],
        platform=cast(Platform, late),
        progress=told,
        steps=steps,
    )
    assert len(late.keys) == 1 and late.cancelled == []
    assert "its last 10 steps are fewer than the 20" in told.notes[-2]


async def test_two_runs_want_two_jobs(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    platform = Scripted([None, None])
    for name in ("one", "two"):
        await carry(tmp_path / name, platform, Customize())
    assert len(set(platform.keys)) == 2


async def test_an_evaluation_that_failed_is_asked_for_anew(tmp_path: Path) -> None:
    testing = tmp_path / "curated" / "questions" / "testing.jsonl"
    testing.parent.mkdir(parents=True)
    testing.write_text(json.dumps({"id": "a", "title": "A?", "tags": ["lease"]}) + "\n")
    for system in SYSTEMS:
        write_predictions(tmp_path, system, [prediction(0, "a", ["lease"])])
    write_probabilities(tmp_path, "tagger", np.asarray([[0.8, 0.1]]), ["lease", "visa"])
    before = [
        Before("serve", ServeOutput(model="tests/tagger@1", base_model="ns/model")),
        Before("predict", PredictOutput(model="tests/tagger@1")),
    ]
    recipe = RECIPE | {"evaluation": {"bootstrap": 100}}
    platform = Scripted([JobFailedError("failed", job_id="x"), JobStalledError("s", job_id="x"), None])
    for expected in (JobFailedError, JobStalledError):
        with pytest.raises(expected):
            await carry(tmp_path, platform, *before, Evaluate(), recipe=recipe)
    told = Told()
    await carry(tmp_path, platform, *before, Evaluate(), recipe=recipe, progress=told)
    (said,) = told.notes
    assert said.startswith("Nobody is there. Or leave this evaluation out")
    assert said.endswith("--set evaluation.platform_rows=0")
    first, second, third = platform.keys
    assert first != second == third
    metrics = read_metrics(tmp_path)
    assert metrics.platform is not None
    assert metrics.platform.scores == {"tags.f1": 0.5}
    # Only systems with probabilities have a calibration; one row is too few for a curve.
    assert [*metrics.calibration] == ["tagger"]
    assert metrics.calibration["tagger"].predicted_tags == pytest.approx(0.9)
    assert metrics.coverage == {"tagger": ()}


def context(folder: Path, platform: Scripted) -> RunContext:
    ledger = Ledger(folder / "ledger.sqlite")
    made = RunContext(
        folder, parse_recipe(RECIPE), (), None, cast(Platform, platform), ledger, LoggedProgress()
    )
    made.outputs["curate"] = CurateOutput(digest="one")
    return made


def validation(folder: Path, count: int) -> list[Question]:
    path = folder / "curated" / "validation" / "validation.jsonl"
    path.parent.mkdir(parents=True)
    rows = [{"prompt": f"Title: {n}\nTags:", "completion": "x"} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [Question(id=str(n), title=f"{n}") for n in range(count)]


async def test_answers_that_are_there_are_not_asked_for_again(tmp_path: Path) -> None:
    platform = Scripted()
    asked = validation(tmp_path, 3)
    made = context(tmp_path, platform)
    first = await first_tokens(made, "model", "validation", asked)
    log = tmp_path / "answers" / "first-tokens-validation.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:2]) + '{"row": 2, "to')
    platform.asked.clear()
    assert (await first_tokens(made, "model", "validation", asked)).tokens == first.tokens
    assert platform.asked == ["Title: 2\nTags:"]


async def test_one_failing_row_costs_no_other_and_is_asked_again(tmp_path: Path) -> None:
    platform = Scripted(tokens=lambda prompt: ValueError("no") if "1" in str(prompt) else {"a": -0.5})
    asked = validation(tmp_path, 3)
    made = context(tmp_path, platform)
    first = await first_tokens(made, "model", "validation", asked)
    assert first.tokens == [{"a": -0.5}, None, {"a": -0.5}]
    assert (first.lost, first.refused) == (1, 0)
    assert first.rows[1].error == "ValueError: no"
    platform.asked.clear()
    platform.tokens = lambda prompt: {"b": -1.0}
    again = await first_tokens(made, "model", "validation", asked)
    assert again.tokens[1] == {"b": -1.0}
    assert again.lost == 0
    assert platform.asked == ["Title: 1\nTags:"]


async def test_when_every_row_fails_the_reason_is_raised(tmp_path: Path) -> None:
    platform = Scripted(tokens=lambda prompt: JobFailedError("gone", job_id="x"))
    with pytest.raises(JobFailedError, match="gone"):
        await first_tokens(context(tmp_path, platform), "model", "validation", validation(tmp_path, 2))


async def test_a_row_that_the_server_rejects_is_not_requested_again(tmp_path: Path) -> None:
    too_long = BadRequestError("too long", status=400, hint="Shorten it.")
    platform = Scripted(tokens=lambda prompt: too_long if "1" in str(prompt) else {"a": -0.5})
    asked = validation(tmp_path, 3)
    made = context(tmp_path, platform)
    first = await first_tokens(made, "model", "validation", asked)
    assert (first.lost, first.refused) == (0, 1)
    assert first.rows[1].error == "BadRequestError: too long (HTTP 400)"
    platform.asked.clear()
    assert await first_tokens(made, "model", "validation", asked) == first
    assert platform.asked == []


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_server_that_rejects_everything_marks_no_row_as_rejected(tmp_path: Path, status: int) -> None:
    kinds = {400: BadRequestError, 413: PayloadTooLargeError, 422: UnprocessableError}
    platform = Scripted(tokens=lambda prompt: kinds[status]("no such parameter", status=status))
    asked = validation(tmp_path, 3)
    made = context(tmp_path, platform)
    with pytest.raises(kinds[status]):
        await first_tokens(made, "model", "validation", asked)
    platform.tokens = lambda prompt: {"a": -0.5}
    assert (await first_tokens(made, "model", "validation", asked)).lost == 0


async def test_a_server_that_is_down_ends_an_attempt_before_it_loses_too_many_rows(tmp_path: Path) -> None:
    down = ServerError("down", status=503)
    platform = Scripted(tokens=lambda prompt: down if int(str(prompt).split()[1]) >= 98 else {"a": -0.5})
    asked = validation(tmp_path, 100)
    made = context(tmp_path, platform)
    for _ in range(2):
        # Two of a hundred: they are asked for again, and are no reason to end.
        assert (await first_tokens(made, "model", "validation", asked)).lost == 2
    log = tmp_path / "answers" / "first-tokens-validation.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:50]))
    platform.tokens = lambda prompt: down
    with pytest.raises(ServerError):
        await first_tokens(made, "model", "validation", asked)


async def test_progress_shows_the_rows_under_way_while_no_answer_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lawtags_client.runs.answers._TELL_EVERY", 0.001)
    monkeypatch.setattr("lawtags_client.runs.answers._SILENT", 0.0)
    told = Told()

    class Slow(Scripted):
        async def first_tokens(
            self, model: str, prompts: Sequence[PromptInput], *, top: int
        ) -> AsyncIterator[tuple[int, Any]]:
            taken = list(prompts)
            await asyncio.wait_for(told.silence.wait(), 30)
            for place in range(len(taken)):
                yield place, {"a": -0.1}

    made = context(tmp_path, Slow())
    made.progress = told
    await first_tokens(made, "model", "validation", validation(tmp_path, 4))
    assert told.updates[-1] == (4, 4, "tuned model, validation rows")


@pytest.mark.parametrize("change", ["model", "rows", "asked"])
def test_answers_of_another_model_other_rows_or_another_question_are_dropped(
    tmp_path: Path, change: str
) -> None:
    made = context(tmp_path, Scripted())
    path = working_file(made, "answers", "model", "most 5")
    path.write_text("old\n")
    assert working_file(made, "answers", "model", "most 5").read_text() == "old\n"
    if change == "rows":
        made.outputs["curate"] = CurateOutput(digest="two")
    model = "other" if change == "model" else "model"
    assert not working_file(made, "answers", model, "most 3" if change == "asked" else "most 5").exists()


def test_predictions_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [
        prediction(0, "a", ["b", "a"], scores={"b": 0.123456}, text="b, a"),
        prediction(1, "é", [], error="no answer"),
    ]
    path = write_predictions(tmp_path, "tuned", rows)
    assert path.name == "predictions-tuned.jsonl"
    first, second = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert first == {
        "row": 0, "id": "a", "tags": ["b", "a"], "scores": {"b": 0.1235}, "error": None, "text": "b, a"
    }  # fmt: skip
    assert second == {"row": 1, "id": "é", "tags": [], "scores": {}, "error": "no answer"}
    assert read_predictions(tmp_path, "tuned") == [frozenset({"a", "b"}), frozenset()]


@pytest.mark.parametrize("key", ["canary-8d1f", 987654321])
async def test_the_key_of_the_pii_hash_is_written_nowhere(tmp_path: Path, key: object) -> None:
    from lawtags_client.errors import LawtagsError
    from lawtags_client.runs.stages.curate import Curate

    data = tmp_path / "data.jsonl"
    data.write_text('{"title": ""}\n')
    recipe = RECIPE | {"curation": {"pii": {"entities": ["URL"], "action": "hash", "key": key}}}
    folder = tmp_path / "run"
    with pytest.raises(LawtagsError) as caught:
        await execute(
            folder=folder,
            recipe=parse_recipe(recipe),
            data=[str(data)],
            platform=cast(Platform, Scripted()),
            progress=LoggedProgress(),
            steps=[Curate()],
        )
    assert str(key) not in str(caught.value)
    assert Ledger(folder / "ledger.sqlite").fact("recipe")["curation"]["pii"]["key"] is None
    for path in folder.rglob("*"):
        if path.is_file():
            assert str(key).encode() not in path.read_bytes(), path


async def test_data_and_test_file_are_remembered(tmp_path: Path) -> None:
    await execute(
        folder=tmp_path,
        recipe=parse_recipe(RECIPE),
        data=["/a.jsonl"],
        test=Path("/t.jsonl"),
        platform=cast(Platform, Scripted()),
        progress=LoggedProgress(),
        steps=[],
    )
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert (ledger.fact("data"), ledger.fact("test")) == (["/a.jsonl"], "/t.jsonl")


def test_a_row_that_the_model_did_not_answer_is_marked_in_the_taggers_file(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    kinds = (
        ("copy of a song", "copyright"),
        ("deposit of a flat", "landlord"),
        ("theft of a bicycle", "theft"),
    )
    parts = {
        part: [
            Question(
                id=f"{part}-{n}",
                title=f"Is the {kinds[n % 3][0]} number {n} legal?",
                body=None,
                tags=(kinds[n % 3][1],),
            )
            for n in range(rows)
        ]
        for part, rows in (("training", 60), ("validation", 24), ("testing", 6))
    }
    told = {part: [{f" {q.tags[0]}": -0.1} for q in questions] for part, questions in parts.items()}
    made = context(tmp_path, Scripted())
    retriever = Retriever.fit(parts["training"], Vocabulary.from_questions(parts["training"]))
    tagger = _fit(made, parts, told["validation"], retriever, None)
    assert tagger.mix is not None
    # The validation rows have chosen the weights; now the retriever knows them, too.
    assert len(tagger.retriever.row_tags) == 60 + 24
    lost = RowAnswer(row=0, error="DeadlineExceededError: late")
    given = PartAnswers([lost, *(RowAnswer(row=1, tokens=tokens) for tokens in told["testing"][1:])], 1, 0)
    found = _tagged(tagger, parts["testing"], given)["tagger"].rows
    assert [bool(row.error) for row in found] == [True] + [False] * 5
    assert "these are the tags without it" in (found[0].error or "")
    assert "late" in (found[0].error or "")
    assert found[0].tags == tagger.tag(parts["testing"][:1])[0].tags


def test_another_encoder_makes_other_baselines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "package_folder", lambda: None)
    folder = make_encoder(tmp_path / "encoder")

    def inputs(**retriever: Any) -> Mapping[str, object]:
        made = context(tmp_path, Scripted())
        made.recipe = parse_recipe(RECIPE | {"retriever": retriever})
        return Baselines().inputs(made)

    assert inputs() == inputs(encoder="none")
    named = inputs(encoder=str(folder))
    assert named != inputs()
    with (folder / "config.json").open("a") as stream:
        stream.write(" ")
    assert inputs(encoder=str(folder))["encoder"] != named["encoder"]
    with pytest.raises(ConfigurationError, match=r"retriever\.encoder"):
        inputs(encoder=str(tmp_path / "nothing"))


async def test_an_encoder_that_cannot_be_used_ends_the_run_before_its_first_stage(tmp_path: Path) -> None:
    platform = Scripted()
    recipe = RECIPE | {"retriever": {"encoder": str(tmp_path / "nothing")}}
    with pytest.raises(ConfigurationError, match="there is no encoder folder"):
        await carry(tmp_path / "run", platform, Customize(), recipe=recipe)
    assert platform.keys == []
