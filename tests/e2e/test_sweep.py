"""A sweep on an embedded stack: killed, resumed, halved, and no job twice."""

from __future__ import annotations

import json
from pathlib import Path
from signal import SIGKILL

import pytest
from recipe_runs import RECIPE, ended_at, jobs_of, lawtags, write_recipe

from lawtags_stack.stack import StackThread

pytestmark = pytest.mark.slow


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
