"""What a training makes smaller: for answers to learn, the cross-entropy of their tokens.

The language-model head runs at the positions of learnt tokens only.
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

GRADIENT_NORM = 1.0  # fixed by the platform whose behaviour this follows

ItemT = TypeVar("ItemT", bound=Sized)


class Objective(Protocol[ItemT]):
    """A loss over items of one kind; ``gradient_norm`` is where their gradients are cut off."""

    gradient_norm: float

    def prepared(self, model: TrainableModel, items: Sequence[ItemT]) -> Sequence[ItemT]:
        """The items with what must be known of the model before it is trained."""
        ...

    def weight(self, items: Sequence[ItemT]) -> int:
        """What the sum of the losses of a batch is divided by."""
        ...

    def loss(self, model: TrainableModel, items: Sequence[ItemT]) -> tuple[torch.Tensor, int | None]:
        """The sum of the losses of items; and how many are right, where that can be said."""
        ...


class CompletionObjective:
    """Learns to write answers."""

    gradient_norm = GRADIENT_NORM

    def prepared(self, model: TrainableModel, items: Sequence[Example]) -> Sequence[Example]:
        """The items as they are."""
        return items

    def weight(self, items: Sequence[Example]) -> int:
        """The tokens that are learnt."""
        return sum(sum(example.learnt[1:]) for example in items)

    def loss(self, model: TrainableModel, items: Sequence[Example]) -> tuple[torch.Tensor, int | None]:
        """The sum of the losses of all learnt tokens."""
        batch = collate(items, padding=model.padding, device=model.compute.device)
        with model.compute.autocast():
            return completion_loss(model.module, batch), None


def completion_loss(model: Any, batch: PaddedBatch) -> torch.Tensor:
    """The sum of the losses of all learnt tokens of a batch."""
    return token_losses(model, batch, reduction="sum")


def token_losses(model: Any, batch: PaddedBatch, *, reduction: str = "none") -> torch.Tensor:
    """The losses of the learnt tokens of a batch, row by row.

    The head over a large vocabulary is a good part of a small model's work, and prompts need none of it. The
    model's own forward is used, so what an architecture does to its logits (the soft cap of Gemma 2, the
    scale of others) is done here too.
    """
    from torch.nn.functional import cross_entropy

    logits = model(input_ids=batch.tokens, logits_to_keep=batch.keep, use_cache=False).logits
    return cross_entropy(logits.view(-1, logits.shape[-1]), batch.targets, reduction=reduction)
