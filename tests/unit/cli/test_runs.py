"""Looking at runs, from folders that were written by hand."""

from __future__ import annotations

import io
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from made_run import HOSTILE, RECIPE, make_run
from rich.console import Console
from typer.testing import CliRunner

from lawtags_client.cli.app import app
from lawtags_client.cli.auditing import read_intents
from lawtags_client.cli.tables import fitting_table
from lawtags_client.errors import ConfigurationError
from lawtags_client.intents import SqliteIntents, new_intent
from lawtags_client.runs.comparison import require_metrics
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.lock import run_lock
from lawtags_client.runs.overview import all_runs, find_runs, latest_served
from lawtags_client.runs.predictions import prediction, write_predictions
from lawtags_client.runs.recipe_loading import load_recipe
from lawtags_client.runs.tagger import load_run_tagger
from lawtags_client.tagging import Question, Retriever, Vocabulary, fit_tagger
from lawtags_client.tagging.storage import save_tagger


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAWTAGS_INTENTS_PATH", str(tmp_path / "intents.sqlite"))
    make_run(tmp_path / "runs" / "one")
    make_run(tmp_path / "runs" / "two")
    for number, name in enumerate(("one", "two")):
        os.utime(tmp_path / "runs" / name / "ledger.sqlite", (number, number))
    return tmp_path


