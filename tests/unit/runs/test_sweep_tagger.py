"""Sweeps over what this machine fits, and over what no two combinations may disagree on."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from tiny_models import make_encoder

from lawtags_client.errors import ConfigurationError, RunInputsError
from lawtags_client.platform import Platform
from lawtags_client.runs.progress import LoggedProgress, Progress
from lawtags_client.runs.recipe import parse_recipe
from lawtags_client.runs.stage import RunContext
from lawtags_client.runs.sweeping.dimensions import parse_dimensions
from lawtags_client.runs.sweeping.grid import points_of
from lawtags_client.runs.sweeping.result import SweepResult
from lawtags_client.runs.sweeping.scoring import ScoreTagger
from lawtags_client.runs.sweeping.sweep import Sweep, SweepOptions
from lawtags_client.runs.sweeping.sweep_progress import CuratingProgress, PlanningProgress

pytest.importorskip("scipy")
pytest.importorskip("nemo_curator")

KINDS = [("lease", "tenancy"), ("patent", "ip"), ("visa", "immigration")]
RECIPE: dict[str, Any] = {
    "schema_version": 1,
    "name": "swept",
    "model": {"config": "ns/model@v1"},
    "curation": {
        "pii": {"entities": ["URL"]},
        "filters": {"min_words": 0},
        "split": {"training": 0.6, "validation": 0.2, "testing": 0.2},
    },
    "retriever": {"encoder": "none", "threads": 1, "folds": 2},
    "encoder": {"tune": "off"},
}


@contextlib.asynccontextmanager
async def nothing(folder: Path) -> AsyncIterator[Platform]:
    """No platform: what is fitted on this machine needs none."""
    yield cast(Platform, None)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAWTAGS_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "data.jsonl"
    rows = [
        {
            "id": str(number),
            "title": f"Is the {KINDS[number % 3][0]} {number} legal?",
            "body": f"See https://example.com/{KINDS[number % 3][0]} for the case number {number}.",
            "tags": [KINDS[number % 3][1], *(["other"] if number % 7 == 0 else [])],
        }
        for number in range(60)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


async def swept(
    folder: Path, data: Path, *words: str, progress: Progress | None = None, **changes: Any
) -> SweepResult:
    points = points_of(parse_dimensions(words))
    return await Sweep(
        folder,
        parse_recipe(RECIPE | changes),
        [str(data)],
        None,
        points,
        SweepOptions(concurrency=2),
        nothing,
        progress or LoggedProgress(),
    ).run()


async def test_retriever_and_encoder_are_ranked_without_a_platform_and_resumed(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = make_encoder(tmp_path / "tiny")
    words = (f"retriever.encoder=none,{encoder}", "seed=1,2")
    done = await swept(tmp_path / "sweep", data, *words)
    assert (done.measure, done.steps, len(done.trials)) == ("val_f1", 0, 4)
    ranked = done.ranked()
    assert [seeds for *_, seeds in ranked] == [2, 2]
    assert ranked[0][2] is not None
    # Each kind of question has a word of its own, which every retriever finds.
    assert ranked[0][2] > 0.5
    assert done.best
    assert done.best[0].model is None
    assert json.loads((tmp_path / "sweep" / "sweep.json").read_text())["measure"] == "val_f1"

    async def fail(self: ScoreTagger, context: RunContext) -> Any:
        raise AssertionError("it was fitted again")

    monkeypatch.setattr(ScoreTagger, "run", fail)
    assert await swept(tmp_path / "sweep", data, *words) == done


async def test_a_tuned_encoder_is_part_of_what_is_ranked(tmp_path: Path, data: Path) -> None:
    encoder = str(make_encoder(tmp_path / "tiny"))
    changes = {
        "retriever": RECIPE["retriever"] | {"encoder": encoder},
        "encoder": {"epochs": 1, "max_tokens": 16},
    }
    done = await swept(tmp_path / "sweep", data, "encoder.tune=auto,off", **changes)
    assert {trial.values["encoder.tune"] for trial in done.trials} == {"auto", "off"}
    assert all(trial.val_f1 is not None for trial in done.trials)
    tuned = next(trial for trial in done.trials if trial.values["encoder.tune"] == "auto")
    assert (tmp_path / "sweep" / "trials" / tuned.run / "encoder").is_dir()


async def test_combinations_with_other_validation_rows_are_refused_before_anything_is_fitted(
    tmp_path: Path, data: Path
) -> None:
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    # Without the address, every second question is a duplicate.
    for row in rows:
        number = int(row["id"])
        row["title"] = f"Is the {KINDS[number // 2 % 3][0]} {number // 2} of x{number}@example.com legal?"
        row["body"] = f"Mail x{number}@example.com for the case number {number // 2}."
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ConfigurationError, match=r"and entities=.* cannot be compared") as caught:
        await swept(tmp_path / "sweep", data, "pii.entities=[URL],[EMAIL_ADDRESS]", "retriever.folds=3,5")
    assert "runs compare" in str(caught.value.hint)
    assert not (tmp_path / "sweep" / "trials").exists()


async def test_a_sweep_of_other_data_is_refused_in_its_own_words(tmp_path: Path, data: Path) -> None:
    await swept(tmp_path / "sweep", data, "retriever.folds=2,3")
    with data.open("a") as file:
        file.write(json.dumps({"id": "new", "title": "May I sublet the lease?", "tags": ["tenancy"]}) + "\n")
    with pytest.raises(RunInputsError, match="sweep 'sweep': ") as caught:
        await swept(tmp_path / "sweep", data, "retriever.folds=2,3")
    assert caught.value.hint == "Choose another name for the sweep with --name."


async def test_an_encoder_that_cannot_be_used_is_refused_before_anything_is_fitted(
    tmp_path: Path, data: Path
) -> None:
    with pytest.raises(ConfigurationError):
        await swept(tmp_path / "sweep", data, f"retriever.encoder=none,{tmp_path / 'missing'}")
    assert not (tmp_path / "sweep").exists()


async def test_a_combination_that_cannot_be_fitted_leaves_the_others_their_figures(
    tmp_path: Path, data: Path
) -> None:
    done = await swept(tmp_path / "sweep", data, "retriever.folds=2,500")
    assert [trial.values["retriever.folds"] for trial in done.trials] == [2, 500]
    assert [trial.problem is None for trial in done.trials] == [True, False]
    assert "500 folds" in str(done.trials[1].problem)


class Heard(LoggedProgress):
    """Keeps what a terminal would show."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def stage(self, name: str, number: int, total: int) -> None:
        self.lines.append(name)

    def skipped(self, name: str, number: int, total: int) -> None:
        self.lines.append(f"{name}: done before")

    def note(self, text: str) -> None:
        self.lines.append(text)

    def finished(self, name: str, seconds: float, summary: Mapping[str, object]) -> None:
        self.lines.append(f"{name} done")


async def test_each_line_of_a_trial_says_of_which_one_it_is(tmp_path: Path, data: Path) -> None:
    words, heard = ("retriever.folds=2,3",), Heard()
    await swept(tmp_path / "sweep", data, *words, progress=heard)
    begun = heard.lines.index("curate done") + 1
    assert all(line.startswith(("folds=2: ", "folds=3: ")) for line in heard.lines[begun:])
    again = Heard()
    await swept(tmp_path / "sweep", data, *words, progress=again)
    assert [line for line in again.lines if "micro F1" not in line] == ["curate: done before"]


def test_what_plans_of_several_trials_say_alike_is_told_once() -> None:
    heard, told = Heard(), set[str]()
    CuratingProgress(heard, told).note("rows are few")
    plans = PlanningProgress(heard, told)
    for found in ("prompts are cut", "rows are few", "a last step with 1 row", "prompts are cut"):
        plans.stage("plan", 2, 2)
        plans.note(found)
        plans.finished("plan", 0.1, {})
    assert heard.lines == ["rows are few", "prompts are cut", "a last step with 1 row"]
