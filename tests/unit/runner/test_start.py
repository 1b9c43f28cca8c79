from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from lawtags_client.cli.local import app
from lawtags_client.errors import BusyError, ConfigurationError, DataError, ServerError
from lawtags_client.helix.client import Helix
from lawtags_client.locks import FolderLock
from lawtags_stack.runner.options import RunnerOptions
from lawtags_stack.runner.start import LOCK_FILE, offer_base_model, run_runner


def said(line: str) -> None:
    """Nobody listens."""


def answering(status: int) -> httpx.MockTransport:
    return httpx.MockTransport(lambda request: httpx.Response(status, json={"detail": "Not Found"}))


async def test_a_server_that_is_not_helix_is_refused(tmp_path: Path) -> None:
    helix = Helix(base_url="http://127.0.0.1:1", handler=answering(404))
    with pytest.raises(ConfigurationError, match="is not NeMo Helix"):
        await run_runner(helix, RunnerOptions(folder=tmp_path), say=said)


async def test_two_runners_do_not_share_a_folder(tmp_path: Path) -> None:
    helix = Helix(base_url="http://127.0.0.1:1", handler=answering(500))
    held = FolderLock(tmp_path, lambda holder: BusyError("held"), file=LOCK_FILE)
    with held, pytest.raises(BusyError, match="another runner uses the folder") as busy:
        await run_runner(helix, RunnerOptions(folder=tmp_path), say=said)
    assert "--dir" in str(busy.value.hint)


async def test_a_folder_without_safetensors_is_not_uploaded(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    helix = Helix(base_url="http://127.0.0.1:1", handler=answering(500))
    with pytest.raises(ConfigurationError, match="has no safetensors weights; it holds pytorch_model"):
        await offer_base_model(helix, "law/base", tmp_path)
    with pytest.raises(ConfigurationError, match="is not a folder"):
        await offer_base_model(helix, "law/base", tmp_path / "missing")


async def test_weights_that_are_damaged_or_incomplete_are_not_uploaded(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    weights = tmp_path / "model-1.safetensors"
    entry = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    header = json.dumps(entry).encode()
    weights.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    helix = Helix(base_url="http://127.0.0.1:1", handler=answering(500))
    with pytest.raises(DataError, match="'a' does not fit into the file"):
        await offer_base_model(helix, "law/base", tmp_path)
    weights.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    index = {"weight_map": {"a": weights.name, "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"the file 'model-2\.safetensors' is missing"):
        await offer_base_model(helix, "law/base", tmp_path)
    # Shards that were merged: transformers reads the one file, and not the index that is left.
    weights.rename(tmp_path / "model.safetensors")
    with pytest.raises(ServerError):
        await offer_base_model(helix, "law/base", tmp_path)


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({"workspace": "Law_X"}, "the workspace 'Law_X'"),
        ({"job_storage": Path("/none")}, "--job-storage /none"),
    ],
)
async def test_wrong_options_are_refused_before_anything_is_asked(
    options: Any, refused: str, tmp_path: Path
) -> None:
    helix = Helix(base_url="http://127.0.0.1:1", handler=answering(500))
    with pytest.raises(ConfigurationError, match=refused):
        await run_runner(helix, RunnerOptions(folder=tmp_path, **options), say=said)
    assert not list(tmp_path.iterdir())


def test_a_platform_that_does_not_answer_ends_the_command_with_its_address(tmp_path: Path) -> None:
    words = ["runner", "--platform", "http://127.0.0.1:1", "--dir", str(tmp_path), "--json"]
    done = CliRunner().invoke(app, words, env={"LAWTAGS_MAX_RETRIES": "0"})
    assert done.exit_code == 1
    assert "http://127.0.0.1:1" in done.output


@pytest.mark.parametrize("text", ["tiny", "tiny=folder", "a/b/c=folder", "/b"])
def test_base_models_of_another_form_are_refused(tmp_path: Path, text: str) -> None:
    done = CliRunner().invoke(app, ["runner", "--dir", str(tmp_path), "--base-model", text])
    assert done.exit_code == 2
    assert "workspace/name=FOLDER" in done.output
