"""A whole run on NVIDIA's platform gives the figures that it gives on the v1 microservices."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from recipe_runs import BASE, LAWTAGS, counted_by, environment, write_recipe
from shared_launcher import shared_launcher

from lawtags_client import sample
from lawtags_client.helix.client import Helix
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

from .conftest import OWN_TASKS, PATIENCE, URL, RunnerProcess

_WAIT = {"training": PATIENCE, "served": PATIENCE, "evaluation": PATIENCE}


@pytest.mark.skipif(not OWN_TASKS, reason="evaluations are child processes of the platform")
async def test_a_run_has_the_figures_of_v1(
    helix: Helix, base: str, tiny_model: Path, start_runner: Callable[..., RunnerProcess], tmp_path: Path
) -> None:
    start_runner("runner", "--serve", base)
    changes = counted_by(tiny_model)
    recipe = write_recipe(tmp_path, **changes, wait=_WAIT)
    on_helix = _migrated(tmp_path, recipe, helix.workspace)
    questions = _questions(tmp_path)
    with _v1(tmp_path, tiny_model) as stack:
        first = await asyncio.to_thread(_run, tmp_path / "v1", environment(stack), recipe, questions)
    platform = {**os.environ, "LAWTAGS_PLATFORM_URL": URL, "LAWTAGS_DIALECT": "helix"}
    second = await asyncio.to_thread(_run, tmp_path / "helix", platform, on_helix, questions)
    expected, found = dict(_figures(first["systems"])), dict(_figures(second["systems"]))
    print(f"{'':50} {'v1':>10} {'Helix':>10}")
    for name in expected:
        if name.endswith(("micro_f1", "macro_f1")):
            print(f"{name:50} {expected[name]:10.6f} {found.get(name, float('nan')):10.6f}")
    print(f"NVIDIA's evaluator: {second['platform']['scores']}")
    assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert {"tags.em", "tags.contains", "tags.micro_f1"} <= {
        name.removesuffix(".score") for name in second["platform"]["scores"]
    }
    for system in ("tuned", "base", "tagger"):
        answers = [_answers(tmp_path / side / "runs" / "same", system) for side in ("v1", "helix")]
        assert answers[1].keys() == answers[0].keys()
        for question, (tags, scores) in answers[0].items():
            assert answers[1][question] == (tags, pytest.approx(scores, abs=1e-6))


def _v1(folder: Path, model: Path) -> StackThread:
    options = StackOptions(
        refresh_interval=0.2, base_models={BASE: model}, training_threads=1, inference_threads=1
    )
    return StackThread(folder / "stack", options=options, launcher=shared_launcher())


def _migrated(folder: Path, recipe: Path, workspace: str) -> Path:
    """The recipe as it is on Helix, with the names of this test."""
    path = folder / "helix.yaml"
    words = ["migrate", str(recipe), "--to", "helix", "--out", str(path)]
    subprocess.run([LAWTAGS, *words], check=True, stdout=subprocess.DEVNULL)
    found = yaml.safe_load(path.read_text("utf-8"))
    found["model"] |= {"config": f"{workspace}/tiny@helix", "output": f"{workspace}/tagger"}
    found["dataset"]["name"] = f"{workspace}/questions"
    path.write_text(yaml.safe_dump(found))
    return path


def _questions(folder: Path) -> Path:
    path = folder / "questions.jsonl"
    with sample.path().open(encoding="utf-8") as source:
        path.write_text("".join(next(source) for _ in range(160)), encoding="utf-8")
    return path


def _run(folder: Path, settings: dict[str, str], recipe: Path, questions: Path) -> Any:
    folder.mkdir()
    words = ["run", str(recipe), "--data", str(questions), "--name", "same"]
    done = subprocess.run([LAWTAGS, *words], cwd=folder, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "runs" / "same" / "metrics.json").read_text("utf-8"))


def _figures(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a document, by its place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _figures(inner, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _figures(inner, f"{name}.{number}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, float(value)


def _answers(run: Path, system: str) -> dict[str, tuple[list[str], dict[str, float]]]:
    """Tags and probabilities by question."""
    rows = map(json.loads, (run / f"predictions-{system}.jsonl").read_text("utf-8").splitlines())
    return {row["id"]: (row["tags"], row["scores"]) for row in rows}
