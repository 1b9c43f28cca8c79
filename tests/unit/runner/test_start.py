from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from lawtags_client.cli.local import app
from lawtags_client.errors import BusyError, ConfigurationError
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
