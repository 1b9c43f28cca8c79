"""Penalties and the choice of tokens are those of transformers, which has the same parameters."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from lawtags_stack.engines.generation import sampling
from lawtags_stack.engines.generation.request import Sampling
from lawtags_stack.engines.generation.rows import GenerationRow

SIZE = 50
PROMPT = [3, 1, 4, 1, 5]
NO_CONSTRAINTS: Any = None


def drawn(logits: torch.Tensor, asked: Sampling, draws: int = 400) -> set[int]:
    """The tokens that come up in many draws, whose chances are made even."""
    row = GenerationRow("r", 0, None, [*PROMPT, 9, 9], len(PROMPT), asked)
    row.generator = torch.Generator().manual_seed(1)
    found = {sampling.choose([row], logits[None], NO_CONSTRAINTS)[0] for _ in range(draws)}
    assert row.fault is None
    return found


@pytest.mark.parametrize(
    "fields",
    [
        {"top_k": 5},
        {"top_k": SIZE + 10},
        {"min_p": 0.3},
        {"top_p": 0.6},
        {"top_k": 8, "top_p": 0.7, "min_p": 0.1},
        {"top_k": 3, "temperature": 2.0, "min_p": 0.9},
        {"repetition_penalty": 1.8, "top_k": 4},
        {"repetition_penalty": 0.4, "top_k": 4},
    ],
)
def test_tokens_are_drawn_from_those_that_transformers_keeps(fields: dict[str, Any]) -> None:
    asked = Sampling(max_tokens=4, **fields)
    logits = torch.linspace(-1, 1, SIZE)[torch.randperm(SIZE, generator=torch.Generator().manual_seed(7))]
    seen, kept = torch.tensor([[*PROMPT, 9, 9]]), logits[None].clone()
    kept = RepetitionPenaltyLogitsProcessor(asked.repetition_penalty)(seen, kept)
    kept = TemperatureLogitsWarper(asked.temperature)(seen, kept)
    if asked.min_p:
        kept = MinPLogitsWarper(asked.min_p)(seen, kept)
    if asked.top_k:
        kept = TopKLogitsWarper(min(asked.top_k, SIZE))(seen, kept)
    if asked.top_p < 1:
        kept = TopPLogitsWarper(asked.top_p)(seen, kept)
    expected = set(kept[0].isfinite().nonzero()[:, 0].tolist())
    assert drawn(logits, asked, draws=2000) == expected


def test_a_repetition_penalty_changes_the_likeliest_token_and_leaves_the_logits_alone() -> None:
    logits = torch.zeros(SIZE)
    logits[9], logits[20] = 2.0, 1.5
    before = logits.clone()
    assert drawn(logits, Sampling(max_tokens=4, temperature=0), 1) == {9}
    assert drawn(logits, Sampling(max_tokens=4, temperature=0, repetition_penalty=1.5), 1) == {20}
    assert torch.equal(logits, before)


@pytest.mark.parametrize("penalty", [5e-324, 1e-40, 1e38, 1.7e308])
def test_extreme_penalties_still_choose_a_token(penalty: float) -> None:
    logits = torch.linspace(-5, 5, SIZE)
    asked = Sampling(max_tokens=4, repetition_penalty=penalty, top_k=2, min_p=1e-300)
    assert drawn(logits, asked, 5) <= set(range(SIZE))
