"""Training objectives; for answers to learn, the cross-entropy of their tokens.

The language-model head is computed only at the positions of learned tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lawtags_stack.engines.training.batches import collate
from lawtags_stack.engines.training.examples import Sized

if TYPE_CHECKING:
    import torch

    from lawtags_stack.engines.training.batches import PaddedBatch
    from lawtags_stack.engines.training.examples import Example
    from lawtags_stack.engines.training.model import TrainableModel

GRADIENT_NORM = 1.0  # constant of the real platform

ItemT = TypeVar("ItemT", bound=Sized)


class Objective(Protocol[ItemT]):
    """A loss over items of one kind; ``gradient_norm`` is the maximum norm of their gradients."""

    gradient_norm: float

    def prepared(self, model: TrainableModel, items: Sequence[ItemT]) -> Sequence[ItemT]:
        """Add what must be computed with the untrained model to the items."""
        ...

    def weight(self, items: Sequence[ItemT]) -> int:
        """The divisor of a batch's summed losses."""
        ...

    def loss(self, model: TrainableModel, items: Sequence[ItemT]) -> tuple[torch.Tensor, int | None]:
        """Return the summed losses of items, and the number of correct items, if known."""
        ...


class CompletionObjective:
    """The objective of learning to write answers."""

    gradient_norm = GRADIENT_NORM

    def prepared(self, model: TrainableModel, items: Sequence[Example]) -> Sequence[Example]:
        """The items unchanged."""
        return items

    def weight(self, items: Sequence[Example]) -> int:
        """The number of learned tokens."""
        return sum(sum(example.learnt[1:]) for example in items)

    def loss(self, model: TrainableModel, items: Sequence[Example]) -> tuple[torch.Tensor, int | None]:
        """The summed losses of all learned tokens."""
        batch = collate(items, padding=model.padding, device=model.compute.device)
        with model.compute.autocast():
            return completion_loss(model.module, batch), None


def completion_loss(model: Any, batch: PaddedBatch) -> torch.Tensor:
    """The summed losses of all learned tokens of a batch."""
    return token_losses(model, batch, reduction="sum")


def token_losses(model: Any, batch: PaddedBatch, *, reduction: str = "none") -> torch.Tensor:
    """The losses of the learned tokens of a batch, row by row.

    The head over a large vocabulary is a large part of a small model's work, and prompts do not need it. The
    model's own forward is used, so architecture-specific changes to logits (the soft cap of Gemma 2, scaling)
    apply here, too.
    """
    from torch.nn.functional import cross_entropy

    logits = model(input_ids=batch.tokens, logits_to_keep=batch.keep, use_cache=False).logits
    return cross_entropy(logits.view(-1, logits.shape[-1]), batch.targets, reduction=reduction)
