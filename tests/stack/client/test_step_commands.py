"""``lawtags upload``, ``customize``, ``jobs`` and ``evaluate``, one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lawtags_client.cli.app import app
from lawtags_stack.stack import StackThread

pytestmark = pytest.mark.slow

Lawtags = Callable[..., Result]


@pytest.fixture
def lawtags(stack: StackThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lawtags:
    monkeypatch.chdir(tmp_path)
    environ = {
        "LAWTAGS_PLATFORM_URL": stack.platform_url,
        "LAWTAGS_DATA_STORE_URL": stack.data_store_url,
        "LAWTAGS_INFERENCE_URL": stack.inference_url,
        "LAWTAGS_INTENTS_PATH": str(tmp_path / "intents.sqlite"),
        "COLUMNS": "200",
    }

    def call(*words: str, code: int = 0) -> Result:
        done = CliRunner().invoke(app, words, env=environ)
        assert done.exit_code == code, done.output
        return done

    return call


def test_a_cancelled_job_is_told_at_once_with_the_way_to_another(lawtags: Lawtags, curated: Path) -> None:
    lawtags("upload", str(curated), "steps/cancelled")
    words = (
        "customize",
        "steps/cancelled",
        "--config",
        "tiny/llama",
        "--epochs",
        "2000",
        "--batch-size",
        "6",
    )
    job = json.loads(lawtags(*words, "--no-wait", "--json").stdout)["job"]
    again = lawtags(*words, "--no-wait")
    assert "no model is kept" in again.stdout and "None" not in again.stdout + again.stderr
    lawtags("jobs", "cancel", job)
    watched = lawtags("jobs", "watch", job, code=1).stderr
    assert f"{job} is cancelled" in watched
    assert "intent" not in watched
    told = lawtags(*words, code=1).stderr.splitlines()
    assert f"{job} is cancelled" in told[0]
    assert "--intent NAME" in told[1]
    assert len(told) == 2


def test_a_warning_is_printed_wherever_a_job_is_followed(lawtags: Lawtags, curated: Path) -> None:
    lawtags("upload", str(curated), "steps/warned")
    words = ("customize", "steps/warned", "--config", "tiny/llama", "--batch-size", "6", "--intent", "warned")
    settings = ("--set", "warmup_steps=200", "--set", "sequence_packing_enabled=true")
    packing = "Warning: Sequence packing is not used: "
    assert packing in lawtags(*words, *settings, "--no-wait").stderr
    followed = lawtags(*words, *settings, "--json")
    warmup = "Warning: warmup_steps is 200, but the run has only 4 steps: The learning rate never reaches"
    assert followed.stderr.count(warmup) == followed.stderr.count(packing) == 1
    job = json.loads(followed.stdout)["job"]
    assert warmup in lawtags("jobs", "watch", job).stdout
    events = [json.loads(line) for line in lawtags("jobs", "watch", job, "--json").stdout.splitlines()]
    warned = [each["message"] for each in events if each["event"] == "WarningIssued"]
    assert [message.split()[0] for message in warned] == ["Sequence", "warmup_steps"]


def test_an_evaluation_takes_the_name_of_a_dataset(lawtags: Lawtags, curated: Path) -> None:
    lawtags("upload", str(curated), "steps/scored")
    named = json.loads(lawtags("evaluate", "tiny/llama", "steps/scored", "--json").stdout)
    assert named["rows"] == 3
    failed = lawtags("evaluate", "tiny/none", "steps/scored", code=2).stderr
    assert "Error: tiny/none is not served" in failed
    assert "tiny/llama" in failed and "lawtags models ls" in failed
    versioned = lawtags("evaluate", "tiny/llama@v7", "steps/scored", code=2).stderr
    assert "Served versions of it: tiny/llama. Use one of them." in versioned


def test_an_empty_list_says_why_on_stderr(lawtags: Lawtags) -> None:
    for json_only in ([], ["--json"]):
        for group in ("jobs", "models"):
            done = lawtags(group, "ls", "--namespace", "zz", *json_only)
            assert done.stdout == ""
            assert "No namespace zz; namespaces: " in done.stderr and "default" in done.stderr
        done = lawtags("jobs", "ls", "--status", "unknown", "--namespace", "default", *json_only)
        assert (done.stdout, done.stderr.strip()) == ("", "No jobs with status unknown and namespace default")
