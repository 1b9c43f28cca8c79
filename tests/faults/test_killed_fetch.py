"""``lawtags models get``, killed in the middle and repeated, on both platforms."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from recipe_runs import LAWTAGS, environment, lawtags
from shared_launcher import shared_launcher

from lawtags_client.client import NeMo
from lawtags_client.helix.client import Helix
from lawtags_client.services.data_store.repositories import Repository
from lawtags_client.settings import Settings
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

SIZE = 48 << 20
HEADER = json.dumps({"w": {"dtype": "U8", "shape": [SIZE], "data_offsets": [0, SIZE]}}).encode()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path | bytes]:
    """An adapter whose weights take a while."""
    weights = tmp_path_factory.mktemp("weights") / "adapter_model.safetensors"
    block = os.urandom(1 << 20)
    weights.write_bytes(struct.pack("<Q", len(HEADER)) + HEADER + block * (SIZE >> 20))
    return {"adapter_config.json": b"{}", "adapter_model.safetensors": weights, "README.md": b"# Tagger"}


@pytest.fixture(params=["v1", "helix"])
def stack(
    request: pytest.FixtureRequest, tmp_path: Path, files: dict[str, Path | bytes]
) -> Iterator[StackThread]:
    """A platform with the adapter ``law/tagger``."""
    options = StackOptions(dialect=request.param)
    with StackThread(tmp_path / "stack", options=options, launcher=shared_launcher()) as running:
        asyncio.run(_offer(running, files, helix=request.param == "helix"))
        yield running


async def _offer(stack: StackThread, files: dict[str, Path | bytes], *, helix: bool) -> None:
    if helix:
        async with Helix(base_url=stack.platform_url, workspace="law") as client:
            await client.workspaces.ensure(name="law")
            for name in ("base", "tagger"):
                await client.filesets.ensure(name=name)
            await client.filesets.upload("tagger", files)
            await client.models.create(name="base", fileset="base")
            await client.adapters.register("base", name="tagger", fileset="tagger")
        return
    settings = Settings.load(platform_url=stack.platform_url, data_store_url=stack.data_store_url)
    async with NeMo(settings) as nemo:
        await nemo.data_store.prepare(Repository.of("law/tagger", "model"))
        await nemo.data_store.upload_files("law/tagger", files, repo_type="model")


def test_a_killed_fetch_leaves_no_folder_and_is_repeated(
    stack: StackThread, tmp_path: Path, files: dict[str, Path | bytes]
) -> None:
    place = tmp_path / ".got.partial" / "new"
    command = ("models", "get", "law/tagger", "--out", "got")
    with subprocess.Popen(
        [LAWTAGS, *command], cwd=tmp_path, env=environment(stack), stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 120
        while not any(0 < size < SIZE for size in _sizes(place)):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.002)
        process.kill()
    assert not (tmp_path / "got").exists()
    again = lawtags(stack, tmp_path, *command, "--json")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert (told["kind"], set(told["files"])) == ("adapter", set(files))
    assert {path.name for path in (tmp_path / "got").iterdir()} == set(files)
    for name, content in files.items():
        assert (tmp_path / "got" / name).read_bytes() == (
            content if isinstance(content, bytes) else content.read_bytes()
        )
    assert not (tmp_path / ".got.partial").exists()
    refused = lawtags(stack, tmp_path, *command)
    assert (refused.returncode, "exists already" in refused.stderr) == (2, True), refused.stderr


def _sizes(place: Path) -> list[int]:
    """Sizes of the hidden files in which weights arrive."""
    found = []
    for path in place.glob(".*") if place.is_dir() else ():
        try:
            found.append(path.stat().st_size)
        except FileNotFoundError:
            continue
    return found
