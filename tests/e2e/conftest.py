from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from recipe_runs import BASE
from shared_launcher import shared_launcher
from tiny_models import make_model

from lawtags_client import sample
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the base model."""
    return make_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def stack(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    options = StackOptions(
        refresh_interval=0.2, base_models={BASE: base}, training_threads=1, inference_threads=1
    )
    with StackThread(
        tmp_path_factory.mktemp("e2e") / "stack", options=options, launcher=shared_launcher()
    ) as running:
        yield running


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the bundled sample, enough for every part of the split."""
    path = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    with sample.path().open(encoding="utf-8") as source:
        lines = [next(source) for _ in range(220)]
    path.write_text("".join(lines), encoding="utf-8")
    return path
