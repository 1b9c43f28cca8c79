"""A training keeps few compiled products, and computes the same with few as with many."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lawtags_client.products import has_onednn
from lawtags_stack.engines.training.process import WORKER
from lawtags_stack.processes.environment import keep_few_kernels, worker_environment

SETTINGS = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")


def losses_and_compilations(folder: Path, environment: dict[str, str]) -> tuple[list[float], int]:
    events = folder / "events.jsonl"
    told = {"ONEDNN_VERBOSE": "profile_create"}
    command = [sys.executable, "-m", WORKER, str(folder), str(events)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment | told, text=True
    ) as process:
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
    assert process.returncode == 0
    found = [json.loads(line) for line in events.read_text("utf-8").splitlines()]
    return (
        [event["value"] for event in found if "value" in event],
        sum("create:cache_miss" in line for line in lines),
    )


@pytest.mark.skipif(not has_onednn(), reason="this processor's products are torch's own")
def test_few_kernels_give_the_same_losses(make_job: Callable[..., Path]) -> None:
    environment = {name: value for name, value in worker_environment().items() if name not in SETTINGS}
    few, often = losses_and_compilations(make_job("few", batch_size=3), environment)
    many, once = losses_and_compilations(
        make_job("many", batch_size=3), environment | dict.fromkeys(SETTINGS, "1024")
    )
    assert few == many
    assert len(few) > 4
    # What is compiled again was not kept.
    assert often > once > 64


def test_a_setting_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(SETTINGS, ("7", None), strict=True):
        monkeypatch.setenv(name, value or "")
        if value is None:
            monkeypatch.delenv(name)
    keep_few_kernels()
    assert [os.environ[name] for name in SETTINGS] == ["7", "64"]