def call(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output
    return done.stdout


def rows(*words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in call(*words, "--json").splitlines()]


def test_runs_are_listed_the_newest_first(folder: Path) -> None:
    listed = rows("runs", "ls")
    assert [row["run"] for row in listed] == ["two", "one"]
    assert listed[0]["state"] == "done"
    assert "one" in call("runs", "ls")
    assert rows("runs", "ls", "--runs", "nowhere") == []


def test_a_stage_that_a_killed_process_has_left_does_not_run(folder: Path) -> None:
    run = folder / "runs" / "one"
    Ledger(run / "ledger.sqlite").begin("upload", "digest")

    def states() -> tuple[str, str]:
        (listed,) = (row for row in rows("runs", "ls") if row["run"] == "one")
        (shown,) = rows("runs", "show", "one")
        (stage,) = (each for each in shown["stages"] if each["stage"] == "upload")
        return listed["state"], stage["status"]

    assert states() == ("interrupted: upload", "interrupted")
    with run_lock(run):
        assert states() == ("running: upload", "running")


def test_a_run_is_found_by_name_or_path(folder: Path) -> None:
    for name in ("one", "runs/one", str(folder / "runs" / "one")):
        (shown,) = rows("runs", "show", name)
        assert shown["run"] == "one"
        assert [stage["stage"] for stage in shown["stages"]] == ["curate", "predict", "evaluate", "report"]


def test_a_beginning_of_a_name_or_id_is_enough_where_it_is_unique(folder: Path) -> None:
    make_run(folder / "runs" / "one-2026-11-27")
    ledger = Ledger(folder / "runs" / "two" / "ledger.sqlite")
    ledger.set_fact("run_id", "fedcba987654")
    for name, run in (("tw", "two"), ("fedc", "two"), ("one", "one"), ("one-", "one-2026-11-27")):
        (shown,) = rows("runs", "show", name)
        assert shown["run"] == run
    done = CliRunner().invoke(app, ["runs", "show", "on"])
    assert done.exit_code == 2
    assert "2 runs" in done.stderr and "one-2026-11-27" in done.stderr
    call("runs", "show", "", code=2)


def test_no_name_and_no_date_is_cut_in_a_narrow_terminal(folder: Path) -> None:
    make_run(folder / "runs" / "a-rather-long-name-of-a-run-2026-11-27")
    done = CliRunner(env={"COLUMNS": "40"}).invoke(app, ["runs", "ls"])
    assert done.exit_code == 0
    table = fitting_table(
        Console(width=40),
        ("run", "started", "ID"),
        [("a-rather-long-name-of-a-run-2026-11-27", "2026-11-27 10:00", "0123456789ab")],
        optional=("ID",),
    )
    console = Console(width=40, record=True, file=io.StringIO())
    console.print(table)
    shown = console.export_text()
    assert "…" not in shown
    assert "0123456789ab" not in shown
    cells = [line.split("│")[1].strip() for line in shown.splitlines() if line.startswith("│")]
    assert "".join(cells) == "a-rather-long-name-of-a-run-2026-11-27"


def test_a_run_is_removed_by_its_full_name_and_after_a_confirmation(folder: Path) -> None:
    call("runs", "rm", "one", code=2)
    call("runs", "rm", "on", "--yes", code=2)
    store = SqliteIntents(folder / "runs" / "two" / "ledger.sqlite")
    store.begin(new_intent("customization", {}, key="k"))
    assert rows("runs", "rm", "one", "--yes") == [{"removed": "runs/one"}]
    assert [path.name for path in (folder / "runs").iterdir()] == ["two"]
    done = CliRunner().invoke(app, ["runs", "rm", "two", "--yes"])
    assert done.exit_code == 2
    assert "runs undo two" in done.stderr
    call("runs", "rm", "two", "--yes", "--keep-on-platform")
    assert not list((folder / "runs").iterdir())
    # The audit still knows the job.
    assert [intent.key for intent in SqliteIntents(folder / "intents.sqlite").all()] == ["customization:k"]


def test_a_removal_that_was_interrupted_is_finished(folder: Path) -> None:
    (folder / "runs" / "one").rename(folder / "runs" / ".one.removed")
    assert rows("runs", "rm", "one", "--yes") == [{"removed": "runs/one"}]
    assert [path.name for path in (folder / "runs").iterdir()] == ["two"]
    call("runs", "rm", "one", "--yes", code=2)


def test_a_run_with_a_damaged_ledger_is_removed_if_its_jobs_may_stay(folder: Path) -> None:
    ledger = folder / "runs" / "one" / "ledger.sqlite"
    for path in ledger.parent.glob("ledger.sqlite*"):
        path.unlink()
    ledger.write_bytes(b"no ledger" * 100)
    done = CliRunner().invoke(app, ["runs", "rm", "one", "--yes"])
    assert done.exit_code == 2
    assert "cannot be read" in done.stderr and "--keep-on-platform" in done.stderr
    intents, unread = read_intents(
        {name: SqliteIntents(folder / "runs" / name / "ledger.sqlite") for name in ("one", "two")}
    )
    assert intents == {"two": []}
    assert len(unread) == 1 and unread[0].startswith(str(ledger))
    assert rows("runs", "rm", "one", "--yes", "--keep-on-platform") == [{"removed": "runs/one"}]


def test_stages_keep_their_order_though_the_clock_is_set_back(folder: Path) -> None:
    times = (datetime(2026, 11, 28, 12, tzinfo=UTC) - timedelta(hours=hour) for hour in count())
    ledger = Ledger(folder / "runs" / "three" / "ledger.sqlite", now=lambda: next(times))
    for stage in ("curate", "plan"):
        ledger.begin(stage, "digest")
        ledger.finish(stage, {})
    ledger.begin("baselines", "digest")
    (shown,) = rows("runs", "show", "three")
    assert [stage["stage"] for stage in shown["stages"]] == ["curate", "plan", "baselines"]
    (listed,) = (row for row in rows("runs", "ls") if row["run"] == "three")
    assert listed["state"] == "interrupted: baselines"
    assert listed["started"].startswith("2026-11-28T11")


def test_a_folder_whose_only_run_is_damaged_is_not_called_empty(folder: Path) -> None:
    call("runs", "rm", "two", "--yes", "--keep-on-platform")
    (folder / "runs" / "one" / "metrics.json").write_text("[]")
    done = CliRunner().invoke(app, ["runs", "ls"])
    assert "metrics.json cannot be read: it must be an object" in done.stderr
    assert "No runs in" not in done.stderr


def test_the_trials_of_a_sweep_are_found_by_the_name_of_the_sweep(folder: Path) -> None:
    trials = folder / "runs" / "sweeps" / "s" / "trials"
    make_run(trials / "b-1")
    make_run(trials / "a-1")
    for name in ("sweeps/s", "runs/sweeps/s", str(folder / "runs" / "sweeps" / "s")):
        assert [each.name for each in find_runs(Path("runs"), name)] == ["a-1", "b-1"]
    assert find_runs(Path("runs"), "sweeps/s/trials/a-1") == [Path("runs/sweeps/s/trials/a-1")]
    for name in ("sweeps", "sweeps/t", "s", "on"):
        with pytest.raises(ConfigurationError):
            find_runs(Path("runs"), name)


def test_a_run_is_exported_as_the_folder_of_the_seed(folder: Path) -> None:
    events = folder / "runs" / "one" / "tensorboard" / "events.out.tfevents.1.host"
    events.parent.mkdir()
    events.write_bytes(b"events")
    (found,) = rows("runs", "export", "on", "--seed-layout", "results")
    assert set(found["files"]) >= {
        "cmd-args.log", "git-info.log", "hparams.yaml", "events.out.tfevents.1.host", "lightning_logs.txt",
        "inference/tuned_inputs_preds_labels.jsonl", "test_results_one.jsonl",
    }  # fmt: skip
    results = [json.loads(line) for line in Path("results/test_results_one.jsonl").read_text().splitlines()]
    assert results[0] == {
        "id": "a", "title": "A question", "truth": ["contract-law", "landlord"], "prediction": ["landlord"]
    }  # fmt: skip
    first = json.loads(Path("results/inference/tuned_inputs_preds_labels.jsonl").read_text().splitlines()[0])
    assert (first["pred"], first["label"], first["filename"]) == ("landlord", "contract-law,landlord", "a")
    arguments = Path("results/cmd-args.log").read_text()
    assert arguments.startswith("lawtags run recipe.yaml --name one --data /questions.jsonl\n")
    # The command works as it stands.
    assert load_recipe("results/recipe.yaml").name == "small"
    assert "training.lora.adapter_dim=8" in arguments
    assert "adapter_dim: 8" in Path("results/hparams.yaml").read_text()
    log = Path("results/lightning_logs.txt").read_text()
    assert "step 1: train_loss=2.0000\nstep 2: train_loss=nan" in log
    assert "training job: cust-1" in Path("results/git-info.log").read_text()
    call("runs", "export", "one", "--seed-layout", "results", code=2)
    call("runs", "export", "one", "--seed-layout", "other", "--system", "nobody", code=2)
    assert not Path("other").exists()


def test_data_is_never_taken_from_an_earlier_run(folder: Path) -> None:
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(RECIPE | {"name": "one"}))
    for command in ("run", "plan"):
        done = CliRunner().invoke(app, [command, str(recipe), "--name", "one"])
        assert done.exit_code == 2
        assert "no questions were passed" in done.stderr
    assert "lawtags runs redo one" in done.stderr


