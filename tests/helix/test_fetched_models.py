"""Models and adapters of Helix on this machine: whole, resumed, and never outside their folder."""

from __future__ import annotations

import asyncio
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_kit import StillTime

from lawtags_client.errors import ConfigurationError, DataError, NotFoundError, ProtocolError
from lawtags_client.helix.client import Helix
from lawtags_client.platform.helix_model_files import fetch_from_fileset
from lawtags_client.platform.model_files import FetchedModel

SIZE = 300_000
HEADER = json.dumps({"w": {"dtype": "U8", "shape": [SIZE], "data_offsets": [0, SIZE]}}).encode()
WEIGHTS = struct.pack("<Q", len(HEADER)) + HEADER + bytes(range(250)) * (SIZE // 250)
FILES = {"README.md": b"# Tagger\n", "adapter_config.json": b"{}", "adapter_model.safetensors": WEIGHTS}
BASE = {"config.json": b"{}", "model.safetensors": WEIGHTS}
COMPOSITE = "law/base&adapters/law/tagger"


class SmallPlatform:
    """Models, adapters and filesets in memory.

    Attributes:
        files: path to content, by fileset.
        models: fileset of each model; None if it has none.
        adapters: fileset of each adapter of the base model.
        cut: bytes after which downloads of weights break off; empty if they do not.
        sent: bytes that were sent of each file.
    """

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = {"tagger-files": dict(FILES if files is None else files), "base": dict(BASE)}
        self.models: dict[str, str | None] = {"base": "law/base", "served": None}
        self.adapters = {"tagger": "tagger-files"}
        self.cut: list[int] = []
        self.sent: dict[str, int] = {}

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        _, _, service, _, _, workspace, what, name, *rest = path.split("/", 9)
        known: dict[str, str | None] = {**self.models} if what == "models" else {**self.adapters}
        if workspace != "law":
            return httpx.Response(404, json={"detail": "not found"})
        if service == "models":
            if name not in known:
                return httpx.Response(404, json={"detail": f"{what} {name} not found"})
            entity = {"name": name, "workspace": "law", "fileset": known[name]}
            return httpx.Response(200, json=entity | ({"model": "base"} if what == "adapters" else {}))
        files = self.files[name]
        if rest == ["files"]:
            listed = [{"path": path, "size": len(body)} for path, body in files.items()]
            return httpx.Response(200, json={"data": listed})
        return self._read(request, rest[-1].removeprefix("-/"), files)

    def _read(self, request: httpx.Request, path: str, files: dict[str, bytes]) -> httpx.Response:
        asked = request.headers.get("range", "bytes=0-")
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        body = files[path][start:]
        if self.cut and path.endswith(".safetensors"):
            body = body[: self.cut[0]]
            return httpx.Response(206, content=self._broken(path, body))
        self.sent[path] = self.sent.get(path, 0) + len(body)
        return httpx.Response(206 if start else 200, content=body)

    async def _broken(self, path: str, body: bytes) -> Any:
        self.sent[path] = self.sent.get(path, 0) + len(body)
        yield body
        raise httpx.ReadError("cut off")


def fetch(platform: SmallPlatform, name: str, folder: Path) -> FetchedModel:
    async def work() -> FetchedModel:
        async with Helix(
            base_url="http://helix.test",
            workspace="law",
            clock=StillTime().clock(),
            handler=httpx.MockTransport(platform),
        ) as helix:
            return await fetch_from_fileset(helix, name, folder)

    return asyncio.run(work())


@pytest.mark.parametrize("name", ["tagger", "law/tagger", COMPOSITE])
def test_an_adapter_is_fetched_whole_and_never_overwritten(name: str, tmp_path: Path) -> None:
    done = fetch(SmallPlatform(), name, tmp_path / "got")
    assert (done.kind, done.source, done.commit) == ("adapter", "law/tagger-files", None)
    assert done.size == sum(map(len, FILES.values()))
    assert done.files == {name: hashlib.sha256(body).hexdigest() for name, body in FILES.items()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "got").iterdir()} == FILES
    platform = SmallPlatform()
    with pytest.raises(DataError, match="exists already"):
        fetch(platform, name, tmp_path / "got")
    assert platform.sent == {}


