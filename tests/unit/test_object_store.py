"""Copies between this machine and an object store."""

from __future__ import annotations

import uuid
from pathlib import Path

import fsspec
import pytest

from lawtags_client.errors import ConfigurationError, DataError, LawtagsError
from lawtags_client.object_store import Copied, OnExisting, StoreAddress, copy
from lawtags_client.runs.publication import publication_target, publish_run


@pytest.fixture
def bucket() -> str:
    """A folder of the store that fsspec keeps in memory."""
    return f"memory://{uuid.uuid4().hex}"


def content(address: str) -> bytes:
    with fsspec.open(address, "rb") as stream:
        return bytes(stream.read())


def test_a_file_goes_there_and_comes_back(tmp_path: Path, bucket: str) -> None:
    path = tmp_path / "frag en.jsonl"
    path.write_bytes("{'title': 'Miete für März?'}\n".encode() * 10)
    assert copy(str(path), f"{bucket}/a b/questions.jsonl") == Copied(1, path.stat().st_size)
    back = tmp_path / "deep" / "er" / "questions.jsonl"
    copy(f"{bucket}/a b/questions.jsonl", str(back))
    assert back.read_bytes() == path.read_bytes()
    assert not list(back.parent.glob(".*")), "a temporary file was left"


def test_a_folder_goes_there_and_comes_back(tmp_path: Path, bucket: str) -> None:
    for name in ("adapter_config.json", "nested/model.safetensors"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    assert copy(str(tmp_path / "in"), f"{bucket}/adapter").files == 2
    assert copy(f"{bucket}/adapter", str(tmp_path / "out")).files == 2
    assert (tmp_path / "out" / "nested" / "model.safetensors").read_text() == "nested/model.safetensors"


def test_what_exists_is_refused_kept_or_replaced(tmp_path: Path, bucket: str) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    new.write_text("new")
    old.write_text("old")
    with pytest.raises(DataError, match="exists"):
        copy(str(new), str(old))
    assert copy(str(new), str(old), on_existing=OnExisting.KEEP) == Copied(kept=1)
    assert old.read_text() == "old"
    copy(str(new), str(old), on_existing=OnExisting.REPLACE)
    assert old.read_text() == "new"


def test_a_copy_that_breaks_off_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    new.write_bytes(b"n" * 100)
    old.write_text("old")

    def break_off(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", break_off)
    with pytest.raises(LawtagsError, match="No space left"):
        copy(str(new), str(old), on_existing=OnExisting.REPLACE)
    assert old.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"new", "old"}


def test_a_missing_source_is_named(tmp_path: Path, bucket: str) -> None:
    for source in (f"{bucket}/nothing.jsonl", str(tmp_path / "nothing.jsonl")):
        with pytest.raises(DataError, match="does not exist"):
            copy(source, str(tmp_path / "out"))


def test_a_store_cannot_write_outside_of_the_destination(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fsspec.filesystem("memory")
    root = bucket.removeprefix("memory:/")
    store.pipe(f"{root}/good", b"")
    monkeypatch.setattr(type(store), "find", lambda self, path: [f"{root}/../evil"])
    with pytest.raises(DataError, match="outside"):
        copy(bucket, str(tmp_path / "out"))


@pytest.mark.parametrize(
    "address",
    ["ftp://host/file", "github://owner:repo@/file", "simplecache::s3://b/k", "s3://b/k::x", "reference://x"],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="cop"):
        StoreAddress.of(address)


def test_credentials_never_show(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as found:
        copy("s3://key:canary-77@bucket/file", str(tmp_path / "out"))
    assert "canary-77" not in str(found.value)
    assert "canary-77" not in StoreAddress.of("https://me:canary-77@example.com/a?sig=canary-77").shown


def test_only_the_published_files_of_a_run_leave_it(tmp_path: Path, bucket: str) -> None:
    run = tmp_path / "gemma-2-2b"
    run.mkdir()
    for name in ("report.html", "metrics.json", "ledger.sqlite", "rejected.jsonl"):
        (run / name).write_text(name)
    address = publish_run(run, publication_target(f"{bucket}/reports/"))
    assert address == f"{bucket}/reports/gemma-2-2b"
    assert content(f"{address}/report.html") == b"report.html"
    assert len(fsspec.filesystem("memory").find(address.removeprefix("memory:/"))) == 2


def test_nothing_is_published_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        publication_target("ftp://host/reports")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        copy(__file__, "https://example.com/file")
