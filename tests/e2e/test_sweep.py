"""A sweep on an embedded stack: killed, resumed, halved, and no job twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL

import pytest
from recipe_runs import BASE, RECIPE, ended_at, jobs_of, lawtags, write_recipe
from shared_launcher import shared_launcher
from tiny_models import make_model

from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

pytestmark = pytest.mark.slow
OTHER = "tests/other"


@pytest.fixture(scope="module")
def stack(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    """A stack with two base models."""
    other = make_model(tmp_path_factory.mktemp("other"), seed=7)
    options = StackOptions(
        refresh_interval=0.2,
        base_models={BASE: base, OTHER: other},
        training_threads=1,
        inference_threads=1,
    )
    with StackThread(
        tmp_path_factory.mktemp("sweeps") / "stack", options=options, launcher=shared_launcher()
    ) as running:
        yield running


def test_a_sweep_resumes_and_submits_each_job_once(
    stack: StackThread, questions: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(
        tmp_path,
        name="swept",
        model=RECIPE["model"] | {"output": "tests/swept"},  # type: ignore[operator]
        training={"epochs": 1, "batch_size": 8, "max_steps": 4, "log_every_n_steps": 1},
    )
    words = ["sweep", recipe, "--data", questions, "--over", "learning_rate=1e-3,1e-2", "adapter_dim=4,8"]
    words += ["--halving", "2", "--concurrency", "2"]

    def begun() -> bool:
        return len(jobs_of(stack, "tests/swept")) >= 2

    assert ended_at(begun, SIGKILL, stack, tmp_path, *words) == -SIGKILL
    done = lawtags(stack, tmp_path, *words, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # Four combinations with 1 step, two with 2, one with 4.
    assert [(trial["rung"], trial["steps"]) for trial in found["trials"]] == [
        (3, 4), (2, 2), (2, 2), (1, 1), (1, 1), (1, 1), (1, 1),
    ]  # fmt: skip
    jobs = jobs_of(stack, "tests/swept")
    assert len(jobs) == 7
    assert {trial["job"] for trial in found["trials"]} == {job["id"] for job in jobs}
    losses = [trial["val_loss"] for trial in found["trials"] if trial["rung"] == 2]
    assert losses == sorted(losses)
    again = lawtags(stack, tmp_path, *words, "--budget", "5", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["left_out"] == 2
    assert len(jobs_of(stack, "tests/swept")) == 7


def test_a_budget_below_one_training_is_refused(stack: StackThread, questions: Path, tmp_path: Path) -> None:
    recipe = write_recipe(
        tmp_path,
        name="poor",
        model=RECIPE["model"] | {"output": "tests/poor"},  # type: ignore[operator]
        training={"epochs": 1, "batch_size": 8, "max_steps": 4},
    )
    words = ["sweep", recipe, "--data", questions, "--over", "learning_rate=1e-3,1e-2", "--budget", "3"]
    done = lawtags(stack, tmp_path, *words)
    assert done.returncode == 2
    assert "--budget 3 is less than one training needs" in done.stderr and "4 steps" in done.stderr
    assert not jobs_of(stack, "tests/poor")


def test_models_and_prompts_are_ranked_by_the_tags_that_they_give(
    stack: StackThread, questions: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(
        tmp_path,
        name="models",
        model=RECIPE["model"] | {"output": "tests/models"},  # type: ignore[operator]
        training={"epochs": 1, "batch_size": 8, "max_steps": 2, "log_every_n_steps": 1},
    )
    words = ["sweep", recipe, "--data", questions, "--over", f"config={BASE}@v1.0.0+cpu,{OTHER}@v1.0.0+cpu"]
    words += ["style.order=random,sorted"]
    done = lawtags(stack, tmp_path, *words, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["measure"] == "val_f1"
    trials = found["trials"]
    assert {
        (trial["values"]["model.config"], trial["values"]["curation.style.order"]) for trial in trials
    } == {(f"{model}@v1.0.0+cpu", order) for model in (BASE, OTHER) for order in ("random", "sorted")}
    figures = [trial["val_f1"] for trial in trials]
    assert figures == sorted(figures, reverse=True)
    jobs = jobs_of(stack, "tests/models")
    assert {job["id"] for job in jobs} == {trial["job"] for trial in trials}
    # Rows with their tags in another order are another data set.
    assert len({job["dataset"] for job in jobs}) == 2
    again = lawtags(stack, tmp_path, *words)
    assert again.returncode == 0, again.stderr
    assert "validation micro F1" in again.stdout
    assert len(jobs_of(stack, "tests/models")) == 4
    assert not list((tmp_path / "runs" / "sweeps" / "models").rglob("predictions-*"))


def test_the_same_job_is_not_paid_for_twice(stack: StackThread, questions: Path, tmp_path: Path) -> None:
    recipe = write_recipe(
        tmp_path,
        name="same",
        model=RECIPE["model"] | {"output": "tests/same"},  # type: ignore[operator]
    )
    words = ["sweep", recipe, "--data", questions, "--over"]
    refused = lawtags(stack, tmp_path, *words, "max_steps=5000,6000", "--name", "long")
    assert refused.returncode == 2
    assert "are the same job of" in refused.stderr
    refused = lawtags(stack, tmp_path, *words, "precision=bf16,fp32", "--name", "fixed")
    assert refused.returncode == 2
    assert "precision cannot be swept on this platform" in refused.stderr
    assert jobs_of(stack, "tests/same") == []
