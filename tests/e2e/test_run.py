"""A whole run through the command line, against an embedded stack that trains a tiny random model."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tiny_models import make_model

from lawtags_client import sample
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

pytestmark = pytest.mark.slow

BASE = "tests/tiny"
LAWTAGS = Path(sys.executable).with_name("lawtags")
SECRET = "canary-3f9d1c"
RECIPE = {
    "schema_version": 1,
    "name": "tiny",
    "model": {"config": f"{BASE}@v1.0.0+cpu", "output": "tests/tagger"},
    "dataset": {"name": "tests/questions"},
    # Names are not looked for: that takes a minute, and has tests of its own.
    # The tiny model takes 512 of its tokens, which are shorter than those of the estimate.
    "curation": {"pii": {"entities": ["EMAIL_ADDRESS", "URL"]}, "style": {"max_tokens": 130}},
    "training": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "max_steps": 6, "log_every_n_steps": 1},
    "evaluation": {"bootstrap": 100, "platform_rows": 4},
    "wait": {"training": 300, "served": 60, "evaluation": 120},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the base model."""
    return make_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def stack(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    options = StackOptions(refresh_interval=0.2, base_models={BASE: base})
    with StackThread(tmp_path_factory.mktemp("e2e") / "stack", options=options) as running:
        yield running


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the bundled sample, enough for every part of the split."""
    path = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    with sample.path().open(encoding="utf-8") as source:
        lines = [next(source) for _ in range(220)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def environment(stack: StackThread) -> dict[str, str]:
    return os.environ | {
        "LAWTAGS_PLATFORM_URL": stack.platform_url,
        "LAWTAGS_DATA_STORE_URL": stack.data_store_url,
        "LAWTAGS_INFERENCE_URL": stack.inference_url,
        "LAWTAGS_TOKEN": SECRET,
    }


def write_recipe(folder: Path, **changes: Any) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE | changes))
    return path


def lawtags(stack: StackThread, folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LAWTAGS, *words], cwd=folder, env=environment(stack), capture_output=True, text=True, timeout=400
    )


def content_of(folder: Path) -> dict[Path, bytes]:
    """All files of a folder, without what locks and SQLite write by themselves."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path: path.read_bytes() for path in files if path.name != "lock" and "ledger.sqlite" not in path.name
    }


def jobs_of(stack: StackThread, model: str) -> list[dict[str, Any]]:
    listed = httpx.get(f"{stack.platform_url}/v1/customization/jobs", params={"page_size": 100}).json()[
        "data"
    ]
    return [job for job in listed if (job["output_model"] or "").startswith(f"{model}@")]


