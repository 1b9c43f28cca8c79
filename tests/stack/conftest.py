from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lawtags_stack.stack import StackThread


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    """A running stack without models, shared: make your names unique."""
    with StackThread(tmp_path_factory.mktemp("shared") / "stack") as running:
        yield running


@pytest.fixture(autouse=True)
def hugging_face_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep Hugging Face clients away from the user's caches and credentials."""
    home: Path = tmp_path_factory.mktemp("hf")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    return home