def test_a_whole_model_is_fetched_too(tmp_path: Path) -> None:
    done = fetch(SmallPlatform(), "law/base", tmp_path / "got")
    assert (done.kind, set(done.files)) == ("weights", set(BASE))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("law/nobody", "no model or adapter law/nobody"),
        ("elsewhere/tagger", "no model or adapter elsewhere/tagger"),
        ("law/served", "its entity names no fileset"),
        ("law/other&adapters/law/tagger", "belongs to law/base, not to law/other"),
        ("law/base&adapters/law/nobody", "nobody not found"),
    ],
)
def test_what_has_no_files_is_an_error(name: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=what):
        fetch(SmallPlatform(), name, tmp_path / "got")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "Law/Tagger", "law/tagger/x", "../tagger", "law/base&adapters/"])
def test_a_name_that_helix_does_not_take_is_refused_here(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        fetch(SmallPlatform(), name, tmp_path / "got")
    assert list(tmp_path.iterdir()) == []


def test_one_name_of_two_entities_is_not_guessed(tmp_path: Path) -> None:
    platform = SmallPlatform()
    platform.models["tagger"] = "law/base"
    with pytest.raises(ConfigurationError, match="a model and of an adapter") as caught:
        fetch(platform, "law/tagger", tmp_path / "got")
    assert caught.value.hint and COMPOSITE in caught.value.hint
    assert fetch(platform, COMPOSITE, tmp_path / "got").kind == "adapter"


def test_what_has_arrived_is_kept_after_an_interruption(tmp_path: Path) -> None:
    platform = SmallPlatform()
    platform.cut = [0]
    with pytest.raises(Exception, match="cut off"):
        fetch(platform, "law/tagger", tmp_path / "got")
    assert not (tmp_path / "got").exists()
    new = tmp_path / ".got.partial" / "new"
    assert (new / "README.md").read_bytes() == FILES["README.md"]
    # As a killed process leaves it, with a file of another version beside it.
    (new / ".adapter_model.safetensors.lawtags-part").write_bytes(WEIGHTS[:200_000])
    (new / "of-another-version").write_text("x")
    platform.cut, platform.sent = [], {}
    fetch(platform, "law/tagger", tmp_path / "got")
    assert {path.name: path.read_bytes() for path in (tmp_path / "got").iterdir()} == FILES
    # Only the rest, and the end of what was here.
    assert platform.sent["adapter_model.safetensors"] == len(WEIGHTS) - 200_000 + (64 << 10)
    assert not (tmp_path / ".got.partial").exists()


def test_files_of_another_version_are_replaced(tmp_path: Path) -> None:
    platform = SmallPlatform()
    new = tmp_path / ".got.partial" / "new"
    new.mkdir(parents=True)
    (new / "adapter_model.safetensors").write_bytes(WEIGHTS[:-1] + b"\xff")
    (new / "adapter_config.json").write_bytes(b"{} ")
    (new / "README.md").write_bytes(b"# Other\n"[:-1])
    fetch(platform, "law/tagger", tmp_path / "got")
    assert {path.name: path.read_bytes() for path in (tmp_path / "got").iterdir()} == FILES


@pytest.mark.parametrize(
    "path",
    [
        "../out.safetensors",
        "/etc/out.safetensors",
        "a/../../out.safetensors",
        "a\\b.safetensors",
        "adapter_config.json/x",
        ".adapter_model.safetensors.lawtags-part",
        "nul\x00.safetensors",
        "x" * 300 + ".safetensors",
    ],
)
def test_a_hostile_file_name_leaves_nothing_anywhere(path: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises((ProtocolError, DataError)):
        fetch(SmallPlatform(FILES | {path: b"x"}), "law/tagger", tmp_path / "in" / "got")
    assert not (tmp_path / "in" / "got").exists()
    assert [each.name for each in tmp_path.iterdir()] == ["in"]
    assert [each.name for each in (tmp_path / "in").iterdir()] in ([], [".got.partial"])


def test_a_model_without_weights_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no weights on the platform; there is: README\.md"):
        fetch(SmallPlatform({"README.md": b"# Tagger\n"}), "law/tagger", tmp_path / "got")
    with pytest.raises(NotFoundError, match="has no files"):
        fetch(SmallPlatform({}), "law/tagger", tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_damaged_weights_are_no_success(tmp_path: Path) -> None:
    files = FILES | {"adapter_model.safetensors": WEIGHTS[:-1]}
    with pytest.raises(DataError, match="does not fit into the file"):
        fetch(SmallPlatform(files), "law/tagger", tmp_path / "got")
    assert not (tmp_path / "got").exists()