def test_a_plan_shows_the_job_and_leaves_the_platform_alone(
    stack: StackThread, questions: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(
        tmp_path,
        model=RECIPE["model"] | {"output": "tests/planned"},  # type: ignore[operator]
        dataset={"name": "planned/questions"},
    )
    planned = lawtags(
        stack, tmp_path, "plan", recipe, "--data", questions, "--json", "--set", "training.seed=7"
    )
    assert planned.returncode == 0, planned.stderr
    told = json.loads(planned.stdout)
    assert told["hyperparameters"]["seed"] == 7
    assert told["steps"] == 6
    assert told == json.loads((tmp_path / "runs" / "plans" / "tiny" / "plan.json").read_text())
    assert not (tmp_path / "runs" / "tiny").exists()
    assert jobs_of(stack, "tests/planned") == []
    listed = httpx.get(f"{stack.platform_url}/v1/datasets", params={"filter[namespace]": "planned"}).json()
    assert listed["data"] == []
    repository = f"{stack.data_store_url}/v1/datastore/namespaces/planned"
    assert httpx.get(repository).status_code == 404


def soiled(line: str, number: int) -> str:
    """A raw row of a source: markup, personal data, and more text than a prompt holds."""
    row = json.loads(line)
    kinds = (
        "<p>{body}</p><p>Write to <b>me{n}@example.com</b> &amp; see <a href='https://example.com/{n}'>this</a></p>",
        "{body} " * 12 + "Mail me{n}@example.com.",
        "**{body}**\n\n> as I said under 17 U.S.C. sec. {n}\n\nhttps://example.com/{n}",
    )
    row["body"] = kinds[number % len(kinds)].format(body=row.get("body") or "Nothing", n=number)
    return json.dumps(row) + "\n"


def answers_of(path: Path) -> dict[str, Any]:
    """Tags and scores by question."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return {row["id"]: (row["tags"], row["scores"], row["error"], row["held"]) for row in rows}


def same_answers(stack: StackThread, folder: Path, run: str, raw: Path) -> int:
    """Tag a run's raw rows; they get what the run said of its test rows. Returns how many these are."""
    out = folder / f"{run}-again.jsonl"
    tagged = lawtags(stack, folder, "tag", raw, "--out", out, "--run", run)
    assert tagged.returncode == 0, tagged.stderr
    judged = answers_of(folder / "runs" / run / "predictions-tagger.jsonl")
    again = answers_of(out)
    assert {question: again[question] for question in judged} == judged
    return len(judged)


def test_a_run_on_chats_scores_the_test_file_alone(
    stack: StackThread, base: Path, questions: Path, tmp_path: Path
) -> None:
    lines = questions.read_text(encoding="utf-8").splitlines(keepends=True)
    lines = [soiled(line, number) if number < 40 else line for number, line in enumerate(lines)]
    tested, data = tmp_path / "test.jsonl", tmp_path / "data.jsonl"
    tested.write_text("".join(lines[:40]), encoding="utf-8")
    data.write_text("".join(lines), encoding="utf-8")
    recipe = write_recipe(
        tmp_path,
        name="chats",
        model=RECIPE["model"] | {"output": "tests/chats", "tokenizer": str(base)},  # type: ignore[operator]
        curation=RECIPE["curation"]  # type: ignore[operator]
        | {"format": "messages", "style": {"max_tokens": 64, "shortlist": 3}},
    )
    done = lawtags(stack, tmp_path, "run", recipe, "--data", data, "--test", tested, "--json")
    assert done.returncode == 0, done.stderr
    curated = tmp_path / "runs" / "chats" / "curated"

    def ids(part: str) -> set[str]:
        rows = (curated / "questions" / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
        return {str(json.loads(row)["id"]) for row in rows}

    given = {str(json.loads(line)["question_id"]) for line in lines[:40]}
    assert ids("testing") <= given
    assert not (ids("training") | ids("validation")) & given
    assert json.loads(done.stdout)["test_rows"] == len(ids("testing")) > 10
    row = json.loads((curated / "training" / "training.jsonl").read_text().splitlines()[0])
    assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
    # Data and test file are known from before.
    again = lawtags(stack, tmp_path, "run", recipe, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["redone"] == []
    tagged = lawtags(stack, tmp_path, "tag", "--title", "May I copy a map?", "--run", "chats")
    assert tagged.returncode == 0, tagged.stderr
    assert tagged.stdout.strip()
    assert same_answers(stack, tmp_path, "chats", tested) == len(ids("testing"))


def counted_by(base: Path, **model: str) -> dict[str, Any]:
    """Parts of a recipe whose prompts are cut by the tokenizer of a model."""
    return {
        "model": RECIPE["model"] | {"tokenizer": str(base)} | model,  # type: ignore[operator]
        "curation": RECIPE["curation"] | {"style": {"max_tokens": 96}},  # type: ignore[operator]
    }


@pytest.fixture(scope="module")
def finished(
    stack: StackThread, base: Path, questions: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The working directory of a run that was carried to its end."""
    folder = tmp_path_factory.mktemp("work")
    recipe = write_recipe(folder, **counted_by(base))
    done = lawtags(stack, folder, "run", recipe, "--data", questions, "--json")
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
    again = lawtags(stack, finished, "run", "recipe.yaml", "--data", questions, "--json")
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
    assert "line 2" in broken["error"]
    (finished / "ask.jsonl").write_text(
        '{"title": "May I copy a map?"}\n{"title": "Three?"}\n{"title": "Is this theft?"}\n'
    )
    assert lawtags(stack, finished, "tag", "ask.jsonl", "--out", "tags.jsonl").returncode == 0
    rows = [json.loads(line) for line in (finished / "tags.jsonl").read_text().splitlines()]
    assert sorted(row["row"] for row in rows) == [0, 1, 2]
    assert all(row["error"] is None and row["tags"] for row in rows)


def test_a_gate_that_is_not_passed_ends_with_three(
    stack: StackThread, finished: Path, questions: Path
) -> None:
    told = yaml.safe_load((finished / "recipe.yaml").read_text())
    recipe = write_recipe(finished, **told | {"gates": [{"system": "tagger", "at_least": 1.1}]})
    before = content_of(finished / "runs" / "tiny")
    refused = lawtags(stack, finished, "run", recipe, "--data", questions)
    assert refused.returncode == 2
    assert "gates" in refused.stderr
    assert "--new" in refused.stderr
    ended = lawtags(stack, finished, "run", recipe, "--data", questions, "--new")
    assert ended.returncode == 3
    assert "gate not passed" in ended.stderr
    assert (finished / "runs" / "tiny-2" / "report.html").exists()
    assert content_of(finished / "runs" / "tiny") == before
    hinted = lawtags(stack, finished, "run", recipe, "--data", questions)
    assert "--name tiny-2" in hinted.stderr


@pytest.mark.parametrize(
    ("moment", "end"), [("submitted", signal.SIGTERM), ("stepping", signal.SIGKILL)], ids=str
)
def test_a_run_ended_in_training_goes_on_with_its_one_job(
    stack: StackThread, questions: Path, tmp_path: Path, moment: str, end: signal.Signals
) -> None:
    model = f"tests/killed-{moment}"
    recipe = write_recipe(
        tmp_path,
        model=RECIPE["model"] | {"output": model},  # type: ignore[operator]
        training=RECIPE["training"] | {"max_steps": 40, "epochs": 5},  # type: ignore[operator]
    )
    command = [LAWTAGS, "run", recipe, "--data", questions]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(stack), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 200
        while True:
            assert time.monotonic() < deadline
            assert process.poll() is None, "the run ended before it was killed"
            jobs = jobs_of(stack, model)
            if jobs and (moment == "submitted" or jobs[0]["status_details"]["steps_completed"]):
                break
            time.sleep(0.02)
        process.send_signal(end)
        assert process.wait(timeout=5) == (143 if end == signal.SIGTERM else -end)
    ended = lawtags(stack, tmp_path, "run", recipe, "--data", questions, "--json")
    assert ended.returncode == 0, ended.stderr
    (job,) = jobs_of(stack, model)
    assert job["status"] == "completed"
    redone = json.loads(ended.stdout)["redone"]
    assert "curate" not in redone
    assert "customize" in redone


def test_an_interrupted_run_says_how_to_go_on(stack: StackThread, questions: Path, tmp_path: Path) -> None:
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


MOMENTS = {
    "curating": lambda run, jobs: (run / "curated").exists(),
    "uploading": lambda run, jobs: (run / "plan.json").exists(),
    "training": lambda run, jobs: bool(jobs),
    "asking": lambda run, jobs: any(path.stat().st_size for path in run.rglob("first-tokens-*")),
    "evaluating": lambda run, jobs: (run / "predictions-tuned.jsonl").exists(),
}


def test_a_run_killed_again_and_again_gives_what_an_unbroken_one_gives(
    stack: StackThread, finished: Path, base: Path, questions: Path, tmp_path: Path
) -> None:
    model = "tests/killed-again"
    recipe = write_recipe(tmp_path, **counted_by(base, output=model))
    run = tmp_path / "runs" / "tiny"
    command = [LAWTAGS, "run", recipe, "--data", questions]
    for moment, has_come in MOMENTS.items():
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment(stack), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            deadline = time.monotonic() + 200
            while not has_come(run, jobs_of(stack, model)):
                assert time.monotonic() < deadline, moment
                assert process.poll() is None, f"the run ended before it was killed while {moment}"
                time.sleep(0.02)
            process.kill()
    ended = lawtags(stack, tmp_path, *command[1:], "--json")
    assert ended.returncode == 0, ended.stderr
    assert set(json.loads(ended.stdout)["redone"]) <= {"predict", "evaluate", "report"}
    (job,) = jobs_of(stack, model)
    assert job["status"] == "completed"
    unbroken = finished / "runs" / "tiny"
    same = [*unbroken.glob("predictions-*.jsonl"), *(unbroken / "curated").rglob("*.jsonl")]
    assert len(same) > 9
    for path in same:
        assert (run / path.relative_to(unbroken)).read_bytes() == path.read_bytes(), path
