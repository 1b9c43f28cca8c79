"""The engine on the default base model: what a tiny random model cannot show."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from tiny_models import make_adapter

from lawtags_stack.base_models import ensure_default_base_model
from lawtags_stack.engines.generation.request import Constraint, Sampling

pytestmark = pytest.mark.slow
PROMPTS = [
    "The capital of France is",
    "Title: Can pricing be trademarked?\nTags:",
    "Title: Is a verbal agreement about a garage binding in Texas if nobody wrote it down?\nTags:",
    "The opposite of hot is",
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from lawtags_stack.engines.generation.engine import Engine

    folder = ensure_default_base_model()
    made = Engine.load(folder)
    adapter: Path = make_adapter(tmp_path_factory.mktemp("adapter"), folder, r=16, lora_alpha=1)
    made.add_adapter("tuned", adapter / "adapter_config.json", adapter / "adapter_model.safetensors")
    return made


def test_it_knows_the_capital_of_france(engine: Any) -> None:
    answer = engine.generate(PROMPTS[:1], Sampling(1, temperature=0, logprobs=20))[0]
    assert answer.text == " Paris"
    chances = [math.exp(logprob) for _, logprob in answer.scores[0].top]
    assert chances == sorted(chances, reverse=True)
    assert 0.5 < sum(chances) <= 1


def test_a_batch_of_base_and_adapter_answers_as_single_requests_do(engine: Any) -> None:
    adapters = ["tuned", None, "tuned", None]
    asked = Sampling(8, temperature=0, logprobs=5)
    together = engine.generate(PROMPTS, asked, adapters=adapters)
    for prompt, name, answer in zip(PROMPTS, adapters, together, strict=True):
        alone = engine.generate([prompt], asked, adapters=[name])[0]
        assert answer.text == alone.text
        for one, other in zip(answer.scores, alone.scores, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-3)
    base = engine.generate(PROMPTS[:1], asked)[0]
    assert together[0].scores[0].logprob != pytest.approx(base.scores[0].logprob, abs=1e-3)


def test_an_answer_can_be_held_to_choices(engine: Any) -> None:
    constraint = Constraint("choice", '[" Lyon", " Paris", " Marseille"]')
    assert engine.generate(PROMPTS[:1], Sampling(8, temperature=0, constraint=constraint))[0].text == " Paris"
