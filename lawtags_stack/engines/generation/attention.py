"""Attention over a batch of concatenated rows, without padding.

All tokens of a step form one sequence of length N, so the linear layers do no work on padding. Only attention
needs to know which token belongs to which row: an ``AttentionPlan`` describes it, and the function
registered with transformers as ``ATTENTION`` applies it. Keys and values of unfinished rows are in ``Slots``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product as pairs
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn.functional import scaled_dot_product_attention

from lawtags_client.products import has_onednn, product

if TYPE_CHECKING:
    from torch import Tensor

ATTENTION = "lawtags_packed"
_LONG = 192  # minimum queries per row at which computing by blocks pays off
_BLOCK = 128  # queries per block: their scores fit into the CPU cache
_current = threading.local()


@dataclass(slots=True)
class Prefix:
    """Keys and values of a prefix shared by several rows, per layer as (heads, length, size)."""

    tokens: tuple[int, ...]
    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory use in bytes."""
        return sum(t.nbytes for store in (self.keys, self.values) for t in store.values())


@dataclass(slots=True)
class Slots:
    """Keys and values of the rows in progress, per layer as (slot, position, heads, size)."""

    count: int = 0
    capacity: int = 0
    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)

    def reserve(self, count: int, capacity: int) -> None:
        """Reserve memory for ``count`` rows of ``capacity`` tokens; never shrinks."""
        if count <= self.count and capacity <= self.capacity:
            return
        self.count, self.capacity = max(count, self.count), max(capacity, self.capacity)
        for store in (self.keys, self.values):
            for layer, old in store.items():
                store[layer] = self._enlarged(old)

    def _enlarged(self, old: Tensor) -> Tensor:
        new = old.new_zeros((self.count, self.capacity, *old.shape[2:]))
        new[: old.shape[0], : old.shape[1]] = old
        return new

    def clear(self) -> None:
        """Free the memory."""
        self.count = self.capacity = 0
        self.keys.clear()
        self.values.clear()

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first tokens of a row to another slot."""
        for store in (self.keys, self.values):
            for tensor in store.values():
                tensor[target, :length] = tensor[source, :length]

    def wipe(self, slot: int) -> None:
        """Zero a slot: a NaN would affect the next row there even if masked."""
        for store in (self.keys, self.values):
            for tensor in store.values():
                tensor[slot] = 0

    def put_prefix(self, slot: int, prefix: Prefix) -> None:
        """Start a row with precomputed keys and values."""
        length = len(prefix.tokens)
        for store, source in ((self.keys, prefix.keys), (self.values, prefix.values)):
            for layer, tensor in source.items():
                self._ensure(store, layer, tensor.shape[0], tensor.shape[2], tensor)
                store[layer][slot, :length] = tensor.transpose(0, 1)

    def write(self, layer: int, plan: AttentionPlan, key: Tensor, value: Tensor) -> None:
        """Store the keys and values of the tokens that belong to slots."""
        for store, tensor in ((self.keys, key), (self.values, value)):
            self._ensure(store, layer, tensor.shape[1], tensor.shape[3], tensor)
            rows = tensor[0].transpose(0, 1).index_select(0, plan.slot_tokens)
            store[layer][plan.slot_ids, plan.slot_positions] = rows

    def _ensure(self, store: dict[int, Tensor], layer: int, heads: int, size: int, like: Tensor) -> None:
        if layer not in store:
            store[layer] = like.new_zeros((self.count, self.capacity, heads, size))


@dataclass(frozen=True, slots=True)
class FreshRows:
    """Rows of equal length whose keys and values are not needed after the step."""

    start: int
    rows: int
    length: int
    prefix: Prefix | None


@dataclass(frozen=True, slots=True)
class GrowingRow:
    """A row in a slot with several new tokens."""

    start: int
    length: int
    slot: int
    past: int


@dataclass(slots=True)
class AttentionPlan:
    """Which tokens attend to which in one step.

    Args:
        fresh: rows that exist for this step only.
        growing: rows in slots with several new tokens.
        decode_tokens: indices of the tokens of rows in slots with exactly one new token.
        decode_slots: their slots.
        decode_lengths: their lengths, including the new token.
        decode_longest: the maximum of these.
        decode_first: whether their slots are the first ones, in order and without a gap.
        slot_tokens, slot_ids, slot_positions: index, slot and position of each token to store in a slot.
        capture: receives the keys and values of the step's first tokens, to compute a prefix.
    """

    fresh: list[FreshRows]
    growing: list[GrowingRow]
    decode_tokens: Tensor
    decode_slots: Tensor
    decode_lengths: Tensor
    decode_longest: int
    decode_first: bool
    slot_tokens: Tensor
    slot_ids: Tensor
    slot_positions: Tensor
    slots: Slots
    capture: list[tuple[FreshRows, Prefix]] = field(default_factory=list)


@contextmanager
def use_plan(plan: AttentionPlan) -> Iterator[None]:
    """Use the plan in forward calls of this thread inside the block."""
    _current.plan = plan
    try:
        yield
    finally:
        _current.plan = None


class AttentionLayer(Protocol):
    """The attributes of transformers' attention layers that are used here."""

    layer_idx: int