def test_a_failed_stage_is_shown_with_its_reason_as_text(folder: Path) -> None:
    ledger = Ledger(folder / "runs" / "one" / "ledger.sqlite")
    ledger.begin("customize", "digest")
    ledger.fail("customize", {"error": "JobFailedError", "message": HOSTILE})
    shown = call("runs", "show", "one")
    assert "\x1b" not in shown
    assert "<script>" in shown
    assert rows("runs", "ls")[-1]["run"] in ("one", "two")


def test_runs_are_compared_figure_by_figure_and_question_by_question(folder: Path) -> None:
    make_run(folder / "runs" / "three")
    better = [prediction(0, "a", ["landlord", "contract-law"]), prediction(1, "b", ["theft"])]
    better.append(prediction(2, "c", ["landlord"]))
    write_predictions(folder / "runs" / "two", "tagger", better)
    (found,) = rows("runs", "compare", "one", "two", "three")
    assert (found["runs"], found["same_test_rows"]) == (["one", "two", "three"], [True] * 3)
    figures = {(row["system"], row["metric"]): row for row in found["figures"]}
    micro = figures["tagger", "micro_f1"]
    assert micro["values"][0] == micro["values"][2] > 0
    assert micro["differences"][2] == 0
    paired = {(row["run"], row["system"]): row for row in found["paired"]}
    tagger = paired["two", "tagger"]
    assert (tagger["won"], tagger["lost"], tagger["unchanged"], tagger["p_value"]) == (["a"], ["b"], 1, 1)
    assert tagger["low"] <= tagger["difference"] <= tagger["high"]
    assert paired["three", "tagger"]["unchanged"] == 3
    shown = call("runs", "compare", "one", "two", "three")
    assert "(+0.000)" in shown
    assert "two, tagger, questions won: a" in shown
    call("runs", "compare", "one", code=2)
    # A run is no second opinion on itself, by whatever name.
    call("runs", "compare", "one", "two", "runs/one", code=2)


