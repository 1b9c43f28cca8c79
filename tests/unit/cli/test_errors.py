"""How commands end that cannot do their work."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_run import make_run

from lawtags_client import cli
from lawtags_client.cli.command import command, explain
from lawtags_client.cli.script import run_script
from lawtags_client.cli.session import Session
from lawtags_client.client import NeMo
from lawtags_client.curation.execution import _client
from lawtags_client.errors import BusyError, ConfigurationError, DataError, GateNotPassedError, LawtagsError
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.lock import run_lock
from lawtags_client.settings import STACK_FOLDER, Settings

Call = Callable[..., tuple[int, str, str]]
RECIPE = "schema_version: 1\nname: small\nmodel: {config: ns/model@v1}\n"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("LAWTAGS_", "NEMO_", "NIM_", "DATA_STORE_", "CUSTOMIZER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lawtags(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lawtags", *words])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


WRONG = [
    ["run", "nowhere"],
    ["run", "smollm2-demo"],
    ["run", "smollm2-demo", "--name", "../outside", "--data", "x"],
    ["run", "smollm2-demo", "--set", "training.epochs", "--data", "x"],
    ["run", "smollm2-demo", "--set", "training.epochs=none", "--data", "x"],
    ["run", "smollm2-demo", "--bogus"],
    ["tag"],
    ["tag", "--title", "x"],
    ["tag", "--title", " ", "--model", "m"],
    ["tag", "--title", "x", "--model", "m", "--run", "r"],
    ["tag", "questions.jsonl"],
    ["tag", "questions.jsonl", "--out", "out.jsonl", "--title", "x", "--model", "m"],
    ["tag", "questions.jsonl", "--out", "out.jsonl", "--body", "x", "--model", "m"],
    ["tag", "--title", "x", "--out", "out.jsonl", "--model", "m"],
    ["local", "down", "--profile", "cluster"],
    ["runs", "show", "nowhere"],
    ["runs", "compare", "one", "two"],
    ["report", "nowhere"],
    ["jobs", "ls"],
    ["jobs", "show"],
    ["jobs", "ls", "--status", "foo"],
    ["jobs", "ls", "--profile", "nowhere"],
    ["jobs", "ls", "--profile", "local"],
    ["customize", "ns/data", "--method", "magic"],
    ["customize", "data"],
    ["customize", "ns/data", "--config", "model@v1"],
    ["customize", "ns/data", "--output-model", "a/b/c"],
    ["customize", "ns/data", "--learning-rate", "0"],
    ["customize", "ns/data", "--learning-rate", "nan"],
    ["evaluate", "ns/model@v1", "rows.jsonl"],
    ["evaluate", "ns/model@v1", "https://rows.example/testing.jsonl"],
    ["evaluate", "ns/model@v1", "hf://datasets/ns/rows", "--timeout", "-1"],
    ["deploy", "model"],
    ["deploy", "ns/model@v1", "--image", "registry:5000/nim/llm"],
    ["local", "up", "--base-model", "nonsense"],
    ["local", "up", "--device", "gpu"],
    ["local", "up", "--device", "cuda:x", "--detach"],
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_a_wrong_setting_is_one_json_object_and_ends_with_two(lawtags: Call, words: list[str]) -> None:
    code, out, err = lawtags(*words, "--json")
    assert code == 2
    assert out == ""
    (line,) = err.splitlines()
    told = json.loads(line)
    in_recipe = "training.epochs=none" in words
    assert told["error"] == ("RecipeError" if in_recipe else "ConfigurationError")
    assert told["message"]
    assert told["hint"]


@pytest.mark.parametrize(
    ("words", "said"), [((), "no tag was found\n"), (("--threshold", "0.2"), "no tag reaches 0.2\n")]
)
def test_a_question_without_a_tag_is_told_as_one(
    lawtags: Call, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    async def untagged(*_: Any, **__: Any) -> AsyncIterator[Any]:
        yield SimpleNamespace(error=None, tags=(), scores={}, abstained=False)

    monkeypatch.setattr("lawtags_client.asking.tags.tag_many", untagged)
    client = SimpleNamespace(settings=Settings())
    monkeypatch.setattr(Session, "client", lambda _: contextlib.nullcontext(client))
    assert lawtags("tag", "--title", "Is it binding?", "--model", "ns/m", *words) == (0, "", said)


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_a_wrong_setting_is_told_in_words_too(lawtags: Call, words: list[str]) -> None:
    code, out, err = lawtags(*words)
    assert code == 2
    assert out == ""
    assert "Error" in err
    assert "Traceback" not in err


def test_the_demo_starts_nothing_for_questions_that_are_not_there(lawtags: Call, tmp_path: Path) -> None:
    code, _, err = lawtags("demo", "--data", "missing.jsonl", "--json")
    assert code == 2
    assert "missing.jsonl" in json.loads(err)["message"]
    assert not (tmp_path / ".lawtags").exists()


def test_a_wrong_call_leaves_nothing_behind(lawtags: Call, tmp_path: Path) -> None:
    for words in WRONG:
        lawtags(*words, "--json")
    lawtags("run", "smollm2-demo", "--data", "missing.jsonl")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["curate", "missing.jsonl", "-o", "out"],
        ["curate", "no-*.jsonl", "-o", "out"],
        ["curate", "there.jsonl", "-o", "out", "--synonyms", "missing.csv"],
        ["curate", "there.jsonl", "-o", "out", "--forget", "missing.txt"],
        ["curate", "there.jsonl", "-o", "out", "--tokenizer", "missing"],
        ["curate", "there.jsonl", "-o", "out", "--test", "folder"],
        ["plan", "smollm2-demo", "--data", "folder"],
        ["upload", "missing", "ns/data"],
        ["upload", "there.jsonl", "ns/data"],
        ["curate", "--forget", "there.jsonl", "-o", "there.jsonl"],
        ["tag", "there.jsonl", "--out", "there.jsonl/inner/out.jsonl", "--model", "m"],
        ["local", "reset", "--yes", "--dir", "there.jsonl"],
        ["run", "folder", "--data", "there.jsonl"],
        ["plan", "smollm2-demo", "--data", "there.jsonl", "--runs", "there.jsonl"],
        ["tag", "missing.jsonl", "--out", "out.jsonl", "--model", "m"],
        ["tag", "there.jsonl", "--out", "folder", "--model", "m"],
        ["jobs", "audit", "--store", "missing.sqlite"],
        ["local", "up", "--chaos", "missing.yaml"],
    ],
    ids=" ".join,
)
def test_a_named_file_that_is_not_there_is_an_error_of_usage(
    lawtags: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("LAWTAGS_PLATFORM_URL", "http://127.0.0.1:9")
    (tmp_path / "there.jsonl").write_text("{}\n")
    (tmp_path / "folder").mkdir()
    code, out, err = lawtags(*words, "--json")
    assert (code, out) == (2, "")
    assert any(word in json.loads(err)["message"] for word in words[1:] if not word.startswith("-"))


def test_a_scheduler_without_a_port_is_refused_before_there_is_a_client() -> None:
    with pytest.raises(ConfigurationError, match="somewhere"), _client("somewhere"):
        pass


def test_a_file_that_is_there_and_broken_is_no_error_of_usage(lawtags: Call, tmp_path: Path) -> None:
    (tmp_path / "broken.jsonl").write_text("{}\n")
    code, _, err = lawtags("curate", "broken.jsonl", "-o", "out", "--json")
    assert code == 1
    assert "broken.jsonl" in err


@pytest.mark.parametrize("option", ["--data", "--test"])
def test_missing_questions_are_named(lawtags: Call, tmp_path: Path, option: str) -> None:
    (tmp_path / "there.jsonl").write_text("{}\n")
    given = {"--data": "there.jsonl", "--test": "there.jsonl"} | {option: "missing.jsonl"}
    words = [word for pair in given.items() for word in pair]
    code, out, err = lawtags("run", "smollm2-demo", *words, "--json")
    assert (code, out) == (2, "")
    assert json.loads(err)["error"] == "DataError"
    assert "missing.jsonl" in err


def test_a_stack_that_is_down_is_named_with_the_setting_it_came_from(
    lawtags: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAWTAGS_PLATFORM_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LAWTAGS_MAX_RETRIES", "0")
    code, out, err = lawtags("jobs", "ls", "--json")
    assert (code, out) == (1, "")
    told = json.loads(err)
    assert "http://127.0.0.1:9" in told["message"]
    assert "LAWTAGS_PLATFORM_URL" in told["hint"]


def test_without_any_address_the_hint_names_the_ways_to_give_one(lawtags: Call) -> None:
    _, _, err = lawtags("jobs", "ls", "--json")
    assert "LAWTAGS_PLATFORM_URL" in json.loads(err)["hint"]


def test_the_doctor_tells_what_it_found_before_it_complains(lawtags: Call) -> None:
    code, out, err = lawtags("doctor", "--json", "--profile", "local")
    rows = {row["what"]: row for row in map(json.loads, out.splitlines())}
    assert rows["python"]["state"] == "ok"
    assert rows["settings"]["state"] == "failed"
    assert "lawtags local up" in rows["settings"]["fix"]
    assert (code, json.loads(err)["error"]) == (1, "LawtagsError")


def test_a_run_in_use_ends_with_75(lawtags: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAWTAGS_PLATFORM_URL", "http://127.0.0.1:9")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "data.jsonl").write_text("{}\n")
    with run_lock(tmp_path / "runs" / "small"):
        code, out, err = lawtags("run", "recipe.yaml", "--data", "data.jsonl", "--name", "small", "--json")
    assert (code, out) == (75, "")
    told = json.loads(err)
    assert told["error"] == "BusyError"
    assert f"process {os.getpid()}" in told["message"]


def test_a_finished_run_is_kept_from_other_inputs(
    lawtags: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAWTAGS_PLATFORM_URL", "http://127.0.0.1:9")
    folder = make_run(tmp_path / "runs" / "small")
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "data.jsonl").write_text("{}\n")
    named = ("run", "recipe.yaml", "--data", "data.jsonl", "--name", "small")
    words = (*named, "--set", "training.epochs=7", "--json")
    code, out, err = lawtags(*words)
    assert (code, out) == (2, "")
    told = json.loads(err)
    assert told["error"] == "RunInputsError"
    assert "training.epochs: 1 -> 7" in told["detail"]
    assert "--new" in told["hint"]

    async def answering(nemo: NeMo, config: str) -> None:
        """A platform that would answer, if the rows ever got that far."""

    monkeypatch.setattr("lawtags_client.platform.checks.require_platform", answering)
    # The next run is one of its own, however far it comes.
    for again in ("--new", "--new"):
        code, out, err = lawtags(*words, again)
        assert code == 1
        assert "data.jsonl" in err
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["small", "small-2"]
    for path, content in kept.items():
        if "ledger.sqlite" not in path.name:
            assert path.read_bytes() == content, path


def test_a_run_without_data_is_refused_even_if_an_earlier_one_had_some(
    lawtags: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAWTAGS_PLATFORM_URL", "http://127.0.0.1:9")
    folder = make_run(tmp_path / "runs" / "small")
    (tmp_path / "data.jsonl").write_text("{}\n")
    Ledger(folder / "ledger.sqlite").set_fact("data", [str(tmp_path / "data.jsonl")])
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    for more in ((), ("--new",)):
        code, _, err = lawtags("run", "recipe.yaml", "--name", "small", *more)
        assert code == 2
        assert "--data" in err
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["small"]


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (LawtagsError("no"), 1),
        (DataError("no", path="x", line=3), 1),
        (ConfigurationError("no"), 2),
        (GateNotPassedError("no"), 3),
        (BusyError("no"), 75),
        (OSError(errno.ENOSPC, "No space left on device", "/data"), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_error_has_its_exit_code(
    problem: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    import typer

    @command
    def fails(session: Session) -> None:
        raise problem

    for as_json in (True, False):
        with pytest.raises(typer.Exit) as ended:
            fails(as_json=as_json)
        assert ended.value.exit_code == code
        assert "Traceback" not in capsys.readouterr().err


def test_a_defect_is_an_object_under_json_and_a_traceback_else(capsys: pytest.CaptureFixture[str]) -> None:
    import typer

    @command
    def fails(session: Session) -> None:
        raise ZeroDivisionError("by nothing")

    with pytest.raises(ZeroDivisionError):
        fails(as_json=False)
    with pytest.raises(typer.Exit) as ended:
        fails(as_json=True)
    assert ended.value.exit_code == 1
    assert "by nothing" in json.loads(capsys.readouterr().err)["message"]


def test_what_a_server_says_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    problem = LawtagsError("said \x1b[2J[bold]this[/bold]", hint="a\x9bb", detail={"said": "\x1b\ud800"})
    explain(problem, as_json=False)
    assert capsys.readouterr().err == "Error: said \\u001b[2J[bold]this[/bold]\na\\u009bb\n"
    explain(problem, as_json=True)
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert json.loads(told)["detail"] == {"said": "\x1b\ud800"}


def test_a_script_ends_in_words_with_the_code_of_the_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @command
    def gated(session: Session) -> None:
        raise GateNotPassedError("gate not passed")

    monkeypatch.setattr(sys, "argv", ["gated.py"])
    with pytest.raises(SystemExit) as ended:
        run_script(gated, "Checks a gate.")
    assert ended.value.code == 3
    assert capsys.readouterr().err == "Error: gate not passed\n"


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_async_work_at_once_with_their_code(sent: signal.Signals, code: int) -> None:
    work = (
        "import asyncio\nfrom lawtags_client.cli.session import Session\n"
        "async def work():\n    print('begun', flush=True)\n    await asyncio.sleep(60)\n"
        "Session().run(work())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", work], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(sent)
        _, told = process.communicate(timeout=20)
    assert process.returncode == code
    assert "Repeat the command" in told


def test_json_has_no_nan_and_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    Session(json=True).emit([{"loss": float("nan"), "points": [float("inf")], "text": "\x1b\u2028\ud800"}])
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert "NaN" not in shown
    assert json.loads(shown) == {"loss": None, "points": [None], "text": "\x1b\u2028\ud800"}


def test_tables_show_brackets_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    Session().table(("name", "value"), [("[/oops]", None), ("[red]x\x1b[2J", "y")], title="[job]")
    shown = capsys.readouterr().out
    assert "[/oops]" in shown
    assert "[red]x\\u001b[2J" in shown
    assert "[job]" in shown


def test_the_local_profile_sends_everything_to_the_embedded_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = {
        "platform_url": "http://127.0.0.1:1",
        "data_store_url": "http://127.0.0.1:2",
        "inference_url": "http://127.0.0.1:3",
        "pid": os.getpid(),
    }
    (tmp_path / STACK_FOLDER).mkdir(parents=True)
    (tmp_path / STACK_FOLDER / "stack.json").write_text(json.dumps(address))
    monkeypatch.chdir(tmp_path)
    for name in ("ENTITY_STORE", "CUSTOMIZER", "EVALUATOR", "DEPLOYMENT", "DATA_STORE", "INFERENCE"):
        monkeypatch.setenv(f"LAWTAGS_{name}_URL", "http://cluster.test")
    monkeypatch.setenv("LAWTAGS_PROFILE", "local")
    settings = Session().client().settings
    for service in ("entity_store", "customizer", "evaluator", "deployments", "data_store", "inference"):
        assert settings.address(service).url.startswith("http://127.0.0.1"), service  # type: ignore[arg-type]
    # From Python it is the same word.
    assert NeMo.from_env("local").settings.inference_url == address["inference_url"]
    (tmp_path / STACK_FOLDER / "stack.json").unlink()
    with pytest.raises(ConfigurationError, match="no embedded stack is running") as caught:
        NeMo.from_env("local")
    assert caught.value.hint and "lawtags local up" in caught.value.hint


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_standard_streams_are_connected_to_nothing(closed: str, tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from lawtags_client.cli import main\n"
        "sys.argv = ['lawtags', 'recipe', 'ls']\n"
        "try: main()\n"
        "except SystemExit as end: status = end.code or 0\n"
        "opened = os.open(sys.argv[0] + '.file', os.O_CREAT | os.O_WRONLY)\n"
        "with open('found', 'w') as file: file.write(f'{status} {opened > 2}')\n"
    )
    command = f'"{sys.executable}" -c "$CODE" {closed}'
    subprocess.run(
        ["sh", "-c", command], env=os.environ | {"CODE": code}, cwd=tmp_path, check=False, timeout=60
    )
    assert (tmp_path / "found").read_text() == "0 True"
