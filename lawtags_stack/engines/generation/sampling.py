"""Chooses the next tokens from logits, and computes their log-probabilities."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from lawtags_client.errors import ConfigurationError, ServerError
from lawtags_stack.engines.generation.answer_builder import failure
from lawtags_stack.engines.generation.request import TokenScore

if TYPE_CHECKING:
    from torch import Tensor

    from lawtags_stack.engines.generation.constraints import Constraints
    from lawtags_stack.engines.generation.rows import GenerationRow
    from lawtags_stack.engines.generation.token_text import TokenText

_COLDEST = 1e-5
"""Below this temperature the most likely token is chosen; logits differ by more than this (as in vLLM)."""

_FARTHEST = 1e30
"""Logits are clamped to this range, so that their differences are finite."""


def choose(rows: Sequence[GenerationRow], logits: Tensor, constraints: Constraints) -> list[int]:
    """Choose the next token of each row; the logits are not modified. A row that fails gets a fault."""
    most, places = logits.max(-1)
    chosen: list[int] = places.tolist()
    for place, (row, value) in enumerate(zip(rows, most.tolist(), strict=True)):
        try:
            # If a value is NaN, so is the maximum.
            if not math.isfinite(value):
                raise ServerError("The model's logits for the next token are not numbers", status=500)
            chosen[place] = _chosen(row, logits[place], chosen[place], constraints)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic in a Rust library is not an Exception
            row.fault = failure(error)
    return chosen


def _chosen(row: GenerationRow, logits: Tensor, likeliest: int, constraints: Constraints) -> int:
    asked = row.sampling
    penalised = (asked.frequency_penalty, asked.presence_penalty, asked.repetition_penalty) != (0, 0, 1)
    greedy = asked.temperature < _COLDEST
    if greedy and row.matcher is None and not penalised:
        return likeliest
    values = logits.clone()
    if penalised:
        _penalise(values, row)
    if row.matcher is not None:
        allowed = torch.from_numpy(constraints.allowed(row.matcher))
        if not allowed.any():
            raise ConfigurationError("The constraint allows no further token", hint="Change it.")
        values.masked_fill_(~allowed.to(values.device), -torch.inf)
    return int(values.argmax()) if greedy else _draw(values, row)


def _penalise(values: Tensor, row: GenerationRow) -> None:
    asked = row.sampling
    if asked.repetition_penalty != 1:
        seen = torch.tensor(sorted(set(row.tokens)), device=values.device)
        # In double precision, since a tiny penalty may push a logit beyond a float's range; MPS has no
        # doubles.
        old = values[seen].cpu().double()
        new = torch.where(old > 0, old / asked.repetition_penalty, old * asked.repetition_penalty)
        values[seen] = new.clamp(-_FARTHEST, _FARTHEST).to(values)
    if asked.frequency_penalty != 0 or asked.presence_penalty != 0:
        for token, count in Counter(row.tokens[row.prompt_length :]).items():
            values[token] -= count * asked.frequency_penalty + asked.presence_penalty


def _draw(values: Tensor, row: GenerationRow) -> int:
    """Sample a token: temperature, then ``min_p``, ``top_k`` and ``top_p``, in vLLM's order."""
    asked = row.sampling
    # Subtract the maximum first, so that nothing overflows at low temperatures.
    scaled = (values - values.max()) / asked.temperature
    if asked.min_p > 0:
        scaled[scaled < math.log(asked.min_p)] = -torch.inf
    if 0 < asked.top_k < len(scaled):
        # Tokens that tie with the k-th one are kept, too.
        scaled[scaled < scaled.topk(asked.top_k).values[-1]] = -torch.inf
    chances = scaled.softmax(-1)
    if asked.top_p < 1:
        ordered, tokens = chances.sort(descending=True)
        # Keep a token if those before it have less than top_p probability; the most likely one is always
        # kept.
        ordered[(ordered.cumsum(0) - ordered) >= asked.top_p] = 0
        ordered[0] = max(float(ordered[0]), 1e-30)
        return int(tokens[torch.multinomial(ordered, 1, generator=row.generator)])
    return int(torch.multinomial(chances, 1, generator=row.generator))


def score(rows: Sequence[GenerationRow], logits: Tensor, chosen: Sequence[int], text: TokenText) -> None:
    """Store the log-probabilities of the chosen tokens in the rows that request them."""
    places = [p for p, row in enumerate(rows) if row.sampling.logprobs is not None and row.fault is None]
    if not places:
        return
    wanted = logits if len(places) == len(rows) else logits[places]
    total = wanted.logsumexp(-1, keepdim=True)
    most = max(rows[place].sampling.logprobs or 0 for place in places)
    best, tokens = wanted.topk(min(max(most, 1), wanted.shape[-1]), dim=-1)
    best = best - total
    taken = torch.tensor([[chosen[place]] for place in places], device=wanted.device)
    own = wanted.gather(1, taken) - total
    table = zip(places, best.tolist(), tokens.tolist(), own[:, 0].tolist(), strict=True)
    for place, values, ids, logprob in table:
        row = rows[place]
        count = row.sampling.logprobs or 0
        top = tuple((text.name_of(i), v) for i, v in zip(ids[:count], values[:count], strict=True))
        row.new_scores.append(TokenScore(text.name_of(chosen[place]), logprob, top))