def test_a_system_of_one_run_only_is_shown_without_a_difference(folder: Path) -> None:
    path = folder / "runs" / "one" / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["systems"]["older"] = metrics["systems"]["tagger"]
    path.write_text(json.dumps(metrics))
    for pair in (("one", "two"), ("two", "one")):
        (found,) = rows("runs", "compare", *pair)
        (row,) = [r for r in found["figures"] if (r["system"], r["metric"]) == ("older", "micro_f1")]
        assert row["differences"][1] is None
        assert "older" in call("runs", "compare", *pair)


def test_a_run_that_lost_rows_is_not_compared_and_is_listed_as_one_without_arequire_metrics(
    folder: Path,
) -> None:
    path = folder / "runs" / "one" / "metrics.json"
    metrics = json.loads(path.read_text())
    reason = {"reason": "DeadlineExceededError: late", "rows": 2}
    metrics["systems"]["base"] |= {
        "failed": 2, "refused": 0, "failed_scored_as": "no tags", "failed_reasons": [reason]
    }  # fmt: skip
    metrics["incomplete"] = [{"system": "base", "part": "testing", "rows": 3, "failed": 2, "refused": 0}]
    path.write_text(json.dumps(metrics))
    (found,) = rows("runs", "compare", "one", "two")
    differences = {row["system"]: row["differences"][1] for row in found["figures"]}
    assert differences["base"] is None
    assert differences["tuned"] == 0
    assert "base" not in {row["system"] for row in found["paired"]}
    assert any("2 of 3 rows have no answer" in line for line in found["lost"])
    assert "2 of 3 rows have no answer" in call("runs", "compare", "one", "two")
    states = {row["run"]: row["state"] for row in rows("runs", "ls")}
    assert states == {"one": "no verdict: rows failed", "two": "done"}


def test_a_verdict_of_an_older_release_is_shown(folder: Path) -> None:
    path = folder / "runs" / "one" / "metrics.json"
    metrics = json.loads(path.read_text())
    for found in metrics["systems"].values():
        del found["failed"], found["refused"]
    del metrics["incomplete"], metrics["validation"]
    metrics["differences"] = [
        {name: value for name, value in row.items() if name != "reading"}
        for row in metrics["differences"]
        if (row["a"], row["b"]) == ("tuned", "base")
    ]
    path.write_text(json.dumps(metrics))
    assert "tuned against base" in call("runs", "show", "one")
    call("runs", "compare", "one", "two")
    (told,) = rows("report", "one")
    assert "tuned against base" in Path(told["report"]).read_text()


def test_other_test_rows_are_said(folder: Path) -> None:
    shutil.rmtree(folder / "runs" / "two")
    make_run(folder / "runs" / "two", ids=("a", "b", "x"))  # as many, and others
    (found,) = rows("runs", "compare", "one", "two")
    assert found["same_test_rows"] == [True, False]
    assert found["paired"] == []
    assert "different test rows" in call("runs", "compare", "one", "two")


def test_a_damaged_run_does_not_hide_the_others(folder: Path) -> None:
    (folder / "runs" / "one" / "ledger.sqlite").write_bytes(b"no database" * 100)
    done = CliRunner().invoke(app, ["runs", "ls", "--json"])
    assert [json.loads(line)["run"] for line in done.stdout.splitlines()] == ["two"]
    assert "one" in done.stderr
    call("runs", "show", "one", code=1)


def test_a_run_without_verdict_cannot_be_compared(folder: Path) -> None:
    (folder / "runs" / "one" / "metrics.json").unlink()
    call("runs", "compare", "one", "two", code=2)
    assert rows("runs", "ls")[-1]["tagger_micro_f1"] is None
    with pytest.raises(ConfigurationError) as caught:
        require_metrics(folder / "runs" / "one")
    assert f"lawtags runs redo one --runs {folder / 'runs'}" in str(caught.value.hint)
    with pytest.raises(ConfigurationError) as caught:
        require_metrics(Path("runs/one"))
    assert str(caught.value.hint).endswith("lawtags runs redo one")


