"""The training loop of an encoder: batches, steps, validations, early stop and checkpoints."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.encoder.folder import EncoderFolder
from lawtags_client.encoder.text_encoder import TextEncoder
from lawtags_client.encoder.tuned_encoder import ClassHead, TunedEncoder, TuningRecord
from lawtags_client.encoder.tuning_checkpoints import TuningCheckpoints, TuningState
from lawtags_client.errors import DataError, LawtagsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from torch.optim import AdamW

# Rows of similar length share a batch; this many batches are sorted together.
_SORTED_BATCHES = 16
_WARM_UP = 0.1
_LOWEST_RATE = 0.02  # of the full rate, at the end of the decay
_LONGEST_STEP = 1.0  # the norm to which gradients are clipped
_NAME_WEIGHT = 0.5
# From here on, more passes over more rows gain nothing.
_MANY_ROWS = 1000

Progress = Callable[[int, int, str], None]


class TuningStoppedError(LawtagsError):
    """The tuning was asked to stop; its checkpoint is on disk."""


@dataclass(frozen=True)
class TuningOptions:
    """How an encoder is tuned.

    Args:
        epochs: passes over the rows; None takes 4, and fewer from 1,000 rows on, where more gain nothing.
        batch_size: rows per step.
        learning_rate: of the encoder, at its highest.
        head_learning_rate: of the class head.
        weight_decay: of the encoder.
        max_tokens: where texts are truncated.
        patience: validations without a lower loss after which to stop; the best weights are kept.
        seed: decides the order of the rows.
        threads: computing threads; another number may change the last digits.
        checkpoint_seconds: how often a checkpoint is written, except after each epoch.
    """

    epochs: int | None = None
    batch_size: int = 16
    learning_rate: float = 1e-4
    head_learning_rate: float = 3e-3
    weight_decay: float = 0.01
    max_tokens: int = 96
    patience: int = 2
    seed: int = 0
    threads: int = 2
    checkpoint_seconds: float = 60.0

    def epochs_for(self, rows: int) -> int:
        """How many epochs so many rows get."""
        return self.epochs or (4 if rows < _MANY_ROWS else 3 if rows < 3000 else 2)

    @staticmethod
    def refits(rows: int) -> bool:
        """Whether an encoder that was tuned on so many rows gains from going on with the validation rows."""
        return rows < _MANY_ROWS


@dataclass(frozen=True)
class TuningData:
    """What an encoder is tuned on.

    Args:
        base: the encoder to start from.
        texts: the training rows.
        tags: one for each column of the labels.
        labels: 1 where a row has a tag, rows by tags.
        validation_texts: rows that choose the epoch whose weights are kept; may be empty.
        validation_labels: of these rows.
        start: a tuned encoder whose weights are the first ones.

    Raises:
        DataError: there are no rows or no tags, or the labels have another shape.
    """

    base: EncoderFolder
    texts: Sequence[str]
    tags: Sequence[str]
    labels: NDArray[np.uint8]
    validation_texts: Sequence[str]
    validation_labels: NDArray[np.uint8]
    start: TunedEncoder | None = None

    def __post_init__(self) -> None:
        rows, tags = len(self.texts), len(self.tags)
        if not rows or not tags or self.labels.shape != (rows, tags):
            raise DataError(
                f"labels of shape {self.labels.shape} for {rows} rows with {tags} tags",
                hint="Pass at least one row and one tag.",
            )


class TuningLoop:
    """One training, from its checkpoint if there is one.

    Args:
        data: what it learns.
        options: how.
        digest: of both, by which a checkpoint is recognised.
        work: the folder of checkpoints.
        on_progress: called after each step.
        stop: set to stop after the current step.
        clock: seconds, for the checkpoints.
    """

    def __init__(
        self,
        data: TuningData,
        options: TuningOptions,
        digest: str,
        work: Path,
        on_progress: Progress,
        stop: threading.Event,
        clock: Callable[[], float],
    ) -> None:
        import torch

        self._options, self._checkpoints = options, TuningCheckpoints(work, digest)
        self._on_progress, self._stop, self._clock = on_progress, stop, clock
        encoder = TextEncoder(data.base, threads=options.threads, max_tokens=options.max_tokens)
        self._head, self._begin = ClassHead(encoder, data.tags), data.start
        self._rows, self._held = encoder.tokens(data.texts), encoder.tokens(data.validation_texts)
        self._labels = torch.tensor(data.labels, dtype=torch.float32)
        self._held_labels = torch.tensor(data.validation_labels, dtype=torch.float32)
        self._per_epoch = -(-len(self._rows) // options.batch_size)
        self._total = self._per_epoch * options.epochs_for(len(self._rows))
        self._state = TuningState()
        self._written = clock()

    def run(self) -> tuple[ClassHead, TuningRecord]:
        """Train to the end; the best weights, and how it went."""
        head, options = self._head, self._options
        for name, weights in head.encoder.model.named_parameters():
            weights.requires_grad_(name in head.body())
        optimizer = self._optimizer()
        if not self._resume(optimizer):
            self._start()
        while self._state.step < self._total and not self._worse_for(options.patience):
            self._epoch(optimizer)
        state = self._state
        if state.best and state.best != len(state.training):
            head.set(self._checkpoints.read_best(head.parameters()))
        return head, TuningRecord(
            epochs=len(state.training),
            best_epoch=state.best or len(state.training),
            training_losses=state.training,
            validation_losses=state.validation,
            seconds=round(state.seconds, 1),
        )

    def _optimizer(self) -> AdamW:
        import torch

        options, head = self._options, self._head
        return torch.optim.AdamW(
            [
                {"params": list(head.body().values()), "lr": options.learning_rate},
                {"params": [head.weight, head.bias], "lr": options.head_learning_rate, "weight_decay": 0.0},
            ],
            weight_decay=options.weight_decay,
        )

    def _start(self) -> None:
        if self._begin is not None:
            self._head.set(self._begin.weights())
            return
        with self._head.encoder.computing():
            self._start_from_names()

    def _start_from_names(self) -> None:
        import torch

        head = self._head
        names = head.encoder.tokens([tag.replace("-", " ") for tag in head.tags])
        share = self._labels.mean(dim=0).clamp(0.5 / len(self._rows), 1 - 0.5 / len(self._rows))
        with torch.no_grad():
            for place, name in enumerate(names):
                head.weight[place] = _NAME_WEIGHT * head.encoder.vectors([name])[0]
            head.bias.copy_(torch.log(share / (1 - share)))

    def _worse_for(self, patience: int) -> bool:
        return bool(self._state.best) and len(self._state.validation) - self._state.best >= patience

    def _batches(self, epoch: int) -> Iterator[list[int]]:
        """The batches of an epoch, the same whenever it is asked for."""
        import numpy as np

        size = self._options.batch_size
        generator = np.random.default_rng([self._options.seed, epoch])
        order = generator.permutation(len(self._rows)).tolist()
        for start in range(0, len(order), size * _SORTED_BATCHES):
            block = sorted(
                order[start : start + size * _SORTED_BATCHES], key=lambda row: len(self._rows[row])
            )
            batches = [block[place : place + size] for place in range(0, len(block), size)]
            for place in generator.permutation(len(batches)).tolist():
                yield batches[place]

    def _epoch(self, optimizer: AdamW) -> None:
        epoch, done = divmod(self._state.step, self._per_epoch)
        for batch in list(self._batches(epoch))[done:]:
            if self._stop.is_set():
                self._checkpoint(optimizer)
                raise TuningStoppedError("the tuning of the encoder was stopped", hint="Resume the run.")
            before = time.process_time()
            loss = self._step(optimizer, batch)
            state = self._state
            self._state = replace(
                state,
                step=state.step + 1,
                loss=state.loss + loss * len(batch),
                seconds=state.seconds + time.process_time() - before,
            )
            self._on_progress(self._state.step, self._total, self._headline(loss))
            if self._clock() - self._written >= self._options.checkpoint_seconds:
                self._checkpoint(optimizer)
        self._end_of_epoch(optimizer)

    def _headline(self, loss: float) -> str:
        validation = self._state.validation
        return f"loss {loss:.2f}" + (f", validation {validation[-1]:.2f}" if validation else "")

    def _step(self, optimizer: AdamW, batch: Sequence[int]) -> float:
        import torch

        head, options = self._head, self._options
        part = _rate(self._state.step, self._total)
        rates = (options.learning_rate, options.head_learning_rate)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * part
        with head.encoder.computing():
            loss = self._loss(head.log_odds([self._rows[row] for row in batch]), self._labels[list(batch)])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(list(head.parameters().values()), _LONGEST_STEP)
            optimizer.step()
        found = float(loss.detach())
        if not math.isfinite(found):
            raise DataError(
                f"the loss of the encoder is {found} after {self._state.step} steps",
                hint="Lower encoder.learning_rate, or set encoder.tune to off.",
            )
        return found

    @staticmethod
    def _loss(log_odds: Tensor, labels: Tensor) -> Tensor:
        import torch

        found: Tensor = torch.nn.functional.binary_cross_entropy_with_logits(
            log_odds, labels, reduction="sum"
        )
        return found / len(labels)

    def _validation_loss(self) -> float:
        import torch

        head, size, total = self._head, self._options.batch_size, 0.0
        order = sorted(range(len(self._held)), key=lambda row: len(self._held[row]))
        with head.encoder.computing(), torch.inference_mode():
            for start in range(0, len(order), size):
                batch = order[start : start + size]
                log_odds = head.log_odds([self._held[row] for row in batch])
                total += float(self._loss(log_odds, self._held_labels[batch])) * len(batch)
        return total / len(order)

    def _end_of_epoch(self, optimizer: AdamW) -> None:
        state = self._state
        validation, best = state.validation, state.best
        if self._held:
            validation += (self._validation_loss(),)
            if validation[-1] <= min(validation):
                best = len(validation)
                self._checkpoints.write_best(self._head.parameters())
        training = (*state.training, state.loss / len(self._rows))
        self._state = replace(state, loss=0.0, training=training, validation=validation, best=best)
        self._checkpoint(optimizer)

    def _checkpoint(self, optimizer: AdamW) -> None:
        self._checkpoints.write(self._head.parameters(), optimizer, self._state)
        self._written = self._clock()

    def _resume(self, optimizer: AdamW) -> bool:
        """Take over a checkpoint of this very training; whether there is one."""
        found = self._checkpoints.resume(self._head.parameters(), optimizer)
        if found is None:
            return False
        self._state, weights = found
        self._head.set(weights)
        return True


def _rate(step: int, total: int) -> float:
    """The share of the full learning rate at a step."""
    warm = min(1.0, (step + 1) / (_WARM_UP * total))
    return warm * max(_LOWEST_RATE, 0.5 * (1 + math.cos(math.pi * step / total)))
