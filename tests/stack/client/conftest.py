from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from client_kit import connect
from shared_launcher import shared_launcher
from tiny_models import make_model, write_rows

from lawtags_client import NeMo
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    """A running stack with a tiny base model, shared: make your names unique."""
    base = make_model(tmp_path_factory.mktemp("base") / "llama")
    options = StackOptions(
        refresh_interval=0.1,
        base_models={"tiny/llama": base},
        training_threads=1,
        inference_threads=1,
        empty_commit_url=True,
    )
    with StackThread(
        tmp_path_factory.mktemp("client-stack"), options=options, launcher=shared_launcher()
    ) as running:
        yield running


@pytest.fixture(scope="session")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of rows as curation leaves one."""
    folder: Path = tmp_path_factory.mktemp("curated")
    for split, rows, start in (("training", 24, 0), ("validation", 6, 24), ("testing", 3, 30)):
        write_rows(folder / split / f"{split}.jsonl", rows, start=start)
    return folder


@pytest.fixture
async def nemo(stack: StackThread, tmp_path: Path) -> AsyncIterator[NeMo]:
    """A client of the shared stack with intents of its own."""
    async with connect(stack, tmp_path) as client:
        yield client
