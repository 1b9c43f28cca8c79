from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from shared_launcher import shared_launcher
from tiny_models import make_model, write_rows

from lawtags_client import sample
from lawtags_stack.base_models import DEFAULT_BASE_MODEL
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights, of the architecture of the stack's own base and of a size for tests."""
    return make_model(tmp_path_factory.mktemp("docs-base") / "smollm2", "llama")


@pytest.fixture(scope="session")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Gemma 2 with random weights, of a size for tests."""
    return make_model(tmp_path_factory.mktemp("docs-gemma") / "gemma", "gemma2")


@pytest.fixture(scope="session")
def stack(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    """A stack with the names that `lawtags local up` starts with, and none besides."""
    options = StackOptions(
        refresh_interval=0.1,
        base_models={DEFAULT_BASE_MODEL: base},
        training_threads=1,
        inference_threads=1,
    )
    with StackThread(
        tmp_path_factory.mktemp("docs-stack"), options=options, launcher=shared_launcher()
    ) as running:
        yield running


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one user keeps between programs: intents, above all."""
    return tmp_path_factory.mktemp("docs-home")


@pytest.fixture
def desk(
    stack: StackThread, gemma: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder that a reader of the pages works in, whose environment names the stack."""
    for split, rows, start in (("training", 64, 0), ("validation", 16, 64), ("testing", 4, 80)):
        write_rows(tmp_path / "curated" / split / f"{split}.jsonl", rows, start=start)
    with sample.path().open(encoding="utf-8") as questions:
        (tmp_path / "questions.jsonl").write_text("".join(islice(questions, 60)), encoding="utf-8")
    (tmp_path / "deletions.txt").write_text("900001\n")
    (tmp_path / "gemma-2-2b-it").symlink_to(gemma)
    urls = {
        "platform_url": stack.platform_url,
        "data_store_url": stack.data_store_url,
        "inference_url": stack.inference_url,
    }
    profile = "".join(f'{name} = "{url}"\n' for name, url in urls.items())
    (tmp_path / "lawtags.toml").write_text(f"schema_version = 1\n[profiles.cluster]\n{profile}")
    for name in [name for name in os.environ if name.startswith("LAWTAGS_") or name.endswith("_BASE_URL")]:
        monkeypatch.delenv(name)
    for name, url in urls.items():
        monkeypatch.setenv(f"LAWTAGS_{name.upper()}", url)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return tmp_path
