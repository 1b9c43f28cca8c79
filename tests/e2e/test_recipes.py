"""What a recipe asks for: a plan, and rows in the form of chats."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from recipe_runs import RECIPE, jobs_of, lawtags, same_answers, write_recipe
from tiny_models import make_encoder

from lawtags_stack.stack import StackThread

pytestmark = pytest.mark.slow


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
    kept = json.loads((tmp_path / "runs" / "plans" / "tiny" / "plan.json").read_text())
    assert {name: told[name] for name in kept} == kept
    assert [token["loss"] for token in told["row"]["tokens"] or [{"loss": True}]][-1]
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
        retriever={"encoder": str(make_encoder(tmp_path / "encoder"))},
    )
    command = ["run", recipe, "--data", data, "--test", tested, "--name", "chats", "--json"]
    done = lawtags(stack, tmp_path, *command)
    assert done.returncode == 0, done.stderr
    curated = tmp_path / "runs" / "chats" / "curated"

    def ids(part: str) -> set[str]:
        rows = (curated / "questions" / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
        return {str(json.loads(row)["id"]) for row in rows}

    given = {str(json.loads(line)["question_id"]) for line in lines[:40]}
    assert ids("testing") <= given
    assert not (ids("training") | ids("validation")) & given
    assert json.loads(done.stdout)["test_rows"] == len(ids("testing")) > 10
    assert "retriever: with sentence embeddings by encoder" in (curated.parent / "model-card.md").read_text()
    row = json.loads((curated / "training" / "training.jsonl").read_text().splitlines()[0])
    assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
    # Data and test file are known from before.
    again = lawtags(stack, tmp_path, "runs", "redo", "cha", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["redone"] == []
    tagged = lawtags(stack, tmp_path, "tag", "--title", "May I copy a map?", "--run", "chats")
    assert tagged.returncode == 0, tagged.stderr
    assert tagged.stdout.strip()
    assert same_answers(stack, tmp_path, "chats", tested) == len(ids("testing"))
