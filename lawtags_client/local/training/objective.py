"""The loss: cross-entropy of the completion, with the language-model head at those positions only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from lawtags_client.local.training.batches import Batch


def completion_loss(model: Any, batch: Batch) -> torch.Tensor:
    """The sum of the losses of all learnt tokens of a batch.

    The head over a large vocabulary is a good part of a small model's work, and prompts need none of it. The
    model's own forward is used, so what an architecture does to its logits (the soft cap of Gemma 2, the
    scale of others) is done here too.
    """
    from torch.nn.functional import cross_entropy

    logits = model(input_ids=batch.tokens, logits_to_keep=batch.keep, use_cache=False).logits
    return cross_entropy(logits.view(-1, logits.shape[-1]), batch.targets, reduction="sum")
