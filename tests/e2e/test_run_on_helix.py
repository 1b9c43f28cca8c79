"""A whole run on the embedded Helix dialect; a runner trains and serves, as it does for NVIDIA's platform."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from recipe_runs import RECIPE, counted_by, lawtags, write_recipe
from shared_launcher import shared_launcher

from lawtags_client.helix.client import Helix
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
