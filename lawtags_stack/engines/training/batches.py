"""Deterministic batching: the seed alone decides batches and order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lawtags_stack.engines.training.examples import Example, Sized

if TYPE_CHECKING:
    import torch


_BUCKET = 32  # batches sorted by length together: enough to avoid padding, few enough to stay shuffled


def epoch_batches(examples: Sequence[Sized], *, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of one epoch as indices: shuffled, with examples of similar length together.

    Args:
        examples: the training set.
        batch_size: examples per step; the last batch may be smaller.
        seed: the job's seed.
        epoch: counted from zero; the order of an epoch does not depend on earlier epochs.
    """
    order = list(range(len(examples)))
    source = random.Random(f"{seed}/{epoch}")
    source.shuffle(order)
    batches: list[list[int]] = []
    window = batch_size * _BUCKET
    for start in range(0, len(order), window):
        bucket = sorted(order[start : start + window], key=lambda index: examples[index].width)
        batches.extend(bucket[first : first + batch_size] for first in range(0, len(bucket), batch_size))
    source.shuffle(batches)
    return batches


def split_by_tokens(indices: Sequence[int], examples: Sequence[Sized], limit: int) -> list[list[int]]:
    """Split a batch into parts of at most ``limit`` padded tokens, longest examples first.

    The parts only limit memory: their gradients add up to the gradient of the whole batch.
    """
    ordered = sorted(indices, key=lambda index: examples[index].width, reverse=True)
    parts: list[list[int]] = []
    room = 0
    for index in ordered:
        if room == 0:
            parts.append([])
            room = max(limit // examples[index].width, 1)
        parts[-1].append(index)
        room -= 1
    return parts


def hold_out(count: int, *, seed: int, share: float = 0.1) -> tuple[list[int], list[int]]:
    """Split ``count`` rows into those for training (rounded up) and a share for validation."""
    order = list(range(count))
    random.Random(f"{seed}/hold-out").shuffle(order)
    kept = count - int(count * share)
    return sorted(order[:kept]), sorted(order[kept:])


@dataclass(frozen=True, slots=True)
class PaddedBatch:
    """Token ids padded on the right, the positions to predict from, and the targets there."""

    tokens: torch.Tensor
    keep: torch.Tensor
    targets: torch.Tensor


def collate(examples: Sequence[Example], *, padding: int, device: torch.device | str = "cpu") -> PaddedBatch:
    """Combine examples into one batch on a device.

    Nothing is predicted from the last token of an example, so it is only a target. Padding is on the right,
    where causal attention never looks, so no attention mask is needed.
    """
    import torch

    width = max(len(example.tokens) for example in examples)
    tokens = torch.full((len(examples), width), padding, dtype=torch.long)
    learnt = torch.zeros((len(examples), width), dtype=torch.bool)
    for row, example in enumerate(examples):
        tokens[row, : len(example.tokens)] = torch.tensor(example.tokens, dtype=torch.long)
        learnt[row, : len(example.learnt)] = torch.tensor(example.learnt, dtype=torch.bool)
    keep = learnt[:, 1:].contiguous()
    targets = tokens[:, 1:][keep]
    return PaddedBatch(tokens[:, :-1].contiguous().to(device), keep.to(device), targets.to(device))
