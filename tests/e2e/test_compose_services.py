"""Services of the compose file, as processes with their own commands and health checks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from free_ports import free_ports

ROOT = Path(__file__).parents[2]
MLFLOW = os.environ.get("LAWTAGS_MLFLOW") or shutil.which("mlflow", path=ROOT / ".venv-mlflow" / "bin")
PATIENCE = 300.0


def service_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"][name]
    return found


@contextmanager
def started(name: str, program: str | Path, folder: Path) -> Iterator[str]:
    """Start a service with a folder in place of ``/data``; yields its URL once it is healthy."""
    service = service_of(name)
    asked = re.search(r":(\d+)/", service["healthcheck"]["test"][-1])
    assert asked is not None
    port = str(free_ports(1))

    def here(word: str) -> str:
        return word.replace("0.0.0.0", "127.0.0.1").replace("/data", str(folder)).replace(asked[1], port)

    words = [here(str(word)) for word in (*service["entrypoint"][1:], *service["command"])]
    check = [sys.executable, *(word.replace(asked[1], port) for word in service["healthcheck"]["test"][2:])]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [program, *words],
            env=os.environ | service["environment"] | {"HOME": str(folder)},
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=folder,
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(check, stderr=subprocess.DEVNULL).returncode:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(120)


def test_tensorboard_shows_the_curves_of_all_runs(tmp_path: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for run in ("demo", "gemma-2-2b-2026-11-27"):
        writer = EventFileWriter(str(tmp_path / "runs" / run / "tensorboard"))
        loss = Summary.Value(tag="train_loss", simple_value=1.5)
        writer.add_event(Event(step=1, wall_time=1e9, summary=Summary(value=[loss])))
        writer.close()
    with started("tensorboard", Path(sys.executable).parent / "tensorboard", tmp_path) as url:
        deadline = time.monotonic() + PATIENCE
        tags: dict[str, Any] = {}
        while len(tags) < 2 and time.monotonic() < deadline:
            tags = httpx.get(f"{url}/data/plugin/scalars/tags").json()
    assert set(tags) == {"demo/tensorboard", "gemma-2-2b-2026-11-27/tensorboard"}
    assert all(set(found) == {"train_loss"} for found in tags.values())


@pytest.mark.skipif(MLFLOW is None, reason="no MLflow server: make mlflow installs one")
def test_mlflow_keeps_runs_in_its_volume(tmp_path: Path) -> None:
    assert MLFLOW is not None
    with started("mlflow", MLFLOW, tmp_path) as url:
        made = httpx.post(f"{url}/api/2.0/mlflow/experiments/create", json={"name": "law"}, timeout=60)
        assert made.status_code == 200, made.text
        found = httpx.get(f"{url}/api/2.0/mlflow/experiments/get-by-name?experiment_name=law", timeout=60)
    assert found.json()["experiment"]["name"] == "law"
    assert b"law" in (tmp_path / "mlflow.sqlite").read_bytes()
