"""Arranges the tokens of a step in one sequence, and plans which tokens attend to which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import torch

from lawtags_stack.engines.generation.attention import AttentionPlan, FreshRows, GrowingRow, Prefix, Slots

if TYPE_CHECKING:
    from torch import Tensor

    from lawtags_stack.engines.generation.rows import GenerationRow


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """A step, ready to run.

    Args:
        tokens: (1, N) token ids.
        positions: (1, N) positions within the rows.
        segments: adapter, and the range of its tokens.
        plan: the attention plan.
        ready: rows whose next token can be chosen after the step.
        last: indices of these rows' last tokens.
        taken: rows, with the number of tokens that the step computes for them.
    """

    tokens: Tensor
    positions: Tensor
    segments: list[tuple[str, int, int]]
    plan: AttentionPlan
    ready: list[GenerationRow]
    last: Tensor
    taken: list[tuple[GenerationRow, int]]


class _Layout:
    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.positions: list[int] = []
        self.segments: list[tuple[str, int, int]] = []
        self.fresh: list[FreshRows] = []
        self.growing: list[GrowingRow] = []
        self.decode: list[tuple[int, int, int]] = []
        self.stored: list[tuple[int, int, int]] = []
        self.ready: list[GenerationRow] = []
        self.last: list[int] = []

    def put(self, row: GenerationRow, count: int) -> int:
        """Append a row's next tokens, and return the index of the first."""
        start = len(self.tokens)
        self.tokens += row.tokens[row.computed : row.computed + count]
        self.positions += range(row.computed, row.computed + count)
        if row.computed + count == len(row.tokens):
            self.ready.append(row)
            self.last.append(len(self.tokens) - 1)
        return start

    def put_slotted(self, row: GenerationRow, count: int) -> None:
        assert row.slot is not None
        start, past = self.put(row, count), row.computed
        if count == 1:
            self.decode.append((start, row.slot, past + 1))
        else:
            self.growing.append(GrowingRow(start, count, row.slot, past))
        self.stored += [(start + place, row.slot, past + place) for place in range(count)]

    def put_fresh(self, rows: Sequence[GenerationRow]) -> None:
        rows = sorted(rows, key=_fresh_key)
        for _, group in groupby(rows, key=_fresh_key):
            alike = list(group)
            starts = [self.put(row, row.pending) for row in alike]
            self.fresh.append(FreshRows(starts[0], len(alike), alike[0].pending, alike[0].prefix))


def _fresh_key(row: GenerationRow) -> tuple[int, int]:
    return (id(row.prefix) if row.prefix else 0, row.pending)


def lay_out(taken: Sequence[tuple[GenerationRow, int]], slots: Slots, device: torch.device) -> TokenBatch:
    """Arrange a step.

    Args:
        taken: rows, and the number of their pending tokens to compute; rows without a slot must be complete.
        slots: keys and values of rows with a slot.
        device: the device of the step.
    """
    layout = _Layout()
    by_adapter = sorted(taken, key=lambda pair: (pair[0].adapter or "", _slot_order(pair[0])))
    for adapter, group in groupby(by_adapter, key=lambda pair: pair[0].adapter):
        start, pairs = len(layout.tokens), list(group)
        layout.put_fresh([row for row, _ in pairs if row.slot is None])
        for row, count in pairs:
            if row.slot is not None:
                layout.put_slotted(row, count)
        if adapter is not None:
            layout.segments.append((adapter, start, len(layout.tokens)))
    return _finished(layout, slots, list(taken), device)


def _slot_order(row: GenerationRow) -> int:
    return -1 if row.slot is None else row.slot


def _finished(
    layout: _Layout, slots: Slots, taken: list[tuple[GenerationRow, int]], device: torch.device
) -> TokenBatch:
    by_slot = sorted(layout.decode, key=lambda item: item[1])
    decode = torch.tensor(by_slot, dtype=torch.long, device=device).reshape(-1, 3)
    stored = torch.tensor(layout.stored, dtype=torch.long, device=device).reshape(-1, 3)
    plan = AttentionPlan(
        fresh=layout.fresh,
        growing=layout.growing,
        decode_tokens=decode[:, 0],
        decode_slots=decode[:, 1],
        decode_lengths=decode[:, 2],
        # Computed here, since reading them from a GPU would stall each layer.
        decode_longest=max((length for _, _, length in by_slot), default=0),
        decode_first=[slot for _, slot, _ in by_slot] == list(range(len(by_slot))),
        slot_tokens=stored[:, 0],
        slot_ids=stored[:, 1],
        slot_positions=stored[:, 2],
        slots=slots,
    )
    return TokenBatch(
        tokens=torch.tensor([layout.tokens], device=device),
        positions=torch.tensor([layout.positions], device=device),
        segments=layout.segments,
        plan=plan,
        ready=layout.ready,
        last=torch.tensor(layout.last, dtype=torch.long, device=device),
        taken=taken,
    )


def lay_out_prefix(adapter: str | None, prefix: Prefix, device: torch.device) -> TokenBatch:
    """Arrange a step that only computes a prefix's keys and values."""
    length = len(prefix.tokens)
    whole = FreshRows(0, 1, length, None)
    none = torch.empty(0, dtype=torch.long, device=device)
    plan = AttentionPlan(
        [whole], [], none, none, none, 0, False, none, none, none, Slots(), capture=[(whole, prefix)]
    )
    return TokenBatch(
        tokens=torch.tensor([prefix.tokens], device=device),
        positions=torch.arange(length, device=device)[None],
        segments=[(adapter, 0, length)] if adapter is not None else [],
        plan=plan,
        ready=[],
        last=torch.tensor([length - 1], device=device),
        taken=[],
    )
