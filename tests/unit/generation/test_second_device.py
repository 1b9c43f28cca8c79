"""The engine computes on the device that it is given, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from second_device import SECOND, second_device

from lawtags_stack.engines.device import Compute
from lawtags_stack.engines.generation.engine import Engine
from lawtags_stack.engines.generation.limits import Limits
from lawtags_stack.engines.generation.request import Answer, Constraint, Sampling

PROMPTS = [
    "Title: Can pricing be trademarked?\nTags:",
    "Title: lease\nTags:",
    "Title: Who owns a photo taken at work, and who may sell it to others later on?\nTags:",
    "law",
]
ASKED = (
    Sampling(1, temperature=0, logprobs=5),
    Sampling(5, temperature=0, logprobs=2, ignore_eos=True),
    Sampling(4, temperature=0, constraint=Constraint("choice", '["copyright", "contract-law"]')),
    Sampling(3, temperature=0, logprobs=1, repetition_penalty=1.3, frequency_penalty=0.5, ignore_eos=True),
    Sampling(3, temperature=0.8, top_p=0.9, top_k=20, min_p=0.01, seed=3, n=2, ignore_eos=True),
)


def answered(engine: Engine, adapters: list[str | None]) -> list[Answer]:
    shared = ["user system assistant question answer: " * 4 + prompt for prompt in PROMPTS]
    found = engine.generate(shared, ASKED[0], adapters=adapters)
    for asked in ASKED:
        found += engine.generate(PROMPTS, asked, adapters=adapters)
    return found


@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
def test_answers_on_a_second_device_are_those_on_the_cpu(
    tiny_model: Callable[[str], Path],
    tiny_adapters: list[Path],
    architecture: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made(compute: Compute) -> Engine:
        engine = Engine.load(tiny_model(architecture), limits=Limits(step_tokens=64), compute=compute)
        if architecture == "llama":
            folder = tiny_adapters[0]
            engine.add_adapter("all", folder / "adapter_config.json", folder / "adapter_model.safetensors")
        return engine

    adapters = ["all" if architecture == "llama" and place % 2 else None for place in range(len(PROMPTS))]
    expected = answered(made(Compute(torch.device("cpu"), "float32")), adapters)
    with second_device(monkeypatch):
        engine = made(Compute(SECOND, "float32"))
        found = answered(engine, adapters)
        assert {each.device for each in engine._model.parameters()} == {SECOND}
    for one, other in zip(found, expected, strict=True):
        assert (one.text, one.tokens) == (other.text, other.tokens)
        for score, plain in zip(one.scores, other.scores, strict=True):
            assert score.logprob == pytest.approx(plain.logprob, abs=1e-4)


def test_large_products_are_computed_in_the_precision_that_was_chosen(
    tiny_model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Sampling(1, temperature=0, logprobs=5)
    exact = Engine.load(tiny_model("qwen2")).generate(PROMPTS, asked)
    with second_device(monkeypatch):
        engine = Engine.load(tiny_model("qwen2"), compute=Compute(SECOND, "bfloat16"))
        found = engine.generate(PROMPTS, asked)
    off = [
        abs(one.scores[0].top[0][1] - other.scores[0].top[0][1])
        for one, other in zip(found, exact, strict=True)
    ]
    assert 1e-6 < max(off) < 0.5


def test_a_tensor_made_in_the_wrong_place_is_caught(
    tiny_model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with second_device(monkeypatch):
        engine = Engine.load(tiny_model("llama"), compute=Compute(SECOND, "float32"))
        engine._device = torch.device("cpu")  # from here on batches are laid out on the CPU
        with pytest.raises(Exception, match="found meta and cpu"):
            engine.generate(PROMPTS, Sampling(2, temperature=0))
