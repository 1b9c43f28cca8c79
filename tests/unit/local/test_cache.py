from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import pytest
from tiny_models import make_tokenizer

from lawtags_client.cache import CACHE_VARIABLE, cache_folder, find_cached
from lawtags_client.runs.tokens import token_counter

PART, MARKER = "base-models/tiny", "record.json"


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache below a file: not even root can write there."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    return tmp_path / "file"


def stand_in(tmp_path: Path) -> Path:
    return tmp_path / f"lawtags-cache-{os.getuid()}"


def test_cache_that_can_be_written_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert find_cached(PART, MARKER) == tmp_path / "cache" / "lawtags" / PART
    assert not stand_in(tmp_path).exists()


@pytest.mark.usefixtures("no_cache")
def test_unwritable_default_cache_is_replaced_and_the_log_says_where(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = find_cached(PART, MARKER)
    assert found == stand_in(tmp_path) / PART
    assert stand_in(tmp_path).stat().st_mode & 0o777 == 0o700
    assert str(cache_folder()) in caplog.text and str(stand_in(tmp_path)) in caplog.text
    assert "Not a directory" in caplog.text and CACHE_VARIABLE in caplog.text


def test_nothing_is_written_to_the_working_directory_without_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What platformdirs answers where neither HOME nor the list of users tells of a home.
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: f"~/.cache/{name}")
    monkeypatch.chdir(tmp_path)
    assert find_cached(PART, MARKER) == stand_in(tmp_path) / PART
    assert not (tmp_path / "~").exists()


def test_what_a_cache_holds_is_used_though_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("lawtags_client.cache._why_not", lambda folder: "Read-only file system")
    (tmp_path / "cache" / "lawtags" / PART).mkdir(parents=True)
    (tmp_path / "cache" / "lawtags" / PART / MARKER).write_text("{}")
    assert find_cached(PART, MARKER) == tmp_path / "cache" / "lawtags" / PART
    assert find_cached("base-models/other", MARKER) == stand_in(tmp_path) / "base-models/other"


def test_configured_cache_is_never_replaced(no_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(no_cache))
    assert find_cached(PART, MARKER) == no_cache / PART


def test_folder_that_others_can_write_is_not_trusted(no_cache: Path, tmp_path: Path) -> None:
    stand_in(tmp_path).mkdir()
    stand_in(tmp_path).chmod(0o777)
    assert find_cached(PART, MARKER) == no_cache / "lawtags" / PART


@pytest.mark.usefixtures("no_cache")
def test_tokenizer_is_found_where_its_model_had_to_be_put(tmp_path: Path) -> None:
    make_tokenizer(find_cached("base-models/tiny", "tokenizer.json"))
    counter = token_counter("tiny")
    assert counter.exact and counter.count("Title: Is a verbal lease binding?") > 3
