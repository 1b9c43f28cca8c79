from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_models import make_adapter, make_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @functools.cache
    def make(architecture: str) -> Path:
        return make_model(tmp_path_factory.mktemp(architecture), architecture)

    return make


@pytest.fixture(scope="session")
def tiny_adapters(tiny_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two LoRA adapters of the tiny Llama, one on all linear layers and one on some."""
    base = tiny_model("llama")
    folder = tmp_path_factory.mktemp("adapters")
    return [
        make_adapter(folder / "all", base, target_modules="all-linear", r=4, lora_alpha=32, seed=1),
        make_adapter(folder / "some", base, target_modules=["q_proj", "down_proj"], r=2, use_rslora=True),
    ]


@pytest.fixture
def engine(tiny_model: Callable[[str], Path], tiny_adapters: list[Path]) -> Any:
    """An engine on the tiny Llama with both adapters."""
    from lawtags_stack.engines.generation.engine import Engine

    made = Engine.load(tiny_model("llama"))
    for name, folder in zip(("all", "some"), tiny_adapters, strict=True):
        made.add_adapter(name, folder / "adapter_config.json", folder / "adapter_model.safetensors")
    return made


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
