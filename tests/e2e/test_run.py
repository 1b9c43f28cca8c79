"""A whole run through the command line, against an embedded stack that trains a tiny random model."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from recipe_runs import (
    LAWTAGS,
    SECRET,
    content_of,
    counted_by,
    ended_at,
    environment,
    jobs_of,
    lawtags,
    same_answers,
    write_recipe,
)

from lawtags_stack.stack import StackThread

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(
    stack: StackThread, base: Path, questions: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The working directory of a run that was carried to its end."""
    folder = tmp_path_factory.mktemp("work")
    recipe = write_recipe(folder, **counted_by(base))
    done = lawtags(stack, folder, "run", recipe, "--data", questions, "--name", "tiny", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["systems"].keys() == {"tagger", "tuned", "base", "retriever", "tfidf", "most_frequent"}
    return folder


def test_a_run_leaves_all_that_it_promises(finished: Path) -> None:
    run = finished / "runs" / "tiny"
    metrics = json.loads((run / "metrics.json").read_text())
    rows = len((run / "curated" / "testing" / "testing.jsonl").read_text().splitlines())
    assert metrics["test_rows"] == rows > 0
    assert metrics["platform"]["scores"]
    cost = metrics["language_model"]["training"]
    assert cost["price"] == pytest.approx(cost["seconds"] * 0.36 / 3600)
    assert " EUR)" in metrics["language_model"]["sentence"]
    page = (run / "report.html").read_text()
    assert not re.search(r"""(src|href)\s*=\s*["']?http|url\(\s*["']?http|@import""", page), "needs a network"
    assert "<svg" in page
    card = (run / "model-card.md").read_text()
    assert card.startswith("---\nbase_model: tests/tiny\n")
    assert "CC0-1.0" in card
    assert list((run / "tensorboard").iterdir())
    for system in metrics["systems"]:
        assert len((run / f"predictions-{system}.jsonl").read_text().splitlines()) == rows


def test_the_card_and_the_tagger_travel_with_the_model(stack: StackThread, finished: Path) -> None:
    base = f"{stack.data_store_url}/v1/hf/tests/tagger/resolve/main"
    assert httpx.get(f"{base}/README.md").text == (finished / "runs/tiny/model-card.md").read_text()
    assert httpx.get(f"{base}/tagger/tagger.json").status_code == 200


def test_the_same_command_again_redoes_nothing(stack: StackThread, finished: Path, questions: Path) -> None:
    again = lawtags(stack, finished, "run", "recipe.yaml", "--data", questions, "--name", "tiny", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["redone"] == []


def test_no_secret_is_written_anywhere(finished: Path) -> None:
    for path in finished.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_raw_rows_are_tagged_as_the_run_was_judged(
    stack: StackThread, finished: Path, questions: Path
) -> None:
    cut = json.loads((finished / "runs" / "tiny" / "curated" / "curation.json").read_text())["prompts"]["cut"]
    assert cut > 50
    assert same_answers(stack, finished, "tiny", questions) > 10


def test_a_question_is_tagged_by_the_latest_run(stack: StackThread, finished: Path) -> None:
    tagged = lawtags(stack, finished, "tag", "--title", "Can my landlord keep the deposit?", "--json")
    assert tagged.returncode == 0, tagged.stderr
    told = json.loads(tagged.stdout)
    assert told["tags"]
    assert set(told["tags"]) <= set(told["scores"])


def test_a_file_is_tagged_row_by_row_and_completed_later(stack: StackThread, finished: Path) -> None:
    (finished / "ask.jsonl").write_text(
        '{"title": "May I copy a map?"}\n{"title": 3}\n{"title": "Is this theft?"}\n'
    )
    first = lawtags(stack, finished, "tag", "ask.jsonl", "--out", "tags.jsonl")
    assert first.returncode == 1
    rows = [json.loads(line) for line in (finished / "tags.jsonl").read_text().splitlines()]
    assert {row["row"] for row in rows} == {0, 1, 2}
    (broken,) = [row for row in rows if row["error"]]
    assert "ask.jsonl:2: field 'title'" in broken["error"]
    (finished / "ask.jsonl").write_text(
        '{"title": "May I copy a map?"}\n{"title": "Three?"}\n{"title": "Is this theft?"}\n'
    )
    assert lawtags(stack, finished, "tag", "ask.jsonl", "--out", "tags.jsonl").returncode == 0
    rows = [json.loads(line) for line in (finished / "tags.jsonl").read_text().splitlines()]
    assert sorted(row["row"] for row in rows) == [0, 1, 2]
    assert all(row["error"] is None and row["tags"] for row in rows)


def test_a_new_run_killed_during_training_resumes_its_one_job_and_fails_its_gate(
    stack: StackThread, finished: Path, questions: Path
) -> None:
    before = content_of(finished / "runs" / "tiny")
    told = yaml.safe_load((finished / "recipe.yaml").read_text())
    gates = {"gates": [{"system": "tagger", "metric": "exact_match", "at_least": 1}]}
    recipe = write_recipe(finished, **told | gates)
    command = ["run", recipe, "--data", questions, "--name", "tiny"]
    refused = lawtags(stack, finished, *command)
    assert refused.returncode == 2
    assert "gates" in refused.stderr
    assert "--new" in refused.stderr
    model = "tests/killed"
    # Steps enough to be ended among them.
    longer = {
        "model": told["model"] | {"output": model},
        "training": told["training"] | {"max_steps": 40, "epochs": 5},
    }
    write_recipe(finished, **told | gates | longer)

    def stepping() -> bool:
        return any(job["status_details"]["steps_completed"] for job in jobs_of(stack, model))

    assert ended_at(stepping, signal.SIGKILL, stack, finished, *command, "--new") == -9
    ended = lawtags(stack, finished, *command, "--name", "tiny-2", "--json")
    assert ended.returncode == 3, ended.stderr
    assert "gate not passed" in ended.stderr
    (job,) = jobs_of(stack, model)
    assert job["status"] == "completed"
    redone = json.loads(ended.stdout)["redone"]
    assert "curate" not in redone
    assert "customize" in redone
    assert (finished / "runs" / "tiny-2" / "report.html").exists()
    assert content_of(finished / "runs" / "tiny") == before
    hinted = lawtags(stack, finished, *command)
    assert "--name tiny-2" in hinted.stderr


def test_an_interrupted_run_says_how_to_resume(stack: StackThread, questions: Path, tmp_path: Path) -> None:
    command = [LAWTAGS, "run", write_recipe(tmp_path), "--data", questions, "--name", "stopped"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(stack), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "curate" in process.stderr.readline()
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        told = process.stderr.read()
        assert process.wait(timeout=10) == 143
    assert time.monotonic() - started < 5
    assert "Repeat the command" in told


MOMENTS: dict[str, tuple[signal.Signals, Callable[[Path, list[dict[str, Any]]], bool]]] = {
    "curating": (signal.SIGKILL, lambda run, jobs: (run / "curated").exists()),
    "uploading": (signal.SIGKILL, lambda run, jobs: (run / "plan.json").exists()),
    "submitted": (signal.SIGTERM, lambda run, jobs: bool(jobs)),
    "asking": (
        signal.SIGKILL,
        lambda run, jobs: any(path.stat().st_size for path in run.rglob("first-tokens-*")),
    ),
    "evaluating": (signal.SIGKILL, lambda run, jobs: (run / "predictions-tuned.jsonl").exists()),
}


def test_a_run_killed_repeatedly_gives_the_results_of_an_uninterrupted_run(
    stack: StackThread, finished: Path, base: Path, questions: Path, tmp_path: Path
) -> None:
    model = "tests/killed-again"
    recipe = write_recipe(tmp_path, **counted_by(base, output=model))
    run = tmp_path / "runs" / "tiny"
    command = ["run", recipe, "--data", questions, "--name", "tiny"]
    for moment, (end, has_come) in MOMENTS.items():

        def come(has_come: Callable[[Path, list[dict[str, Any]]], bool] = has_come) -> bool:
            return has_come(run, jobs_of(stack, model))

        expected = 143 if end == signal.SIGTERM else -end
        assert ended_at(come, end, stack, tmp_path, *command) == expected, moment
    ended = lawtags(stack, tmp_path, *command, "--json")
    assert ended.returncode == 0, ended.stderr
    assert set(json.loads(ended.stdout)["redone"]) <= {"predict", "evaluate", "report"}
    (job,) = jobs_of(stack, model)
    assert job["status"] == "completed"
    unbroken = finished / "runs" / "tiny"
    same = [*unbroken.glob("predictions-*.jsonl"), *(unbroken / "curated").rglob("*.jsonl")]
    assert len(same) > 9
    for path in same:
        assert (run / path.relative_to(unbroken)).read_bytes() == path.read_bytes(), path


def test_a_finished_run_is_repeated_with_one_job_for_the_repeat_though_it_is_killed(
    stack: StackThread, finished: Path, base: Path, questions: Path, tmp_path: Path
) -> None:
    run = finished / "runs" / "tiny"
    metrics, model = (run / "metrics.json").read_bytes(), "tests/tagger"
    recipe = write_recipe(tmp_path, **counted_by(base))
    command = ["run", recipe, "--data", questions, "--name", "tiny", "--set", "evaluation.repeats=2"]
    command += ["--set", "evaluation.repeated_systems=all"]
    (first,) = jobs_of(stack, model)

    def submitted() -> bool:
        return len(jobs_of(stack, model)) == 2

    assert ended_at(submitted, signal.SIGKILL, stack, finished, *command) == -9
    ended = lawtags(stack, finished, *command, "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["redone"] == ["repeats", "report"]
    assert "repeat 2 of 2: " in ended.stderr
    assert len(jobs_of(stack, model)) == 2
    assert told["repeats"]["seeds"] == [42, 43]
    assert told["repeats"]["systems"].keys() == told["systems"].keys()
    for name, figures in told["repeats"]["systems"].items():
        assert figures["micro_f1"]["values"][0] == told["systems"][name]["micro_f1"]
    assert (run / "metrics.json").read_bytes() == metrics
    assert json.loads((run / "customization.json").read_text())["job"] == first["id"]
    for name in ("report.html", "model-card.md"):
        assert "Over 2 splits: " in (run / name).read_text()


def test_a_part_is_redone_as_the_next_run_and_undone_runs_leave_nothing(
    stack: StackThread, finished: Path
) -> None:
    tiny, before = finished / "runs" / "tiny", content_of(finished / "runs" / "tiny")
    redone = lawtags(
        stack,
        finished,
        "runs",
        "redo",
        "tiny",
        "--from",
        "predict",
        "--set",
        "evaluation.repeats=1",
        "--json",
    )
    assert redone.returncode == 0, redone.stderr
    told = json.loads(redone.stdout)
    assert told["redone"] == ["predict", "evaluate", "report"]
    run = finished / told["run"]
    assert content_of(tiny) == before
    assert json.loads((run / "customization.json").read_text()) == json.loads(
        (tiny / "customization.json").read_text()
    )

    def undo(name: str) -> set[tuple[str, str, str]]:
        done = lawtags(stack, finished, "runs", "undo", name, "--yes", "--json")
        assert done.returncode == 0, done.stderr
        items = json.loads(done.stdout)["items"]
        return {(each["what"], each["outcome"], each["name"]) for each in items}

    model = json.loads((tiny / "customization.json").read_text())["output_model"]
    dataset = json.loads((tiny / "upload.json").read_text())["dataset"]
    # What the first run needs stays, and so does what a redone run only took over.
    kept = undo(run.name)
    assert {("model", "kept", model), ("dataset", "kept", dataset)} <= kept
    for other in {each.name for each in run.parent.iterdir()} - {"plans", "tiny", run.name}:
        undo(other)
    removed = undo("tiny")
    gone = {("model", model), ("dataset", dataset), ("dataset repository", dataset)}
    assert gone <= {(what, name) for what, outcome, name in removed if outcome == "removed"}
    assert ("evaluation job", "removed") in {each[:2] for each in removed}
    assert ("training job", "kept") in {each[:2] for each in removed}
    listed = httpx.get(f"{stack.platform_url}/v1/models", params={"filter[namespace]": "tests"}).json()[
        "data"
    ]
    assert model not in {f"{each['namespace']}/{each['name']}" for each in listed}
    states = {row["run"]: row["state"] for row in map(json.loads, _lines(stack, finished, "runs", "ls"))}
    assert states["tiny"] == "done, undone"
    audited = lawtags(stack, finished, "jobs", "audit", "--others", "--json")
    assert audited.returncode == 0, audited.stderr
    assert json.loads(audited.stdout)["counts"]["missing"] == 0
    # Undoing once more finds nothing, and redoing needs another upload.
    assert {each[:2] for each in undo("tiny")} <= {("training job", "kept"), *((what, "absent") for what in
        ("model", "model repository", "dataset", "dataset repository"))}  # fmt: skip
    refused = lawtags(stack, finished, "runs", "redo", "tiny", "--from", "predict")
    assert refused.returncode == 2
    assert "was undone" in refused.stderr


def _lines(stack: StackThread, folder: Path, *words: str) -> list[str]:
    return lawtags(stack, folder, *words, "--json").stdout.splitlines()
