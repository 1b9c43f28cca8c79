"""A whole run on the embedded Helix dialect; a runner trains and serves, as it does for NVIDIA's platform."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from recipe_runs import RECIPE, counted_by, lawtags, same_answers, write_recipe
from shared_launcher import shared_launcher

from lawtags_client import tag
from lawtags_client.asking.tagged import Tagged
from lawtags_client.helix.client import Helix
from lawtags_client.runs.tagger import load_run_tagger
from lawtags_client.tagging.prompt import Prompt
from lawtags_client.tagging.question import Question
from lawtags_stack.runner.options import RunnerOptions
from lawtags_stack.runner.start import run_runner
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

pytestmark = pytest.mark.slow

BASE = "tests/tiny"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    options = StackOptions(dialect="helix", refresh_interval=0.2)
    folder = tmp_path_factory.mktemp("helix") / "stack"
    with StackThread(folder, options=options, launcher=shared_launcher()) as running:
        yield running


@pytest.fixture(scope="module")
def runner(platform: StackThread, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A runner in a thread, which offers and serves the tiny model."""
    options = RunnerOptions(
        folder=tmp_path_factory.mktemp("runner"), device="cpu", threads=1, poll_seconds=0.2
    )
    loop, ready = asyncio.new_event_loop(), threading.Event()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "takes jobs" in line:
            ready.set()

    async def work() -> None:
        async with Helix(base_url=platform.platform_url) as helix:
            await run_runner(
                helix, options, base_models={BASE: base}, serve=[BASE], launcher=shared_launcher(), say=say
            )

    task = loop.create_task(work())
    task.add_done_callback(lambda _: ready.set())

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(120), said
    assert not task.done(), task
    yield
    loop.call_soon_threadsafe(task.cancel)
    thread.join(60)
    assert not thread.is_alive()
    loop.close()


