"""The requests to NeMo Helix that ``lawtags plan`` shows are those that the run sends, byte by byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import FaultProxy, Message
from recipe_runs import RECIPE, lawtags
from shared_launcher import shared_launcher

from lawtags_client.errors import JobStalledError
from lawtags_client.helix.client import Helix
from lawtags_client.intents import SqliteIntents
from lawtags_client.platform.helix import HelixPlatform
from lawtags_client.runs.pipeline import stages
from lawtags_client.runs.planned import take_over_curation
from lawtags_client.runs.progress import LoggedProgress
from lawtags_client.runs.recipe_loading import load_recipe
from lawtags_client.runs.run import execute
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

pytestmark = pytest.mark.slow

MODEL = "law/base"


@pytest.fixture(scope="module")
def helix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    """A platform with a model, for which nobody trains."""

    async def prepare(url: str) -> None:
        async with Helix(base_url=url, workspace="law") as client:
            await client.workspaces.ensure(name="law")
            await client.filesets.ensure(name="weights")
            await client.filesets.upload("weights", {"config.json": b"{}"})
            await client.models.ensure(name="base", fileset="law/weights")

    options = StackOptions(dialect="helix", refresh_interval=3600, device="cpu")
    with StackThread(tmp_path_factory.mktemp("stack"), options=options, launcher=shared_launcher()) as stack:
        asyncio.run(prepare(stack.platform_url))
        yield stack


def write(folder: Path, **changes: Any) -> Path:
    model: dict[str, Any] = RECIPE["model"]  # type: ignore[assignment]
    wait = {"stall": 0.5, "training": 60}
    path = folder / "recipe.yaml"
    path.write_text(
        json.dumps(RECIPE | {"model": model | {"config": f"{MODEL}@helix"}, "wait": wait} | changes)
    )
    return path


def changing(messages: list[Message]) -> list[tuple[str, bytes]]:
    lines = [(message.line.rpartition(" ")[0], message.body) for message in messages]
    return sorted(each for each in lines if not each[0].startswith(("GET ", "HEAD ")))


@pytest.mark.parametrize("offline", [False, True])
def test_a_run_on_helix_sends_what_its_plan_has_shown(
    helix: StackThread, questions: Path, tmp_path: Path, offline: bool
) -> None:
    # A platform that has the files already is sent fewer.
    path = write(tmp_path, dataset={"name": f"tests/questions-{'offline' if offline else 'asked'}"})
    words = ["plan", path, "--data", questions, "--name", "planned", "--json"]
    with FaultProxy(helix.platform_url, lambda _: "pass") as proxy:
        planned = lawtags(helix, tmp_path, *words, *(["--offline"] if offline else []))
        assert planned.returncode == 0, planned.stderr
        plan, run = tmp_path / "runs" / "plans" / "planned", tmp_path / "runs" / "planned"
        listed = [json.loads(line) for line in (plan / "requests/requests.jsonl").read_text().splitlines()]
        shown = sorted(
            (f"{row['method']} {row['path']}", (plan / row["file"]).read_bytes()) for row in listed
        )
        take_over_curation(plan, run)

        async def carry_out() -> None:
            async with Helix(base_url=proxy.url, intents=SqliteIntents(run / "ledger.sqlite")) as client:
                recipe = load_recipe(str(path))
                await execute(
                    folder=run,
                    recipe=recipe,
                    data=[str(questions)],
                    platform=HelixPlatform(client),
                    progress=LoggedProgress(),
                    steps=[stage for stage in stages(recipe) if stage.name != "baselines"],
                    until="customize",
                )

        with pytest.raises(JobStalledError):
            asyncio.run(carry_out())
        assert changing(proxy.messages) == shown
    assert [line.rpartition("/")[2] for line, _ in shown if line.startswith("POST ")] == [
        "jobs",
        "workspaces",
        "filesets",
        "filesets",
    ]
    told = json.loads(planned.stdout)
    (job,) = [row["body"] for row in told["requests"] if row["path"].endswith("/automodel/jobs")]
    assert (job["spec"]["model"], job["spec"]["schedule"]["max_steps"]) == (MODEL, 6)
    notes = [finding["message"] for finding in told["findings"] if finding["topic"] == "platform"]
    assert any("own default" in note for note in notes)
    assert any("Taken to be the model law/base" in note for note in notes) == offline


def test_a_plan_says_what_helix_cannot_express_and_shows_no_request(
    helix: StackThread, questions: Path, tmp_path: Path
) -> None:
    path = write(tmp_path, wandb={"project": "law"})
    done = lawtags(helix, tmp_path, "plan", path, "--data", questions, "--offline", "--json")
    assert done.returncode == 2, done.stderr
    told = json.loads(done.stdout)
    (error,) = [finding for finding in told["findings"] if finding["level"] == "error"]
    assert "the recipe names none" in error["message"]
    assert error["remedy"]
    assert told["requests"] == []