def test_a_damaged_verdict_is_named(folder: Path) -> None:
    (folder / "runs" / "one" / "metrics.json").write_text("{")
    done = CliRunner().invoke(app, ["runs", "show", "one"])
    assert done.exit_code == 1
    assert "metrics.json" in done.stderr


def test_a_report_is_made_anew(folder: Path) -> None:
    (told,) = rows("report", "one")
    assert Path(told["report"]).read_text().startswith("<!doctype html>")
    assert "CC BY-SA 4.0" in Path(told["report"]).read_text()


def test_the_latest_complete_run_answers(folder: Path) -> None:
    runs = folder / "runs"
    with pytest.raises(ConfigurationError, match="has a tagger"):
        latest_served(runs, None)
    for name in ("one", "two"):
        (runs / name / "tagger").mkdir()
        (runs / name / "tagger" / "tagger.json").write_text("{}")
    assert latest_served(runs, None) == all_runs(runs)[0]
    newest = all_runs(runs)[0]
    # Asked again for missing rows, and killed: what was finished before still answers.
    Ledger(newest / "ledger.sqlite").begin("predict", "the same once more")
    assert latest_served(runs, None) == newest
    unfinished = Ledger(runs / "three" / "ledger.sqlite")
    unfinished.begin("predict", "digest")
    assert latest_served(runs, None) == newest
    with pytest.raises(ConfigurationError, match="no tagger yet"):
        load_run_tagger(latest_served(runs, "three"))


def test_a_tagger_without_its_model_tags_without_a_request(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("scipy")
    requests: list[str] = []

    class Counting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append(self.path)
            self.send_error(500)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    kinds = ("copyright", "landlord", "theft")
    questions = [
        Question(id=str(n), title=f"About {kinds[n % 3]} {n}", tags=(kinds[n % 3],)) for n in range(60)
    ]
    retriever = Retriever.fit(questions[:45], Vocabulary.from_questions(questions))
    save_tagger(fit_tagger(retriever, questions[:45], questions[45:]), folder / "runs" / "one" / "tagger")
    ledger = Ledger(folder / "runs" / "one" / "ledger.sqlite")
    ledger.begin("predict", "digest")
    ledger.finish("predict", {"model": "ns/tagger@v1"})
    (folder / "in.jsonl").write_text(json.dumps({"id": "1", "title": "Theft 7"}) + "\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    monkeypatch.setenv("NIM_PROXY_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        for words in (("--title", "About theft 7"), ("in.jsonl", "--out", "out.jsonl")):
            done = CliRunner().invoke(app, ["tag", "--run", "one", *words])
            assert done.exit_code == 0, done.output
            assert done.stderr.count("no request is sent") == 1
        # A run of the demo is asked on the embedded stack, which need not run for this.
        done = CliRunner().invoke(app, ["tag", "--run", "one", "--title", "About theft 7", "-p", "local"])
        assert done.exit_code == 0, done.output
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert json.loads((folder / "out.jsonl").read_text())["tags"] == ["theft"]
    assert requests == []


def test_a_run_refuses_a_name_that_it_could_not_record(tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jsonl")
    done = CliRunner().invoke(app, ["plan", "smollm2-demo", "--data", odd, "--runs", str(tmp_path / "new")])
    assert done.exit_code == 2
    assert "not UTF-8" in done.output
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--out", "."), "is a folder"),
        (("--out", "in.jsonl"), "contains the questions"),
        (("--out", "out.jsonl", "--column", "nope=headline"), "cannot be mapped to nope"),
        (("--out", "out.jsonl", "--column", "title"), "expected FIELD=COLUMN"),
    ],
)
def test_a_wrong_option_is_refused_before_a_tagger_is_loaded(
    folder: Path, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []
    monkeypatch.setattr("lawtags_client.runs.tagger.load_run_tagger", loaded.append)
    (folder / "in.jsonl").write_text(json.dumps({"id": "1", "title": "Theft 7"}) + "\n")
    done = CliRunner().invoke(app, ["tag", "in.jsonl", *words])
    assert done.exit_code == 2 and said in done.output, done.output
    assert loaded == []
