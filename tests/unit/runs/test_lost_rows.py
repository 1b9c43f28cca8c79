"""Rows that a server does not answer: told, asked for again, and never taken for answers."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from made_run import PLAN
from rich.console import Console

from lawtags_client.cli.verdict import print_verdict
from lawtags_client.errors import BadRequestError, DeadlineExceededError, RowsFailedError
from lawtags_client.platform import ModelAnswer, Platform, PromptInput
from lawtags_client.runs.gates import require_verdict
from lawtags_client.runs.metrics import read_metrics
from lawtags_client.runs.outputs import (
    CurateOutput,
    CustomizeOutput,
    EvaluateOutput,
    PlanOutput,
    ServeOutput,
    StageOutput,
)
from lawtags_client.runs.progress import LoggedProgress
from lawtags_client.runs.recipe import parse_recipe
from lawtags_client.runs.run import RunResult, execute
from lawtags_client.runs.stage import RunContext, Stage
from lawtags_client.runs.stages.baselines import Baselines
from lawtags_client.runs.stages.evaluate import Evaluate
from lawtags_client.runs.stages.predict import Predict, _without_model
from lawtags_client.runs.stages.report import Report
from lawtags_client.tagging.mix import FitReport

for package in ("sklearn", "jinja2", "matplotlib"):
    pytest.importorskip(package)

KINDS = (("copy of a song", "copyright"), ("deposit of a flat", "landlord"), ("theft of a bicycle", "theft"))
ROWS = {"training": 60, "validation": 24, "testing": 30}
RECIPE = {
    "schema_version": 1,
    "name": "small",
    "model": {"config": "ns/model@v1"},
    "evaluation": {"bootstrap": 100, "platform_rows": 0},
    "gates": [{"system": "tuned", "better_than": "base"}],
}
LATE = DeadlineExceededError("no answer within 60 s", hint="Try later.")


class Before:
    version = 1

    def __init__(self, name: str, output: StageOutput) -> None:
        self.name = name
        self.output = output
        self.leaves = type(output)

    def inputs(self, context: RunContext) -> Mapping[str, Any]:
        return {}

    async def run(self, context: RunContext) -> StageOutput:
        return self.output


class Server:
    """Knows every answer, and gives those that it is not told to lose."""

    def __init__(self) -> None:
        self.lost: dict[tuple[str, int], Exception] = {}
        self.asked: list[tuple[str, int]] = []

    async def served(self, model: str, *, timeout: float) -> None:
        pass

    async def publish(self, model: str, files: Mapping[str, bytes]) -> None:
        pass

    async def first_tokens(
        self, model: str, prompts: Sequence[PromptInput], *, top: int
    ) -> AsyncIterator[tuple[int, Any]]:
        for place, prompt in enumerate(prompts):
            yield place, self._answer("tokens", str(prompt)) or {f" {_tag(str(prompt))}": -0.1}

    async def answers(
        self,
        model: str,
        prompts: Sequence[PromptInput],
        **_: Any,
    ) -> AsyncIterator[tuple[int, Any]]:
        for place, prompt in enumerate(prompts):
            wrong = "theft" if model == "base" else _tag(str(prompt))
            yield place, self._answer(model, str(prompt)) or ModelAnswer(f" {wrong}", held=True)

    def _answer(self, kind: str, prompt: str) -> Exception | None:
        row = kind, int(prompt.split("number ")[1].split()[0])
        self.asked.append(row)
        lost = self.lost.get(row)
        if isinstance(lost, KeyboardInterrupt):
            raise lost
        return lost


def _tag(prompt: str) -> str:
    return next(tag for words, tag in KINDS if words in prompt)


def write_curated(folder: Path) -> None:
    first = 0
    for part, count in ROWS.items():
        rows = []
        for number in range(first, first + count):
            words, tag = KINDS[number % 3]
            title = f"Is the {words} number {number} legal?"
            rows.append({"id": str(number), "title": title, "body": None, "tags": [tag]})
        first += count
        lines = "".join(json.dumps({"prompt": row["title"], "completion": "x"}) + "\n" for row in rows)
        for path, text in (
            (folder / "curated" / part / f"{part}.jsonl", lines),
            (folder / "curated" / "questions" / f"{part}.jsonl", "".join(json.dumps(r) + "\n" for r in rows)),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    card = {"steps": [{"name": "read", "rows_in": 114, "rows_out": 114, "seconds": 0.1}]}
    (folder / "curated" / "curation.json").write_text(json.dumps(card))
    (folder / "plan.json").write_text(json.dumps(PLAN))
    training = {"job": "cust-1", "output_model": "tuned", "metrics": {}}
    (folder / "customization.json").write_text(json.dumps(training))


TESTING = range(84, 114)


async def go(folder: Path, server: Server) -> RunResult:
    if not folder.exists():
        write_curated(folder)
    server.asked.clear()
    before = [
        Before("curate", CurateOutput(digest="one")),
        Before("plan", PlanOutput.from_json({"plan": PLAN})),
        Baselines(),
        Before("customize", CustomizeOutput(job="cust-1", output_model="tuned")),
        Before("serve", ServeOutput(model="tuned", base_model="base")),
    ]
    return await execute(
        folder=folder,
        recipe=parse_recipe(RECIPE),
        data=["x.jsonl"],
        platform=cast(Platform, server),
        progress=LoggedProgress(),
        steps=cast(list[Stage], [*before, Predict(), Evaluate(), Report()]),
    )


def metrics_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "metrics.json").read_text()))


def table(folder: Path) -> str:
    out = io.StringIO()
    print_verdict(Console(file=out, width=200), read_metrics(folder))
    return out.getvalue()


async def test_lost_rows_are_told_everywhere_and_the_next_command_asks_for_them_alone(tmp_path: Path) -> None:
    folder, server = tmp_path / "run", Server()
    lost = [*TESTING][:12]
    server.lost = {("base", row): LATE for row in lost}
    first = await go(folder, server)
    metrics = metrics_of(folder)
    failed = {name: found["failed"] for name, found in metrics["systems"].items()}
    assert failed == dict.fromkeys(failed, 0) | {"base": 12}
    assert not any(row["reading"] == "better" for row in metrics["differences"] if "base" in row.values())
    assert [gate["passed"] for gate in metrics["gates"]] == [False]
    with pytest.raises(RowsFailedError, match="12 of 30 test rows of base") as caught:
        require_verdict(first.left(EvaluateOutput))
    assert "Repeat the command" in (caught.value.hint or "")
    said = "12 of 30 rows have no answer"
    for text in (table(folder), (folder / "report.html").read_text(), (folder / "model-card.md").read_text()):
        assert said in text
        assert "no answer within 60 s" in text
    server.lost = {}
    again = await go(folder, server)
    assert server.asked == [("base", row) for row in lost]
    assert again.redone == ("predict", "evaluate", "report")
    assert metrics_of(folder)["systems"]["base"]["failed"] == 0
    assert "better" in table(folder)
    require_verdict(again.left(EvaluateOutput))
    assert (await go(folder, server)).redone == ()
    assert server.asked == []
    unbroken = tmp_path / "unbroken"
    await go(unbroken, Server())
    for path in unbroken.glob("*.jsonl"):
        assert path.read_bytes() == (folder / path.name).read_bytes()


async def test_rows_that_are_refused_count_and_are_never_asked_for_again(tmp_path: Path) -> None:
    folder, server = tmp_path / "run", Server()
    refusal = BadRequestError("longer than 8192 tokens", status=400)
    server.lost = {("base", row): refusal for row in [*TESTING][:2]}
    done = await go(folder, server)
    assert metrics_of(folder)["systems"]["base"]["refused"] == 2
    with pytest.raises(RowsFailedError) as caught:
        require_verdict(done.left(EvaluateOutput))
    assert "--new" in (caught.value.hint or "")
    rows = [json.loads(line) for line in (folder / "predictions-base.jsonl").read_text().splitlines()]
    assert [row.get("refused", False) for row in rows] == [True] * 2 + [False] * 28
    again = await go(folder, server)
    assert (again.redone, server.asked) == ((), [])
    with pytest.raises(RowsFailedError):
        require_verdict(again.left(EvaluateOutput))


async def test_a_tagger_fitted_without_lost_validation_rows_is_not_judged(tmp_path: Path) -> None:
    folder, server = tmp_path / "run", Server()
    server.lost = {("tokens", 60): LATE, ("tokens", 84): LATE}
    with pytest.raises(RowsFailedError, match="1 of 24 validation rows of tagger"):
        require_verdict((await go(folder, server)).left(EvaluateOutput))
    metrics = metrics_of(folder)
    assert metrics["validation"] == {"rows": 24, "failed": 1, "refused": 0}
    assert metrics["systems"]["tagger"]["failed_scored_as"] == "the tags without the model"
    server.lost = {}
    require_verdict((await go(folder, server)).left(EvaluateOutput))
    assert server.asked == [("tokens", 60), ("tokens", 84)]


async def test_a_model_that_the_tagger_leaves_out_is_not_asked_about_the_test_rows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, server = tmp_path / "run", Server()
    # Too few answers are left to fit a mix.
    server.lost = {("tokens", row): BadRequestError("too long", status=400) for row in range(60, 75)}
    with caplog.at_level("INFO"):
        await go(folder, server)
    assert {row for kind, row in server.asked if kind == "tokens"} == set(range(60, 84))
    assert "and does not ask the model" in caplog.text
    assert metrics_of(folder)["systems"]["tagger"]["failed"] == 0


@pytest.mark.parametrize(
    ("rows", "answered", "said"),
    [(9, 9, "9 validation rows are too few;"), (40, 8, "only 8 of 40 validation rows have an answer;")],
)
def test_too_few_rows_for_a_mix_are_told_apart_from_lost_answers(rows: int, answered: int, said: str) -> None:
    told = _without_model(FitReport(rows, answered, None, None))
    assert told.startswith(f"{said} at least 10 are needed")


@pytest.mark.parametrize(("gain", "said"), [(0.003, "lower by 0.003"), (-0.081, "higher by 0.081")])
def test_a_model_that_makes_it_worse_is_said_to(gain: float, said: str) -> None:
    told = _without_model(FitReport(26, 26, None, None, model_gain=gain, model_gain_error=0.04))
    assert f"cross-entropy {said} per row" in told


async def test_an_attempt_that_is_killed_leaves_what_was_finished_before(tmp_path: Path) -> None:
    folder, server = tmp_path / "run", Server()
    lost = [*TESTING][:12]
    server.lost = {("tuned", row): LATE for row in lost}
    await go(folder, server)
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and _is_result(path)}
    assert len(kept) > 10
    server.lost = {("tuned", lost[5]): cast(Exception, KeyboardInterrupt())}
    with pytest.raises(KeyboardInterrupt):
        await go(folder, server)
    assert kept == {path: path.read_bytes() for path in kept}
    server.lost = {}
    await go(folder, server)
    assert server.asked == [("tuned", row) for row in lost[5:]]
    assert metrics_of(folder)["systems"]["tuned"]["failed"] == 0


def _is_result(path: Path) -> bool:
    return path.suffix in (".json", ".jsonl", ".html", ".md", ".npz") and path.parent.name != "answers"
