from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_models import make_model, write_rows

from lawtags_stack.engines.training.job import DATA_FOLDER, TrainingJob


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def make(architecture: str) -> Path:
        if architecture not in made:
            made[architecture] = make_model(tmp_path_factory.mktemp(architecture), architecture)
        return made[architecture]

    return make


@pytest.fixture
def make_job(tmp_path: Path, tiny_model: Callable[[str], Path]) -> Callable[..., Path]:
    """Makes a job folder with 24 training and 6 validation rows; settings override."""

    def make(name: str = "job", architecture: str = "llama", **settings: Any) -> Path:
        folder = tmp_path / name
        write_rows(folder / DATA_FOLDER / "training" / "rows.jsonl", 24)
        write_rows(folder / DATA_FOLDER / "validation" / "rows.jsonl", 6, start=24)
        job = {
            "model": str(tiny_model(architecture)),
            "model_name": f"test/{architecture}",
            "training": ("training/rows.jsonl",),
            "validation": ("validation/rows.jsonl",),
            "batch_size": 6,
            "epochs": 4,
            "learning_rate": 0.02,
            "warmup_steps": 2,
            "log_every_n_steps": 2,
            "threads": 1,
        } | settings
        TrainingJob(**job).write(folder)
        return folder

    return make


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
