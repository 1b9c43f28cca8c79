"""The training loop: epochs, steps, validations, best weights and checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic

from lawtags_client.errors import DataError, LawtagsError
from lawtags_client.files import sync
from lawtags_stack.engines.training.batches import epoch_batches, split_by_tokens
from lawtags_stack.engines.training.checkpoint import CheckpointFolder, Cursor
from lawtags_stack.engines.training.events import Report, TrainerEvent
from lawtags_stack.engines.training.objective import ItemT, Objective
from lawtags_stack.engines.training.optimizer import learning_rate, make_optimizer

if TYPE_CHECKING:
    from lawtags_stack.engines.training.job import TrainingJob
    from lawtags_stack.engines.training.model import TrainableModel


# Constants of the real platform.
STOPPING_DELTA = 0.001
STOPPING_EPOCHS = 10

_BEST_WEIGHTS = "weights.safetensors"


@dataclass(frozen=True, slots=True)
class Schedule:
    """The length of a training: steps per epoch, total steps, steps between validations."""

    steps_per_epoch: int
    steps: int
    validate_every: int

    @classmethod
    def of(cls, job: TrainingJob, rows: int) -> Schedule:
        """The schedule of a job with a number of training rows."""
        per_epoch = -(-rows // job.batch_size)
        steps = per_epoch * job.epochs
        if job.max_steps > 0:
            steps = min(steps, job.max_steps)
        every = per_epoch
        if isinstance(job.val_check_interval, float):
            every = max(int(per_epoch * min(job.val_check_interval, 1.0)), 1)
        elif job.val_check_interval is not None:
            every = min(job.val_check_interval, per_epoch)
        if 0 < job.max_steps < every:
            every = max(job.max_steps - 1, 1)
        return cls(per_epoch, steps, every)


class TrainingStopped(Exception):
    """The training was asked to stop; its checkpoint holds everything done so far."""


class TrainingLoop(Generic[ItemT]):
    """Trains a model on encoded examples.

    Args:
        model: the model to train.
        training: the training examples.
        validation: the validation examples, which select the best weights.
        objective: the loss to minimize.
        checkpoints: stores the training's progress.
        best: folder of the best weights so far.
        report: receives events: ``train`` and ``validation`` points with steps counted from zero,
            ``progress`` after each step, ``early_stop``.
        stopping: whether to save a checkpoint and stop, asked after each step.

    Raises:
        DataError: there are no training or validation rows.
    """

    def __init__(
        self,
        model: TrainableModel,
        training: Sequence[ItemT],
        validation: Sequence[ItemT],
        *,
        objective: Objective[ItemT],
        checkpoints: CheckpointFolder,
        best: Path,
        report: Report,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._job = model.job
        if not training:
            raise DataError("the dataset has no training rows")
        if not validation:
            raise DataError(
                "the dataset has no validation rows, and too few training rows to hold some out",
                hint="Upload validation rows.",
            )
        self._model = model
        self._training = training
        self._validation = validation
        self._objective = objective
        self._checkpoints = checkpoints
        self._best = best
        self._report = report
        self._stopping = stopping
        self._weights = model.trainable()
        self._optimizer = make_optimizer(self._weights.values(), self._job)
        self.schedule = Schedule.of(self._job, len(training))

    def run(self) -> Cursor:
        """Train to the end, resuming from a checkpoint if there is one.

        Raises:
            LawtagsError: the loss is not finite.
            TrainingStopped: it was asked to stop.
        """
        # Before loading a checkpoint, since these weights are the base model's.
        self._training = self._objective.prepared(self._model, self._training)
        self._validation = self._objective.prepared(self._model, self._validation)
        cursor = self._checkpoints.load(self._weights, self._optimizer) or Cursor()
        while cursor.step < self.schedule.steps and cursor.stale_epochs < STOPPING_EPOCHS:
            self._epoch(cursor)
        if cursor.step < self.schedule.steps:
            self._report({"event": "early_stop", "step": cursor.step - 1, "epochs": cursor.epoch})
        return cursor

    def restore_best(self) -> None:
        """Load the weights with the lowest validation loss."""
        from safetensors.torch import load_file

        self._model.load_trainable(load_file(self._best / _BEST_WEIGHTS))

    def _epoch(self, cursor: Cursor) -> None:
        job = self._job
        batches = epoch_batches(self._training, batch_size=job.batch_size, seed=job.seed, epoch=cursor.epoch)
        for batch in batches[cursor.batch :]:
            self._step(cursor, batch)
            ended = cursor.batch == len(batches)
            finished = cursor.step == self.schedule.steps
            if ended or finished or cursor.batch % self.schedule.validate_every == 0:
                loss = self._validate(cursor)
                if ended:
                    self._note_epoch(cursor, loss)
            self._report({"event": "progress", "steps": cursor.step, "epochs": cursor.epoch})
            stopping = not finished and self._stopping()
            if stopping or (cursor.step % job.checkpoint_every_n_steps == 0 and not finished):
                self._checkpoints.save(cursor, self._weights, self._optimizer)
            if stopping:
                raise TrainingStopped
            if finished:
                return

    def _step(self, cursor: Cursor, batch: list[int]) -> None:
        import torch

        self._model.module.train()
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self._job, cursor.step, self.schedule.steps)
        self._optimizer.zero_grad(set_to_none=True)
        weight = self._objective.weight([self._training[index] for index in batch])
        total = 0.0
        for part in split_by_tokens(batch, self._training, self._model.tokens_per_micro_batch):
            loss, right = self._objective.loss(self._model, [self._training[index] for index in part])
            loss = loss / weight
            torch.autograd.backward(loss)
            total += loss.item()
            if right is not None:
                cursor.window_right += right
                cursor.window_items += len(part)
        if not math.isfinite(total):
            raise _not_finite("training", total, cursor.step)
        norm = torch.nn.utils.clip_grad_norm_(self._weights.values(), self._objective.gradient_norm)
        self._optimizer.step()
        cursor.step += 1
        cursor.batch += 1
        cursor.window_loss += total
        cursor.window_steps += 1
        if cursor.step % self._job.log_every_n_steps == 0 or cursor.step == self.schedule.steps:
            cursor.train_loss = cursor.window_loss / cursor.window_steps
            accuracy = cursor.window_right / cursor.window_items if cursor.window_items else None
            cursor.window_loss, cursor.window_steps = 0.0, 0
            cursor.window_right, cursor.window_items = 0, 0
            event: TrainerEvent = {
                "event": "train",
                "step": cursor.step - 1,
                "value": cursor.train_loss,
                "learning_rate": self._optimizer.param_groups[0]["lr"],
            }
            if math.isfinite(norm):
                event["gradient_norm"] = float(norm)
            self._report(_with_accuracy(event, accuracy))

    def _validate(self, cursor: Cursor) -> float:
        loss, accuracy = self._evaluate()
        if not math.isfinite(loss):
            raise _not_finite("validation", loss, cursor.step - 1)
        better = cursor.best_loss is None or loss < cursor.best_loss
        if better:
            running = cursor.window_loss / cursor.window_steps if cursor.window_steps else cursor.train_loss
            cursor.best_loss = loss
            cursor.best_epoch, cursor.best_train_loss = cursor.epoch + 1, running
            self._keep_best()
        event: TrainerEvent = {
            "event": "validation",
            "step": cursor.step - 1,
            "value": loss,
            "best_epoch": cursor.best_epoch,
            "best_train_loss": cursor.best_train_loss,
            "best_loss": cursor.best_loss,
        }
        self._report(_with_accuracy(event, accuracy))
        return loss

    def _evaluate(self) -> tuple[float, float | None]:
        """The mean loss of the validation examples, and their accuracy, if known."""
        import torch

        self._model.module.eval()
        everything = range(len(self._validation))
        # No activations are kept for a backward pass, so twice as many tokens fit into memory.
        parts = split_by_tokens(everything, self._validation, 2 * self._model.tokens_per_micro_batch)
        total = 0.0
        right: list[int] = []
        with torch.inference_mode():
            for part in parts:
                loss, count = self._objective.loss(self._model, [self._validation[index] for index in part])
                total += loss.item()
                right += [count] if count is not None else []
        share = sum(right) / len(self._validation) if right else None
        return total / self._objective.weight(self._validation), share

    def _note_epoch(self, cursor: Cursor, loss: float) -> None:
        cursor.epoch += 1
        cursor.batch = 0
        if cursor.stopping_loss is None or loss < cursor.stopping_loss - STOPPING_DELTA:
            cursor.stopping_loss, cursor.stale_epochs = loss, 0
        else:
            cursor.stale_epochs += 1

    def _keep_best(self) -> None:
        from safetensors.torch import save_file

        self._best.mkdir(parents=True, exist_ok=True)
        temporary = self._best / f".{_BEST_WEIGHTS}"
        save_file({name: value.detach().cpu() for name, value in self._weights.items()}, temporary)
        # A checkpoint on disk relies on these weights.
        sync(temporary)
        temporary.replace(self._best / _BEST_WEIGHTS)
        sync(self._best)


def _with_accuracy(event: TrainerEvent, accuracy: float | None) -> TrainerEvent:
    if accuracy is not None:
        event["accuracy"] = accuracy
    return event


def _not_finite(kind: str, loss: float, step: int) -> LawtagsError:
    return LawtagsError(
        f"the {kind} loss became {loss} at step {step}",
        hint="Lower learning_rate, or lengthen warmup_steps.",
    )
