"""The demo on NeMo Helix: which platform, and a runner that ends with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lawtags_client.cli.demo_helix import BASE_MODEL, HelixDemo
from lawtags_client.errors import ConfigurationError, LawtagsError
from lawtags_client.settings import Settings


@pytest.mark.parametrize(
    ("text", "url"),
    [("helix", None), ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"), ("https://h/x", "https://h/x")],
)
def test_a_platform_is_the_embedded_one_or_a_url(text: str, url: str | None) -> None:
    assert HelixDemo.parse(text).url == url


@pytest.mark.parametrize("text", ["", "v1", "Helix", "127.0.0.1:8080", "ftp://h"])
def test_another_platform_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--platform"):
        HelixDemo.parse(text)


def test_a_job_storage_belongs_to_a_platform_with_an_address(tmp_path: Path) -> None:
    assert HelixDemo.parse("http://h", job_storage=tmp_path).job_storage == tmp_path
    with pytest.raises(ConfigurationError, match=r"--job-storage .*/none is not a folder"):
        HelixDemo.parse("http://h", job_storage=tmp_path / "none")
    with pytest.raises(ConfigurationError, match="--job-storage"):
        HelixDemo.parse("helix", job_storage=Path("/x"))


def test_the_recipe_is_the_migrated_one() -> None:
    recipe = HelixDemo(None).recipe({"training": {"epochs": 2}})
    assert recipe.model.config == f"{BASE_MODEL}@helix"
    assert recipe.training.epochs == 2
    assert recipe.training.min_learning_rate == pytest.approx(recipe.training.learning_rate / 10)
    assert HelixDemo(None).recipe({"model": {"config": "law/other@helix"}}).model.config == "law/other@helix"


def test_a_runner_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lawtags_client.cli.demo_helix import _runner

    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(LawtagsError, match="the runner did not start: platform cannot be reached") as failed,
        _runner(Settings(platform_url="http://127.0.0.1:9", max_retries=0), serve=False),
    ):
        pass
    log = (tmp_path / ".lawtags/runner/runner.log").read_text()
    assert "127.0.0.1:9" in log
    assert (failed.value.hint or "").startswith("The address comes from platform_url (argument).")
    # Its thread that waits for the end of standard input does not disturb its own end.
    assert "Fatal Python error" not in log
