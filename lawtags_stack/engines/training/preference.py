"""Preference training: of two answers to a prompt, one is to become likelier than the other (DPO)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lawtags_client.json_value import JsonObject
from lawtags_stack.engines.training.batches import collate, split_by_tokens
from lawtags_stack.engines.training.examples import Encoded, Example, RowEncoder
from lawtags_stack.engines.training.objective import token_losses
from lawtags_stack.engines.training.rows import TrainingRow

if TYPE_CHECKING:
    import torch

    from lawtags_stack.engines.training.job import PreferenceSettings
    from lawtags_stack.engines.training.model import TrainableModel

CHOSEN, REJECTED = "chosen_response", "rejected_response"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt, and how likely the untrained model finds them.

    Args:
        chosen: the prompt with the answer that is preferred.
        rejected: the prompt with the other one.
        reference: log-probabilities of the two answers before the training; None until they are known.
    """

    chosen: Example
    rejected: Example
    reference: tuple[float, float] | None = None

    @property
    def size(self) -> int:
        """Tokens of both."""
        return self.chosen.size + self.rejected.size

    @property
    def width(self) -> int:
        """Tokens that both take in a batch, where they are padded to the same length."""
        return 2 * max(self.chosen.width, self.rejected.width)


def encode_pairs(encoder: RowEncoder, rows: Iterable[TrainingRow]) -> Encoded[Pair]:
    """Encode rows of ``prompt``, ``chosen_response`` and ``rejected_response``.

    A prompt that is a list of messages goes through the chat template; a text goes through the prompt
    template, with the answer in the place of its last field.

    Args:
        encoder: of the base model.
        rows: one pair each.

    Raises:
        DataError: a row lacks something.
    """
    encoded = encoder.encode(_both(encoder, rows))
    answers = [_last_answer(example) for example in encoded.examples]
    pairs = [Pair(*two) for two in zip(answers[::2], answers[1::2], strict=True)]
    return Encoded(pairs, encoded.cut, encoded.answers_cut)


class PreferenceObjective:
    """The loss of direct preference optimisation, in the API's terms.

    Args:
        settings: how strongly the answers are driven apart.
    """

    def __init__(self, settings: PreferenceSettings) -> None:
        self._settings = settings
        self.gradient_norm = settings.gradient_norm

    def prepared(self, model: TrainableModel, items: Sequence[Pair]) -> Sequence[Pair]:
        """The pairs with the log-probabilities of a model that has not been trained yet."""
        import torch

        model.module.eval()
        found = list(items)
        # Nothing is kept for a backward pass, so twice the tokens fit into the same memory.
        parts = split_by_tokens(range(len(items)), items, 2 * model.tokens_per_micro_batch)
        with torch.inference_mode():
            for part in parts:
                values, _ = _log_probabilities(model, [items[index] for index in part])
                for index, chosen, rejected in zip(part, *values.tolist(), strict=True):
                    found[index] = replace(items[index], reference=(chosen, rejected))
        return found

    def weight(self, items: Sequence[Pair]) -> int:
        """What a batch's loss is divided by: its pairs."""
        return len(items)

    def loss(self, model: TrainableModel, items: Sequence[Pair]) -> tuple[torch.Tensor, int | None]:
        """The sum of the losses of pairs, and how many of them are told apart in the right direction."""
        import torch
        from torch.nn.functional import logsigmoid

        settings = self._settings
        values, counts = _log_probabilities(model, items)
        gains = values - torch.tensor([pair.reference for pair in items], device=values.device).T
        if settings.average:
            gains = gains / counts
        margins = gains[0] - gains[1]
        losses = settings.weight * -logsigmoid(settings.penalty * margins)
        if settings.sft_weight:
            chosen = -values[0] / counts[0] if settings.sft_average else -values[0]
            losses = losses + settings.sft_weight * chosen
        return losses.sum(), int((margins > 0).sum())


def _log_probabilities(model: TrainableModel, pairs: Sequence[Pair]) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and token counts of answers: a row of the chosen ones, and one of the others."""
    import torch

    examples = [*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)]
    batch = collate(examples, padding=model.padding, device=model.compute.device)
    with model.compute.autocast():
        losses = token_losses(model.module, batch)
    rows = batch.keep.nonzero()[:, 0]
    sums = torch.zeros(len(examples), device=losses.device).index_add(0, rows, -losses)
    return sums.view(2, -1), batch.keep.sum(1).view(2, -1)


def _both(encoder: RowEncoder, rows: Iterable[TrainingRow]) -> Iterator[TrainingRow]:
    for row in rows:
        for name in (CHOSEN, REJECTED):
            answer = row.content.get(name)
            if not isinstance(answer, str) or not answer.strip():
                raise row.error("the field must be a non-empty string", name)
            yield TrainingRow(row.file, row.line, _with_answer(encoder, row.content, answer))


def _with_answer(encoder: RowEncoder, content: JsonObject, answer: str) -> JsonObject:
    prompt = content.get("prompt")
    if isinstance(prompt, list):
        return {**content, "messages": [*prompt, {"role": "assistant", "content": answer}]}
    return {**content, encoder.answer_field: answer} if encoder.answer_field else content


def _last_answer(example: Example) -> Example:
    # Earlier answers of a conversation belong to the prompt.
    learnt = [False] * len(example.learnt)
    index = len(learnt) - 1
    while index >= 0 and not example.learnt[index]:
        index -= 1
    while index >= 0 and example.learnt[index]:
        learnt[index] = True
        index -= 1
    return Example(example.tokens, learnt)
