"""Preference training (DPO): makes one of two answers to a prompt more likely than the other."""

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
    """Two answers to one prompt, with their likelihood under the untrained model.

    Args:
        chosen: the prompt with the preferred answer.
        rejected: the prompt with the other answer.
        reference: log-probabilities of the two answers before training; None until they are computed.
    """

    chosen: Example
    rejected: Example
    reference: tuple[float, float] | None = None

    @property
    def size(self) -> int:
        """Tokens of both answers with their prompts."""
        return self.chosen.size + self.rejected.size

    @property
    def width(self) -> int:
        """Tokens of both in a batch, where they are padded to the same length."""
        return 2 * max(self.chosen.width, self.rejected.width)


def encode_pairs(encoder: RowEncoder, rows: Iterable[TrainingRow]) -> Encoded[Pair]:
    """Encode rows of ``prompt``, ``chosen_response`` and ``rejected_response``.

    A prompt that is a list of messages is rendered with the chat template; a text with the prompt template,
    with the answer in its last field.

    Args:
        encoder: the base model's encoder.
        rows: one pair each.

    Raises:
        DataError: a field is missing or invalid.
    """
    encoded = encoder.encode(_both(encoder, rows))
    answers = [_last_answer(example) for example in encoded.examples]
    pairs = [Pair(*two) for two in zip(answers[::2], answers[1::2], strict=True)]
    return Encoded(pairs, encoded.cut, encoded.answers_cut)


class PreferenceObjective:
    """The loss of direct preference optimization, with the API's parameters.

    Args:
        settings: the parameters.
    """

    def __init__(self, settings: PreferenceSettings) -> None:
        self._settings = settings
        self.gradient_norm = settings.gradient_norm

    def prepared(self, model: TrainableModel, items: Sequence[Pair]) -> Sequence[Pair]:
        """Add the log-probabilities of the untrained model to the pairs."""
        import torch

        model.module.eval()
        found = list(items)
        # No activations are kept for a backward pass, so twice as many tokens fit into memory.
        parts = split_by_tokens(range(len(items)), items, 2 * model.tokens_per_micro_batch)
        with torch.inference_mode():
            for part in parts:
                values, _ = _log_probabilities(model, [items[index] for index in part])
                for index, chosen, rejected in zip(part, *values.tolist(), strict=True):
                    found[index] = replace(items[index], reference=(chosen, rejected))
        return found

    def weight(self, items: Sequence[Pair]) -> int:
        """The number of pairs, by which a batch's loss is divided."""
        return len(items)

    def loss(self, model: TrainableModel, items: Sequence[Pair]) -> tuple[torch.Tensor, int | None]:
        """Return the summed loss of the pairs, and how many are ranked correctly."""
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
    """Return log-probabilities and token counts of the answers: one row for chosen, one for rejected."""
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
    # Earlier answers of a conversation are part of the prompt.
    learnt = [False] * len(example.learnt)
    index = len(learnt) - 1
    while index >= 0 and not example.learnt[index]:
        index -= 1
    while index >= 0 and example.learnt[index]:
        learnt[index] = True
        index -= 1
    return Example(example.tokens, learnt)
