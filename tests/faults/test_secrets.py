"""Canaries in every place that a secret may stand in, and a search through everything that is written."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_proxy import Answer, FaultProxy
from submitting import CONFIG, DATASET, waiting_stack

from lawtags_client.cli.session import LogFormatter
from lawtags_stack.stack import StackThread

LAWTAGS = Path(sys.executable).with_name("lawtags")
CANARY = "canary-7c1f9e"
SECRETS = {
    "LAWTAGS_TOKEN": f"{CANARY}-platform",
    "LAWTAGS_DATA_STORE_TOKEN": f"{CANARY}-store",
    "LAWTAGS_INFERENCE_TOKEN": f"{CANARY}-inference",
    "WANDB_API_KEY": f"{CANARY}-wandb",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    with waiting_stack(tmp_path_factory.mktemp("platform")) as running:
        yield running


def environment(stack: StackThread, folder: Path, platform: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LAWTAGS_", "WANDB_"))}
    return (
        kept
        | SECRETS
        | {
            "LAWTAGS_PLATFORM_URL": platform,
            "LAWTAGS_DATA_STORE_URL": stack.data_store_url,
            "LAWTAGS_INFERENCE_URL": stack.inference_url,
            "LAWTAGS_INTENTS_PATH": str(folder / "intents.sqlite"),
            "LAWTAGS_MAX_RETRIES": "0",
            "HOME": str(folder),
        }
    )


COMMANDS = [
    ["doctor", "-vv"],
    ["customize", DATASET, "--config", CONFIG, "-m", "law/canary", "--no-wait", "-vv"],
    ["customize", "law/none", "--config", CONFIG, "--no-wait", "-vv", "--json"],
    ["jobs", "audit", "-vv"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_secret_is_printed_or_written_in_verbose_mode(
    stack: StackThread, tmp_path: Path, words: list[str]
) -> None:
    with FaultProxy(stack.platform_url, lambda _: "pass") as proxy:
        done = subprocess.run(
            [LAWTAGS, *words],
            cwd=tmp_path,
            env=environment(stack, tmp_path, proxy.url),
            capture_output=True,
            text=True,
            timeout=60,
        )
        sent = [message.header("authorization") for message in proxy.messages]
    assert sent and all(each == f"Bearer {SECRETS['LAWTAGS_TOKEN']}" for each in sent)
    assert "DEBUG" in done.stderr
    assert CANARY not in done.stdout + done.stderr
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


SHOW, TRAIN = ["jobs", "show", "cust-1"], ["customize", DATASET, "--config", CONFIG]


@pytest.mark.parametrize(
    ("words", "status", "as_json"),
    [(SHOW, 200, True), (SHOW, 401, False), (TRAIN, 400, True), (TRAIN, 500, False)],
    ids=["200", "401", "400", "500"],
)
def test_secrets_echoed_by_a_server_are_redacted(
    stack: StackThread, tmp_path: Path, words: list[str], status: int, as_json: bool
) -> None:
    told = json.dumps({"detail": f"bad header Bearer {SECRETS['LAWTAGS_TOKEN']}", "id": 7}).encode()
    answer = Answer(status, told, (("content-type", "application/json"),))
    with FaultProxy(None, lambda _: answer) as proxy:
        done = subprocess.run(
            [LAWTAGS, *words, "-vv", *(["--json"] if as_json else [])],
            cwd=tmp_path,
            env=environment(stack, tmp_path, proxy.url),
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode in (1, 2)
    assert CANARY not in done.stdout + done.stderr


def test_token_of_a_detached_stack_is_in_no_command_line_and_no_file(tmp_path: Path) -> None:
    environ = os.environ | {"LAWTAGS_TOKEN": f"{CANARY}-stack"}
    up = [LAWTAGS, "local", "up", "--detach", "--port", "0", "--dir", tmp_path / "stack", "--json"]
    done = subprocess.run(up, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    try:
        lines = _command_lines()
        assert any("lawtags" in line for line in lines)
        assert not any(CANARY in line for line in lines)
    finally:
        down = [LAWTAGS, "local", "down", "--dir", tmp_path / "stack"]
        subprocess.run(down, env=environ, capture_output=True, timeout=60, check=True)
    assert CANARY not in done.stdout + done.stderr
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


def _command_lines() -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:
            continue
    return found


HOSTILE = "job [bold red]failed[/]\nERROR lawtags: all jobs were deleted\x1b[2J\x1b]0;owned\x07\r\u2028\u202e"


def test_foreign_log_line_stays_one_line_without_control_characters() -> None:
    record = logging.LogRecord("lawtags", logging.WARNING, __file__, 1, "said %s", (HOSTILE,), None)
    shown = LogFormatter("%(levelname)s %(name)s: %(message)s").format(record)
    assert len(shown.splitlines()) == 1
    assert not {"\x1b", "\x07", "\r", "\u2028", "\u202e"} & set(shown)
    assert "[bold red]" in shown
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        record = logging.LogRecord("lawtags", logging.INFO, __file__, 1, "x", (), sys.exc_info())
    shown = LogFormatter("%(message)s").format(record)
    assert "Traceback" in shown and not {"\x1b", "\x07", "\r"} & set(shown)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([*SHOW, "-vv"], 200),
        (["jobs", "ls", "--json"], 200),
        (["jobs", "logs", "cust-1"], 200),
        ([*SHOW, "-vv"], 404),
        ([*SHOW, "--json"], 503),
    ],
    ids=["show", "ls", "logs", "404", "503"],
)
def test_hostile_server_controls_no_terminal_and_forges_no_line(
    tmp_path: Path, words: list[str], status: int
) -> None:
    job = {"id": "cust-1", "status": HOSTILE, "output_model": HOSTILE, "custom_fields": {HOSTILE: HOSTILE}}
    body = {"detail": HOSTILE, **job, "data": [job], "entries": {HOSTILE: {"logs": {"x": HOSTILE}}}}
    answer = Answer(
        status, json.dumps(body).encode(), (("content-type", "application/json"), ("x-request-id", "r"))
    )
    environ = os.environ | {"LAWTAGS_MAX_RETRIES": "1", "COLUMNS": "400"}
    with FaultProxy(None, lambda _: answer) as proxy:
        environ["LAWTAGS_PLATFORM_URL"] = proxy.url
        done = subprocess.run(
            [LAWTAGS, *words], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60
        )
    shown = done.stdout + done.stderr
    assert not {"\x1b", "\x07", "\u2028", "\u202e"} & set(shown)
    if "--json" in words:
        assert all(isinstance(json.loads(line), dict) for line in done.stdout.splitlines())
    if words[1] != "logs":  # whose lines are the server's to break
        assert not any(line.startswith("ERROR lawtags: all jobs") for line in shown.splitlines())