def packed_attention(
    module: AttentionLayer,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Attention with the signature of transformers; masking follows the plan, not ``attention_mask``."""
    plan: AttentionPlan = _current.plan
    layer = module.layer_idx
    kind = _Kind(scaling if scaling is not None else query.shape[-1] ** -0.5, sliding_window, softcap)
    out = query.new_empty((1, query.shape[2], query.shape[1], value.shape[-1]))
    for group in plan.fresh:
        _fresh(out, group, query, key, value, layer, kind)
    for group, prefix in plan.capture:
        part = slice(group.start, group.start + group.length)
        prefix.keys[layer], prefix.values[layer] = key[0, :, part].clone(), value[0, :, part].clone()
    if plan.slot_tokens.numel():
        plan.slots.write(layer, plan, key, value)
        for row in plan.growing:
            _growing(out, row, query, plan.slots, layer, kind)
        if plan.decode_tokens.numel():
            _decode(out, plan, query, layer, kind)
    return out, None


@dataclass(frozen=True, slots=True)
class _Kind:
    scale: float
    window: int | None
    softcap: float | None

    def attend(self, query: Tensor, key: Tensor, value: Tensor, ends: Tensor | None = None) -> Tensor:
        """Compute causal attention.

        Args:
            query, key, value: (rows, heads, positions, size).
            ends: number of valid keys per row, for rows with one query; None if all keys are valid and the
                queries are at the last positions.
        """
        queries, keys = query.shape[2], key.shape[2]
        window = self.window if self.window is not None and keys > self.window else None
        plain = ends is None and window is None and self.softcap is None
        if plain and queries >= _LONG and query.is_cpu and has_onednn():
            return _causal_by_blocks(query * self.scale, key, value)
        if plain and queries in (1, keys):
            return scaled_dot_product_attention(
                query, key, value, is_causal=queries > 1, scale=self.scale, enable_gqa=True
            )
        columns = torch.arange(keys, device=query.device)
        positions = columns[None, keys - queries :] if ends is None else ends[:, None] - 1
        mask = columns <= positions[:, None, :, None]
        if window is not None:
            mask &= columns > positions[:, None, :, None] - window
        if self.softcap is None:
            return scaled_dot_product_attention(
                query, key, value, attn_mask=mask, scale=self.scale, enable_gqa=True
            )
        return self._softcapped(query, key, value, mask)

    def _softcapped(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        assert self.softcap is not None
        repeat = query.shape[1] // key.shape[1]
        if repeat > 1:
            key, value = key.repeat_interleave(repeat, 1), value.repeat_interleave(repeat, 1)
        scores = query @ key.transpose(-1, -2) * self.scale
        scores = torch.tanh(scores / self.softcap) * self.softcap
        return scores.masked_fill(~mask, -torch.inf).softmax(-1) @ value


def _causal_by_blocks(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Causal attention of long rows by blocks, about twice as fast as torch's: a block stops at its end."""
    out = torch.empty_like(query)
    length, shared = query.shape[2], query.shape[1] // key.shape[1]
    past = key.shape[2] - length
    key, value = key.contiguous(), value.contiguous()
    for start in range(0, length, _BLOCK):
        end = min(start + _BLOCK, length)
        future = torch.ones(end - start, end - start, dtype=torch.bool).triu_(1)
        for row, group in pairs(range(query.shape[0]), range(key.shape[1])):
            heads = slice(group * shared, (group + 1) * shared)
            scores = product(query[row, heads, start:end], key[row, group, : past + end])
            scores[:, :, past + start :].masked_fill_(future, -torch.inf)
            out[row, heads, start:end] = product(scores.softmax(-1), value[row, group, : past + end].t())
    return out


def _fresh(
    out: Tensor, group: FreshRows, query: Tensor, key: Tensor, value: Tensor, layer: int, kind: _Kind
) -> None:
    end = group.start + group.rows * group.length

    def rows(tensor: Tensor) -> Tensor:  # (1, heads, N, size) -> (rows, heads, length, size)
        heads, size = tensor.shape[1], tensor.shape[3]
        part = tensor[0, :, group.start : end]
        return part.reshape(heads, group.rows, group.length, size).transpose(0, 1)

    keys, values = rows(key), rows(value)
    if group.prefix is not None:
        keys = _after(group.prefix.keys[layer], keys)
        values = _after(group.prefix.values[layer], values)
    found = kind.attend(rows(query), keys, values)
    out[0, group.start : end] = found.transpose(1, 2).flatten(0, 1)


def _after(prefix: Tensor, rows: Tensor) -> Tensor:
    return torch.cat([prefix.expand(rows.shape[0], -1, -1, -1), rows], dim=2)


def _growing(out: Tensor, row: GrowingRow, query: Tensor, slots: Slots, layer: int, kind: _Kind) -> None:
    part, total = slice(row.start, row.start + row.length), row.past + row.length
    keys = slots.keys[layer][row.slot, None, :total].transpose(1, 2)
    values = slots.values[layer][row.slot, None, :total].transpose(1, 2)
    found = kind.attend(query[:, :, part], keys, values)
    out[0, part] = found[0].transpose(0, 1)


def _decode(out: Tensor, plan: AttentionPlan, query: Tensor, layer: int, kind: _Kind) -> None:
    longest = plan.decode_longest
    count = plan.decode_slots.numel()
    keys, values = plan.slots.keys[layer], plan.slots.values[layer]
    if plan.decode_first:
        keys, values = keys[:count, :longest], values[:count, :longest]  # no copy
    else:
        keys = keys[:, :longest].index_select(0, plan.decode_slots)
        values = values[:, :longest].index_select(0, plan.decode_slots)
    rows = query[0].index_select(1, plan.decode_tokens).transpose(0, 1)[:, :, None]
    found = kind.attend(rows, keys.transpose(1, 2), values.transpose(1, 2), plan.decode_lengths)
    out[0].index_copy_(0, plan.decode_tokens, found[:, :, 0])


def register() -> None:
    """Register ``ATTENTION`` with transformers; idempotent."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, packed_attention)
