"""Runs keep what they were made from; other inputs are told apart and named."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

import pytest
from made_run import RECIPE, make_run

from lawtags_client.errors import ConfigurationError, RunInputsError
from lawtags_client.platform import Platform
from lawtags_client.runs.identity import RunInputs, differences, inputs_of, recorded_inputs
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.naming import checked_name, fitting_run, matching_run, next_run, plan_folder
from lawtags_client.runs.outputs import StageOutput
from lawtags_client.runs.planned import take_over_curation
from lawtags_client.runs.progress import LoggedProgress
from lawtags_client.runs.recipe import merged, parse_recipe
from lawtags_client.runs.run import execute
from lawtags_client.runs.run_request import OnNameTaken, RunRequest
from lawtags_client.runs.stage import RunContext, Stage

SERVICES = {"customizer": "https://nemo.example.com"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained(StageOutput):
    """What the stage here leaves."""

    made_from: str


class Training:
    """A stage that leaves what a training does, or fails."""

    name = "customize"
    version = 1
    leaves = Trained

    def __init__(self) -> None:
        self.fails: Exception | None = None

    def inputs(self, context: RunContext) -> dict[str, Any]:
        return {}

    async def run(self, context: RunContext) -> Trained:
        if self.fails is not None:
            raise self.fails
        return Trained(made_from=Path(context.data[0]).read_text())


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


async def go(folder: Path, data: Path, **changes: Any) -> Any:
    options = {
        "test": None,
        "services": SERVICES,
        "steps": [cast(Stage, Training())],
        "recipe": parse_recipe(merged(RECIPE, changes.pop("recipe", {}))),
    }
    return await execute(
        folder=folder,
        data=[str(data)],
        platform=cast(Platform, None),
        progress=LoggedProgress(),
        **options | changes,
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"recipe": {"training": {"epochs": 3}}}, "training.epochs: 1 -> 3"),
        ({"recipe": {"gates": [{"at_least": 0.5}]}}, "gates"),
        ({"recipe": {"curation": {"style": {"max_tokens": 9}}}}, "curation"),
        ({"services": {"customizer": "https://other.example.com"}}, "address of customizer"),
        ({"services": {**SERVICES, "inference": "https://nim.example.com"}}, "address of inference: none ->"),
    ],
    ids=["training", "gates", "curation", "address", "another service"],
)
async def test_a_run_with_results_rejects_changed_inputs_and_names_them(
    tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    data = write(tmp_path / "data.jsonl", "one")
    done = await go(tmp_path / "run", data)
    ledger = Ledger(tmp_path / "run" / "ledger.sqlite")
    facts = {name: ledger.fact(name) for name in ("recipe", "data", "test", "profile", "inputs")}
    with pytest.raises(RunInputsError) as caught:
        await go(tmp_path / "run", data, profile="other", **change)
    assert caught.value.exit_code == 2
    assert any(named in line for line in caught.value.differences)
    assert named in str(caught.value)
    assert "--new" in (caught.value.hint or "")
    assert facts == {name: ledger.fact(name) for name in facts}
    assert (await go(tmp_path / "run", data)).outputs == done.outputs


@pytest.mark.parametrize("part", ["data", "test"])
async def test_other_content_of_the_same_file_is_another_input(tmp_path: Path, part: str) -> None:
    data, test = write(tmp_path / "data.jsonl", "one"), write(tmp_path / "test.jsonl", "one")
    await go(tmp_path / "run", data, test=test)
    write(tmp_path / f"{part}.jsonl", "two")
    with pytest.raises(RunInputsError, match=rf"{part}: {part}\.jsonl \(3 bytes, sha256 .* -> "):
        await go(tmp_path / "run", data, test=test)
    write(tmp_path / f"{part}.jsonl", "one")
    # The same content in another folder is the same input.
    moved = write(tmp_path / "elsewhere" / "data.jsonl", "one")
    assert (await go(tmp_path / "run", moved, test=test)).redone == ()


async def test_what_changes_no_result_is_no_other_input(tmp_path: Path) -> None:
    data = write(tmp_path / "data.jsonl", "one")
    await go(tmp_path / "run", data)
    changes = {"wait": {"training": 5}, "retriever": {"threads": 7}, "description": "For people."}
    again = await go(tmp_path / "run", data, profile="of another name", recipe=changes)
    assert again.redone == ()


async def test_a_run_without_results_accepts_changed_inputs_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data, stage = write(tmp_path / "data.jsonl", "one"), Training()
    stage.fails = ConfigurationError("no")
    with pytest.raises(ConfigurationError):
        await go(tmp_path / "run", data, steps=[stage])
    write(data, "two")
    stage.fails = None
    with caplog.at_level("INFO", logger="lawtags.run"):
        done = await go(tmp_path / "run", data, steps=[stage])
    assert done.left(Trained).made_from == "two"
    assert "data.jsonl" in caplog.text


async def test_a_training_that_may_be_running_gets_no_changed_inputs(tmp_path: Path) -> None:
    data, stage = write(tmp_path / "data.jsonl", "one"), Training()
    stage.fails = TimeoutError("no answer any more")
    with pytest.raises(TimeoutError):
        await go(tmp_path / "run", data, steps=[stage])
    write(data, "two")
    with pytest.raises(RunInputsError):
        await go(tmp_path / "run", data, steps=[stage])


def test_neither_secrets_nor_credentials_are_in_the_inputs_and_a_changed_key_is_told(tmp_path: Path) -> None:
    data = [str(write(tmp_path / "data.jsonl", "one"))]

    def inputs(key: str) -> RunInputs:
        pii = {"curation": {"pii": {"action": "hash", "key": key}}}
        services = {"customizer": "https://me:canary@nemo.example.com/x/?key=canary"}
        return inputs_of(parse_recipe(merged(RECIPE, pii)), data, None, services, run_id="1")

    assert "canary" not in json.dumps(inputs("canary").as_json())
    assert inputs("canary").services == {"customizer": "https://nemo.example.com/x"}
    (line,) = differences(inputs("canary"), inputs("other"))
    assert line.startswith("pii.key")


def test_runs_of_older_releases_are_compared_by_what_they_recorded(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    ledger = Ledger(folder / "ledger.sqlite")
    # A release that knew fewer keys.
    recipe = ledger.fact("recipe")
    del recipe["retriever"], recipe["training"]["seed"]
    ledger.set_fact("recipe", recipe)
    known = recorded_inputs(ledger, folder)
    assert known is not None
    data = [str(write(tmp_path / "data.jsonl", "one"))]
    same = inputs_of(parse_recipe(RECIPE), data, None, SERVICES, run_id="1")
    assert differences(known, same) == []
    other = inputs_of(parse_recipe(merged(RECIPE, {"training": {"seed": 1}})), data, None, None, run_id="1")
    assert differences(known, other) == ["training.seed: 42 -> 1"]


async def test_the_next_run_has_the_next_number_and_one_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    data = write(tmp_path / "data.jsonl", "one")
    recipe = parse_recipe(RECIPE)

    def inputs(ledger: Ledger) -> dict[str, Any]:
        return inputs_of(recipe, [str(data)], None, SERVICES, run_id=str(ledger.fact("run_id")))

    assert next_run(tmp_path, "demo", inputs) == tmp_path / "demo"
    await go(tmp_path / "demo", data)
    assert next_run(tmp_path, "demo", inputs) == tmp_path / "demo", "interrupted"
    report = Ledger(tmp_path / "demo" / "ledger.sqlite")
    report.begin("report", "digest")
    report.finish("report", {})
    assert next_run(tmp_path, "demo", inputs) == tmp_path / "demo-2"
    (tmp_path / "demo-2").mkdir()
    assert next_run(tmp_path, "demo", inputs) == tmp_path / "demo-3"
    assert (
        matching_run(tmp_path, "demo", inputs) == fitting_run(tmp_path, "demo", inputs) == tmp_path / "demo"
    )
    write(data, "two")
    assert matching_run(tmp_path, "demo", inputs) is None
    assert fitting_run(tmp_path, "demo", inputs) == tmp_path / "demo-3"
    await go(tmp_path / "demo-3", data)
    assert fitting_run(tmp_path, "demo", inputs) == tmp_path / "demo-3"
    write(data, "one")
    assert fitting_run(tmp_path, "demo", inputs) == tmp_path / "demo"


async def test_a_run_takes_over_what_its_plan_has_curated_and_nothing_else(tmp_path: Path) -> None:
    plan, run = tmp_path / "plans" / "demo", tmp_path / "demo"
    take_over_curation(plan, run)
    assert not run.exists()
    ledger = Ledger(plan / "ledger.sqlite")
    ledger.begin("curate", "digest")
    rows = write(plan / "curated" / "rows.jsonl", "rows")
    take_over_curation(plan, run)
    assert not run.exists(), "the plan is not curated yet"
    ledger.finish("curate", {"files": {"curated/rows.jsonl": "sha"}}, code="0.1/1")
    take_over_curation(plan, run)
    assert (run / "curated" / "rows.jsonl").read_text() == rows.read_text()
    known = Ledger(run / "ledger.sqlite").finished("curate")
    assert known is not None
    assert (known.digest, known.code) == ("digest", "0.1/1")
    write(rows, "others")
    take_over_curation(plan, run)
    assert (run / "curated" / "rows.jsonl").read_text() == "rows"


def test_the_folder_of_plans_is_no_name_of_a_run(tmp_path: Path) -> None:
    assert plan_folder(tmp_path, "demo") == tmp_path / "plans" / "demo"
    for name in ("plans", "../x", "", "a/b"):
        with pytest.raises(ConfigurationError):
            checked_name(name)


async def test_a_run_without_a_name_has_a_dated_one_and_resumes_on_any_day(tmp_path: Path) -> None:
    data, runs = write(tmp_path / "data.jsonl", "one"), tmp_path / "runs"
    recipe = parse_recipe(RECIPE)

    def wanted(day: int, name: str | None = None) -> RunRequest:
        today = date(2026, 11, day)
        return RunRequest.of(recipe, data=[str(data)], test=None, name=name, runs=runs, today=today)

    refuse, new = OnNameTaken.REFUSE, OnNameTaken.START_NEXT
    first = wanted(27).chosen_folder(refuse)
    assert first == runs / "small-2026-11-27"
    await go(first, data, services=None)
    assert wanted(28).chosen_folder(refuse) == first
    assert wanted(28).chosen_folder(new) == first, "interrupted"
    report = Ledger(first / "ledger.sqlite")
    report.begin("report", "digest")
    report.finish("report", {})
    assert wanted(28).chosen_folder(refuse) == first
    assert wanted(28).chosen_folder(new) == runs / "small-2026-11-28"
    assert wanted(27).chosen_folder(new) == runs / "small-2026-11-27-2"
    write(data, "two")
    assert wanted(28).chosen_folder(refuse) == runs / "small-2026-11-28"
    # On the same day the name is taken, and what differs is said.
    assert wanted(27).chosen_folder(refuse) == first
    with pytest.raises(RunInputsError, match="data"):
        await go(first, data, services=None)
    assert wanted(28).plan == runs / "plans" / "small"
    assert wanted(28, "mine").plan == runs / "plans" / "mine"
    with pytest.raises(ConfigurationError, match="no questions were passed"):
        RunRequest.of(recipe, data=None, test=None, name=None, runs=runs)
