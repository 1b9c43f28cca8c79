"""From logits to the next tokens and their log-probabilities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from lawtags_client.local.generation.request import TokenScore

if TYPE_CHECKING:
    from torch import Tensor

    from lawtags_client.local.generation.constraints import Constraints
    from lawtags_client.local.generation.rows import Row
    from lawtags_client.local.generation.token_text import TokenText


def choose(rows: Sequence[Row], logits: Tensor, constraints: Constraints) -> list[int]:
    """The next token of each row; the logits are not changed."""
    chosen = logits.argmax(-1).tolist()
    for place, row in enumerate(rows):
        asked = row.sampling
        penalised = asked.frequency_penalty != 0 or asked.presence_penalty != 0
        if asked.temperature <= 0 and row.matcher is None and not penalised:
            continue
        values = logits[place].clone()
        if penalised:
            _penalise(values, row)
        if row.matcher is not None:
            allowed = torch.from_numpy(constraints.allowed(row.matcher))
            values.masked_fill_(~allowed, -torch.inf)
        chosen[place] = int(values.argmax()) if asked.temperature <= 0 else _draw(values, row)
    return chosen


def _penalise(values: Tensor, row: Row) -> None:
    for token, count in Counter(row.tokens[row.prompt_length :]).items():
        values[token] -= count * row.sampling.frequency_penalty + row.sampling.presence_penalty


def _draw(values: Tensor, row: Row) -> int:
    chances = (values / row.sampling.temperature).softmax(-1)
    if row.sampling.top_p < 1:
        ordered, tokens = chances.sort(descending=True)
        # A token stays if those before it do not yet hold the wanted mass; the likeliest always stays.
        ordered[(ordered.cumsum(0) - ordered) >= row.sampling.top_p] = 0
        ordered[0] = max(float(ordered[0]), 1e-30)
        return int(tokens[torch.multinomial(ordered, 1, generator=row.generator)])
    return int(torch.multinomial(chances, 1, generator=row.generator))


def score(rows: Sequence[Row], logits: Tensor, chosen: Sequence[int], text: TokenText) -> None:
    """Note the log-probabilities of the chosen tokens in the rows that asked for them."""
    places = [place for place, row in enumerate(rows) if row.sampling.logprobs is not None]
    if not places:
        return
    wanted = logits if len(places) == len(rows) else logits[places]
    total = wanted.logsumexp(-1, keepdim=True)
    most = max(rows[place].sampling.logprobs or 0 for place in places)
    best, tokens = wanted.topk(max(most, 1), dim=-1)
    best = best - total
    own = wanted.gather(1, torch.tensor([[chosen[place]] for place in places])) - total
    table = zip(places, best.tolist(), tokens.tolist(), own[:, 0].tolist(), strict=True)
    for place, values, ids, logprob in table:
        row = rows[place]
        count = row.sampling.logprobs or 0
        top = tuple((text.name_of(i), v) for i, v in zip(ids[:count], values[:count], strict=True))
        row.new_scores.append(TokenScore(text.name_of(chosen[place]), logprob, top))
