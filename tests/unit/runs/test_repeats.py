"""A run repeated on other splits: what is repeated, what is kept, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console
from tiny_models import make_encoder

from lawtags_client.cli.run import training_of
from lawtags_client.cli.verdict import print_verdict
from lawtags_client.encoder import tuning
from lawtags_client.errors import ConfigurationError, DataError, GateNotPassedError, RunInputsError
from lawtags_client.files import atomic_write_json
from lawtags_client.platform import Platform
from lawtags_client.runs.comparison import compare_runs
from lawtags_client.runs.gates import require_verdict
from lawtags_client.runs.identity import differences, inputs_of
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.metrics import read_metrics
from lawtags_client.runs.outputs import EvaluateOutput, ReportOutput, StageOutput
from lawtags_client.runs.overview import RunDetails, all_runs, find_run, overview
from lawtags_client.runs.pipeline import stages
from lawtags_client.runs.progress import LoggedProgress
from lawtags_client.runs.recipe import merged, parse_recipe
from lawtags_client.runs.repeats import FILE, RepeatedVerdict, find_repeats, one_split_in_words
from lawtags_client.runs.report import rebuild_report
from lawtags_client.runs.run import RunResult, execute
from lawtags_client.runs.stage import RunContext, Stage, file_digests
from lawtags_client.runs.stages.baselines import Baselines
from lawtags_client.runs.stages.blend import FitBlend
from lawtags_client.runs.stages.curate import Curate
from lawtags_client.runs.stages.encoder import TuneEncoder
from lawtags_client.runs.stages.evaluate import ScoredRows
from lawtags_client.runs.stages.repeats import JudgeRepeat, RepeatRuns, repeated
from lawtags_client.runs.tagger import load_run_tagger

pytest.importorskip("scipy")
pytest.importorskip("nemo_curator")

KINDS = (("copy of a song", "copyright"), ("deposit of a flat", "landlord"), ("theft of a bicycle", "theft"))
RECIPE: dict[str, Any] = {
    "schema_version": 1,
    "name": "small",
    "model": {"config": "ns/model@v1"},
    "curation": {
        "pii": {"entities": []},
        "filters": {"min_words": 0},
        "duplicates": {"near": False},
        "split": {"training": 0.5, "validation": 0.2, "testing": 0.3, "seed": 7},
    },
    "retriever": {"encoder": "none", "threads": 1, "folds": 2},
    "encoder": {"epochs": 1},
    "evaluation": {"bootstrap": 100},
}


class Judged:
    """Stands for the stages from the upload to the verdict."""

    name = "evaluate"
    version = 1
    leaves = EvaluateOutput

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        return {}

    async def run(self, context: RunContext) -> EvaluateOutput:
        path = context.folder / "metrics.json"
        metrics = ScoredRows.read(context.folder).verdict(context.recipe.evaluation)
        atomic_write_json(path, metrics.as_json())
        return EvaluateOutput(files=file_digests(context.folder, [path]))


class Reported:
    """Stands for the report."""

    name = "report"
    version = 1
    leaves = ReportOutput

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        found = find_repeats(context.folder)
        return {"repeats": found and found.as_json()}

    async def run(self, context: RunContext) -> StageOutput:
        return ReportOutput()


class Told(LoggedProgress):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []
        self.tables = 0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def table(self, *_: Any) -> None:
        self.tables += 1


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAWTAGS_CACHE_DIR", str(tmp_path / "cache"))
    return write(tmp_path / "data.jsonl", 90)


def write(path: Path, rows: int, begin: int = 0) -> Path:
    lines = [
        {
            "id": str(number),
            "title": f"Is the {KINDS[number % 3][0]} {number} legal?",
            "tags": [KINDS[number % 3][1], *(["other"] if number % 7 == 0 else [])],
            "created": f"2020-01-{1 + number % 28:02}",
        }
        for number in range(begin, begin + rows)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


async def go(folder: Path, data: Path, repeats: int, **changes: Any) -> RunResult:
    recipe = parse_recipe(
        merged(merged(RECIPE, {"evaluation": {"repeats": repeats}}), changes.pop("recipe", {}))
    )
    steps: list[Any] = [Curate(), Baselines(), TuneEncoder(), FitBlend(), Judged()]
    options: dict[str, Any] = {
        "test": None,
        "progress": LoggedProgress(),
        "steps": cast(list[Stage], [*steps, *([RepeatRuns()] if repeats > 1 else []), Reported()]),
    }
    return await execute(
        folder=folder,
        recipe=recipe,
        data=[str(data)],
        platform=cast(Platform, None),
        **options | changes,
    )


def ids(folder: Path, part: str) -> list[str]:
    lines = (folder / "curated" / "questions" / f"{part}.jsonl").read_text().splitlines()
    return [json.loads(line)["id"] for line in lines]


def verdict_in(folder: Path) -> RepeatedVerdict:
    found = find_repeats(folder)
    assert found is not None
    return found


async def test_a_repeat_is_what_a_run_with_its_seeds_is_and_the_run_is_the_first(
    tmp_path: Path, data: Path
) -> None:
    folder, told = tmp_path / "run", Told()
    await go(folder, data, 3, progress=told)
    found = verdict_in(folder)
    assert (found.repeats, found.seeds, found.varied) == (3, (7, 8, 9), "split")
    alone = tmp_path / "alone"
    seeds = {"curation": {"split": {"seed": 8}}, "training": {"seed": 43}}
    await go(alone, data, 1, recipe=seeds)
    assert ids(alone, "testing") == ids(folder / "repeats" / "2", "testing") != ids(folder, "testing")
    runs = [read_metrics(each).systems for each in (folder, alone)]
    assert found.systems.keys() == {"retriever", "tfidf", "most_frequent"}
    for name, figures in found.systems.items():
        for metric, figure in figures.items():
            assert list(figure.values[:2]) == [systems[name].figure(metric) for systems in runs]
            assert figure.low <= figure.mean <= figure.high
    heads = {(row.a, row.b) for row in found.differences}
    assert heads == {("retriever", "tfidf"), ("retriever", "most_frequent")}
    # The run shows its first results; its repeats say which they are.
    assert told.tables == 1
    assert any(note.startswith("repeat 3 of 3: retriever ") for note in told.notes)
    assert not any("No language model is in this table" in note for note in told.notes[2:])


async def test_more_repeats_keep_the_run_and_the_repeats_that_are_there(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    await go(folder, data, 2)
    curated: list[Path] = []
    curate = Curate.run

    async def counted(self: Curate, context: RunContext) -> Any:
        curated.append(context.folder)
        return await curate(self, context)

    monkeypatch.setattr(Curate, "run", counted)
    before = {path: path.read_bytes() for path in folder.rglob("*.jsonl")}
    assert (await go(folder, data, 4)).redone == ("repeats", "report")
    assert curated == [folder / "repeats" / "3", folder / "repeats" / "4"]
    assert {path: path.read_bytes() for path in before} == before
    four = verdict_in(folder)
    assert four.repeats == 4
    # Fewer are taken from what is there, and none at all leave the last verdict.
    await go(folder, data, 2)
    assert verdict_in(folder).seeds == (7, 8)
    assert (await go(folder, data, 1)).redone == ()
    assert verdict_in(folder).seeds == (7, 8)
    assert len(curated) == 2


async def test_a_repeat_that_was_killed_goes_on_where_it_was(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, whole = tmp_path / "run", tmp_path / "whole"
    await go(whole, data, 3)
    blend = FitBlend.run

    async def killed(self: FitBlend, context: RunContext) -> Any:
        if context.folder.name == "3":
            raise KeyboardInterrupt
        return await blend(self, context)

    with monkeypatch.context() as patched:
        patched.setattr(FitBlend, "run", killed)
        with pytest.raises(KeyboardInterrupt):
            await go(folder, data, 3)
    assert find_repeats(folder) is None
    with monkeypatch.context() as patched:
        patched.setattr(Curate, "run", None)
        patched.setattr(Baselines, "run", None)
        assert (await go(folder, data, 3)).redone == ("repeats", "report")
    assert verdict_in(folder).systems == verdict_in(whole).systems
    # No stage of a repeat began again after it was done.
    for repeat in ("2", "3"):
        ledger = Ledger(folder / "repeats" / repeat / "ledger.sqlite")
        begun = {record.name: ledger.attempts(record) for record in ledger.stages()}
        assert begun.pop("blend") == (2 if repeat == "3" else 1)
        assert begun.keys() == {"curate", "baselines", "encoder", "evaluate"}
        assert set(begun.values()) == {1}


async def test_repeats_are_no_inputs_of_a_run_and_other_inputs_are_refused(
    tmp_path: Path, data: Path
) -> None:
    def inputs(**evaluation: Any) -> Any:
        recipe = parse_recipe(merged(RECIPE, {"evaluation": evaluation}))
        return inputs_of(recipe, [str(data)], None, None, run_id="1")

    assert differences(inputs(), inputs(repeats=5, repeated_systems="all")) == []
    assert differences(inputs(), inputs(seed=5)) == ["evaluation.seed: 0 -> 5"]
    folder = tmp_path / "run"
    await go(folder, data, 2)
    write(data, 60)
    with pytest.raises(RunInputsError):
        await go(folder, data, 3)


async def test_beside_a_test_file_only_the_other_rows_are_divided_again(tmp_path: Path, data: Path) -> None:
    folder, test = tmp_path / "run", write(tmp_path / "test.jsonl", 30, begin=90)
    await go(folder, data, 2, test=test)
    found = verdict_in(folder)
    assert (found.varied, found.test_rows) == ("training split", (30, 30))
    repeat = folder / "repeats" / "2"
    assert ids(folder, "testing") == ids(repeat, "testing")
    assert ids(folder, "training") != ids(repeat, "training")
    assert "with the same test rows" in found.headline


async def test_a_split_by_time_is_the_only_one_and_the_trainings_are_repeated(
    tmp_path: Path, data: Path
) -> None:
    folder = tmp_path / "run"
    await go(folder, data, 2, recipe={"curation": {"split": {"by": "time"}}})
    found = verdict_in(folder)
    assert (found.varied, found.seeds, found.correlation) == ("seeds", (42, 43), 0)
    assert ids(folder, "training") == ids(folder / "repeats" / "2", "training")
    assert "trainings with different seeds" in found.headline


async def test_a_run_with_an_encoder_repeats_its_tuning_and_the_blend(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    encoder = {"retriever": {"encoder": str(make_encoder(tmp_path / "encoder"))}}
    await go(folder, data, 2, recipe=encoder)
    found = verdict_in(folder)
    assert {"blend", "encoder", "retriever", "retriever_words"} < found.systems.keys()
    assert {row.a for row in found.differences} == {"blend"}
    # What is there is not tuned again.
    monkeypatch.setattr(tuning, "TuningLoop", None)
    (folder / FILE).unlink()
    await go(folder, data, 2, recipe=encoder)
    assert verdict_in(folder) == found


async def test_a_split_without_rows_in_a_part_ends_the_repeat_and_names_it(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, few = Told(), write(tmp_path / "few.jsonl", 90)
    folder = tmp_path / "run"
    await go(folder, few, 1)
    curate = Curate.run

    async def without_tests(self: Curate, context: RunContext) -> Any:
        done = await curate(self, context)
        return type(done)(digest=done.digest, rows={**done.rows, "testing": 0})

    monkeypatch.setattr(Curate, "run", without_tests)
    with pytest.raises(ConfigurationError, match="no testing rows are left"):
        await go(folder, few, 3, progress=told)
    assert "repeat 2 of 3 failed" in told.notes[-1]
    assert "evaluation.repeats=1" in told.notes[-1]
    record = Ledger(folder / "ledger.sqlite").stage("repeats")
    assert record is not None and record.status == "failed"


async def test_a_finished_run_of_another_version_is_repeated_without_being_redone(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    await go(folder, data, 1)
    monkeypatch.setattr(Baselines, "version", 99)
    monkeypatch.setattr(Judged, "version", 99)
    assert (await go(folder, data, 2)).redone == ("repeats", "report")


async def test_a_repeat_is_compared_as_a_run_and_leaves_the_rest_to_its_run(
    tmp_path: Path, data: Path
) -> None:
    folder, repeat = tmp_path / "demo", tmp_path / "demo" / "repeats" / "2"
    await go(folder, data, 2)
    found = compare_runs([folder, find_run(tmp_path, "demo/repeats/2")])
    assert found.same_test_rows == (True, False)
    shown = {row.system: row.values[1] for row in found.figures if row.metric == "micro_f1"}
    assert shown == {
        name: figures["micro_f1"].values[1] for name, figures in verdict_in(folder).systems.items()
    }
    assert compare_runs([repeat, repeat]).same_test_rows == (True, True)
    assert (overview(repeat).tagger_micro_f1, overview(repeat).state) == (None, "done")
    assert RunDetails.of(repeat).metrics is not None
    with pytest.raises(ConfigurationError, match="no tagger") as caught:
        load_run_tagger(repeat)
    assert str(folder) in str(caught.value.hint)
    with pytest.raises(ConfigurationError, match="no report of its own") as caught:
        rebuild_report(repeat)
    assert f"lawtags report {folder}" in str(caught.value.hint)


async def test_a_repeat_without_a_verdict_names_the_command_that_finishes_it(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "demo"
    monkeypatch.setattr(JudgeRepeat, "run", None)
    with pytest.raises(TypeError):
        await go(folder, data, 2)
    with pytest.raises(ConfigurationError, match="'2' has no verdict yet") as caught:
        compare_runs([folder, folder / "repeats" / "2"])
    wanted = f"lawtags runs redo demo --runs {tmp_path} --set evaluation.repeats=2"
    assert str(caught.value.hint).endswith(wanted)


async def test_gates_are_judged_over_all_repeats(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "run"
    gates = {"gates": [{"system": "retriever", "at_least": 0.1}, {"system": "tfidf", "metric": "exact_match",
             "better_than": "most_frequent", "at_least": 0.99}]}  # fmt: skip
    with pytest.raises(ConfigurationError, match="not compared"):
        await go(folder, data, 2, recipe=gates)
    gates["gates"][1]["metric"] = "macro_f1"
    done = await go(tmp_path / "other", data, 2, recipe=gates)
    repeats = verdict_in(tmp_path / "other")
    assert [gate.passed for gate in repeats.gates] == [True, False]
    assert all("on average over 2 splits" in gate.found for gate in repeats.gates)
    with pytest.raises(GateNotPassedError, match="over 2 splits"):
        require_verdict(done.left(EvaluateOutput), repeats)


async def test_verdicts_of_repeats_are_shown_and_a_stale_one_is_not(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "runs" / "demo"
    await go(folder, data, 2)
    assert all_runs(folder.parent) == [folder]
    details = RunDetails.of(folder)
    assert details.repeats == find_repeats(folder)
    assert details.metrics is not None
    with (tmp_path / "out").open("w+") as stream:
        print_verdict(Console(file=stream, width=200), details.metrics, details.repeats)
        print_verdict(Console(file=stream, width=200), details.metrics)
        stream.seek(0)
        text = stream.read()
    assert "Over 2 splits: " in text
    assert text.count("test rows of the run's own split") == 1
    assert "retriever against tfidf: micro F1 " in text
    assert text.count("add --set evaluation.repeats=5") == 1
    metrics = folder / "metrics.json"
    metrics.write_text(metrics.read_text().replace('"test_rows"', ' "test_rows"'))
    assert find_repeats(folder) is None
    (folder / "metrics.json").write_text(metrics.read_text().replace(' "test_rows"', '"test_rows"'))
    (folder / FILE).write_text("{")
    with pytest.raises(DataError, match=FILE):
        find_repeats(folder)


def test_few_test_rows_point_to_repeats() -> None:
    assert "evaluation.repeats=5" in one_split_in_words(134, None)[0]
    assert one_split_in_words(500, None) == []


def test_a_recipe_with_repeats_has_the_stage_and_bounds_their_number() -> None:
    def names(repeats: int) -> list[str]:
        recipe = parse_recipe(merged(RECIPE, {"evaluation": {"repeats": repeats}}))
        return [stage.name for stage in stages(recipe)]

    assert "repeats" not in names(1)
    assert names(2)[-3:] == ["evaluate", "repeats", "report"]
    for wrong in (0, 21):
        with pytest.raises(ConfigurationError, match=r"evaluation\.repeats"):
            names(wrong)


def test_the_recipe_of_a_repeat_differs_in_its_seeds_and_asks_for_no_evaluation_job() -> None:
    recipe = parse_recipe(RECIPE | {"curation": {}, "gates": [{"at_least": 0.9}]})
    third = repeated(recipe, 3)
    assert (third.training.seed, third.curation) == (44, {"split": {"seed": 44}})
    assert (third.evaluation.repeats, third.evaluation.platform_rows, third.gates) == (1, 0, ())


def test_the_job_of_a_repeat_is_the_one_that_a_run_waits_for(tmp_path: Path) -> None:
    from lawtags_client.intents import SqliteIntents, new_intent

    ledger, intents = Ledger(tmp_path / "ledger.sqlite"), SqliteIntents(tmp_path / "ledger.sqlite")
    intent = intents.begin(new_intent("customization", {"n": 1}))
    intents.settle(intent.key, "cust-1")
    ledger.begin("repeats", "d")
    repeat = Ledger(tmp_path / "repeats" / "2" / "ledger.sqlite")
    assert training_of(tmp_path) is None
    repeat.begin("customize", "d")
    assert training_of(tmp_path) == "cust-1"
    repeat.finish("customize", {})
    assert training_of(tmp_path) is None