@pytest.fixture(scope="module")
def finished(
    platform: StackThread,
    runner: None,
    base: Path,
    questions: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The working directory of a run that was carried to its end."""
    folder = tmp_path_factory.mktemp("work")
    changes = counted_by(base)
    model = changes.pop("model") | {"config": f"{BASE}@helix"}
    recipe = write_recipe(folder, **changes, model=model, training=RECIPE["training"])
    done = lawtags(platform, folder, "run", recipe, "--data", questions, "--name", "tiny", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["systems"].keys() == {"tagger", "tuned", "base", "retriever", "tfidf", "most_frequent"}
    return folder


def test_a_run_on_helix_leaves_what_one_on_v1_leaves(finished: Path) -> None:
    run = finished / "runs" / "tiny"
    metrics = json.loads((run / "metrics.json").read_text())
    rows = len((run / "curated" / "testing" / "testing.jsonl").read_text().splitlines())
    assert metrics["test_rows"] == rows > 0
    names = {"tags.em", "tags.contains", "tags.micro_f1", "tags.macro_f1"}
    assert names <= {name.removesuffix(".score") for name in metrics["platform"]["scores"]}
    for system in metrics["systems"]:
        lines = (run / f"predictions-{system}.jsonl").read_text().splitlines()
        assert len(lines) == rows
        assert all(json.loads(line)["error"] is None for line in lines)


def test_the_adapter_is_not_the_base_and_answers_are_held(finished: Path) -> None:
    run = finished / "runs" / "tiny"
    read = {
        system: [json.loads(line) for line in (run / f"predictions-{system}.jsonl").read_text().splitlines()]
        for system in ("tuned", "base")
    }
    assert all(row["held"] for rows in read.values() for row in rows)
    assert [row["tags"] for row in read["tuned"]] != [row["tags"] for row in read["base"]]


def test_one_job_and_one_adapter_with_its_card(platform: StackThread, finished: Path) -> None:
    apis = f"{platform.platform_url}/apis"
    jobs = httpx.get(f"{apis}/customization/v2/workspaces/tests/automodel/jobs").json()["data"]
    assert [job["status"] for job in jobs] == ["completed"]
    [adapter] = httpx.get(f"{apis}/models/v2/workspaces/tests/adapters").json()["data"]
    workspace, _, fileset = adapter["fileset"].rpartition("/")
    files = f"{apis}/files/v2/workspaces/{workspace or 'tests'}/filesets/{fileset}/-"
    assert httpx.get(f"{files}/README.md").text == (finished / "runs/tiny/model-card.md").read_text()
    assert httpx.get(f"{files}/tagger/tagger.json").status_code == 200


def test_the_same_command_again_redoes_nothing(
    platform: StackThread, finished: Path, questions: Path
) -> None:
    again = lawtags(platform, finished, "run", "recipe.yaml", "--data", questions, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["redone"] == []


def lines_of(platform: StackThread, folder: Path, *words: str) -> list[dict[str, Any]]:
    done = lawtags(platform, folder, *words, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_raw_rows_are_tagged_as_the_run_was_judged(
    platform: StackThread, finished: Path, questions: Path
) -> None:
    assert same_answers(platform, finished, "tiny", questions) > 10


def test_a_tagger_asks_its_model_through_the_gateway(platform: StackThread, finished: Path) -> None:
    loaded = load_run_tagger(finished / "runs" / "tiny")
    asked: list[str] = []

    class Scorer:
        """The run's tagger, as one that uses its model."""

        uses_model = True
        vocabulary = loaded.tagger.vocabulary
        decide = staticmethod(loaded.tagger.decide)

        def prompt(self, question: Question, /) -> Prompt:
            return loaded.tagger.prompt(question)

        def scores(self, questions: Sequence[Question], lm: Any, /) -> Any:
            asked.extend(token for row in lm for token in row)
            return loaded.tagger.scores(questions, lm)

    async def work() -> Tagged:
        async with Helix(base_url=platform.platform_url) as helix:
            return await tag(helix, title="May I copy a map?", model=loaded.model, tagger=Scorer())

    assert asyncio.run(work()).tags
    assert len(asked) == 20
    written = lawtags(platform, finished, "tag", "--title", "May I copy a map?", "--model", loaded.model)
    assert written.returncode == 0, written.stderr


def test_the_commands_for_jobs_show_the_one_job(platform: StackThread, finished: Path) -> None:
    [job] = lines_of(platform, finished, "jobs", "ls")
    assert (job["status"], job["steps"], job["config"]) == ("completed", 6, BASE)
    assert job["output_model"].startswith(f"{BASE}&adapters/tests/")
    assert lines_of(platform, finished, "jobs", "ls", "--status", "error") == []
    *_, last = lines_of(platform, finished, "jobs", "watch", job["id"])
    assert (last["status"], last["steps"]) == ("completed", 6)
    shown = lines_of(platform, finished, "jobs", "metrics", job["id"])
    assert [row["step"] for row in shown if row["metric"] == "train_loss"] == [1, 2, 3, 4, 5, 6]
    [why] = lines_of(platform, finished, "jobs", "why", job["id"])
    assert why == {"job": job["id"], "status": "completed", "causes": []}
    assert "did not fail" in lawtags(platform, finished, "jobs", "why", job["id"]).stdout
    [logs] = lines_of(platform, finished, "jobs", "logs", job["id"])
    assert "train_loss" in logs["entries"]["training"]["logs"]["training"]
    [whole] = lines_of(platform, finished, "jobs", "show", job["id"])
    assert [step["status"] for step in whole["steps"]] == ["completed"] * 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("jobs", "ls", "--status", "running"), "Use one of: created, pending, active"),
        (("jobs", "show", "tagger"), "Write workspace/name"),
        (("jobs", "cancel", "tests/nobody"), "nobody"),
        (("jobs", "audit"), "lawtags jobs ls"),
        (("customize", "tests/questions"), "lawtags run"),
        (("upload", "runs/tiny/curated", "tests/more"), "lawtags run"),
        (("deploy", "tests/tiny"), "lawtags local runner --serve"),
        (("models", "get", "tests/nobody", "--out", "fetched"), "lawtags models ls"),
        (("evaluate", "tests/nothing", "tests/questions"), f"Served models: {BASE}"),
        (("evaluate", BASE, "tests/nowhere"), "no test rows of tests/nowhere"),
        (("evaluate", BASE, "hf://datasets/tests/questions"), "workspace/fileset#file"),
    ],
)
def test_what_cannot_be_done_on_helix_is_refused_with_what_can(
    platform: StackThread, finished: Path, words: tuple[str, ...], said: str
) -> None:
    done = lawtags(platform, finished, *words)
    assert done.returncode != 0
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_the_models_are_listed_and_evaluated(platform: StackThread, finished: Path) -> None:
    rows = lines_of(platform, finished, "models", "ls")
    models = {row["name"]: row for row in rows if row["kind"] == "model"}
    [adapter] = [name for name in models if "&adapters/" in name]
    assert models[BASE]["served"] and models[adapter]["served"]
    assert [row["name"] for row in rows if row["kind"] == "config"] == [BASE]
    assert lines_of(platform, finished, "models", "ls", "--namespace", "nowhere") == []
    dataset = json.loads((finished / "runs" / "tiny" / "upload.json").read_text())["dataset"]
    evaluate = ("evaluate", adapter, dataset, "--namespace", "tests", "--limit", "3")
    [found] = lines_of(platform, finished, *evaluate)
    assert found["rows"] == 3
    assert {"tags.micro_f1", "tags.em"} <= found["scores"].keys()
    assert lines_of(platform, finished, *evaluate) == [found]


def test_the_adapter_is_fetched_alone_and_with_the_run(platform: StackThread, finished: Path) -> None:
    [name] = [
        row["name"]
        for row in lines_of(platform, finished, "models", "ls")
        if row["kind"] == "model" and "&adapters/" in row["name"]
    ]
    [alone] = lines_of(platform, finished, "models", "get", name, "--out", "fetched")
    assert alone["kind"] == "adapter"
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md"} <= alone["files"].keys()
    assert (finished / "fetched" / "adapter_model.safetensors").stat().st_size > 0
    layout = ("runs", "export", "tiny", "--seed-layout", "results", "--checkpoints")
    [exported] = lines_of(platform, finished, *layout)
    assert any(path.endswith("adapter_model.safetensors") for path in exported["files"])


def test_an_undone_run_leaves_no_job_no_adapter_and_no_fileset(platform: StackThread, finished: Path) -> None:
    done = lawtags(platform, finished, "runs", "undo", "tiny", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    items = json.loads(done.stdout)["items"]
    assert {item["outcome"] for item in items} == {"removed"}
    kinds = sorted(item["what"] for item in items)
    assert kinds == [
        "adapter", "evaluation job", "fileset of the dataset", "fileset of the dataset",
        "fileset of the weights", "training job",
    ]  # fmt: skip
    apis = f"{platform.platform_url}/apis"
    assert httpx.get(f"{apis}/customization/v2/workspaces/tests/automodel/jobs").json()["data"] == []
    assert httpx.get(f"{apis}/models/v2/workspaces/tests/adapters").json()["data"] == []
    filesets = httpx.get(f"{apis}/files/v2/workspaces/tests/filesets").json()["data"]
    assert not [each["name"] for each in filesets if "questions" in each["name"]]
