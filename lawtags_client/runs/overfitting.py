"""Overfitting: the validation loss rises while the training loss falls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TRAINING, VALIDATION = "train_loss", "val_loss"


@dataclass(frozen=True, slots=True)
class OverfittingRule:
    """When a training counts as overfitting.

    Each of the last ``patience`` validation losses is at least ``rise`` above the lowest one before them, and
    the mean training loss since that lowest one is below the mean of as many points before it.

    Args:
        patience: validations.
        rise: share of the lowest validation loss, e.g. 0.02 for 2 %.
    """

    patience: int = 3
    rise: float = 0.02


@dataclass(frozen=True, slots=True)
class Overfitting:
    """The finding that a training overfits; steps are counted from one.

    Attributes:
        best_step: the step of the lowest validation loss.
        best_loss: that loss.
        step: the step of the newest validation.
        loss: its loss.
        training_before: mean training loss up to the best step.
        training_since: mean training loss since then.
    """

    best_step: int
    best_loss: float
    step: int
    loss: float
    training_before: float
    training_since: float

    def __str__(self) -> str:
        return (
            f"the model overfits: since step {self.best_step} the validation loss has risen from "
            f"{self.best_loss:.4f} to {self.loss:.4f}, while the training loss has fallen from "
            f"{self.training_before:.4f} to {self.training_since:.4f}"
        )


def find_overfitting(
    metrics: Mapping[str, Sequence[tuple[int, float]]], rule: OverfittingRule
) -> Overfitting | None:
    """Whether a training overfits by now.

    Args:
        metrics: ``(step, value)`` points by series, by rising step, counted from one.
        rule: when it counts as overfitting.
    """
    training = _finite(metrics.get(TRAINING, ()))
    validation = _finite(metrics.get(VALIDATION, ()))
    earlier, latest = validation[: -rule.patience], validation[-rule.patience :]
    if rule.patience < 1 or not earlier:
        return None
    best_step, best_loss = min(earlier, key=lambda point: (point[1], point[0]))
    # A loss may be negative in theory; a rise is one all the same.
    if any(loss < best_loss + rule.rise * abs(best_loss) or loss <= best_loss for _, loss in latest):
        return None
    before = [value for step, value in training if step <= best_step]
    since = [value for step, value in training if step > best_step]
    if not before or not since:
        return None
    training_before, training_since = _mean(before[-len(since) :]), _mean(since)
    if training_since >= training_before:
        return None
    step, loss = latest[-1]
    return Overfitting(best_step, best_loss, step, loss, training_before, training_since)


def _finite(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    return [(step, value) for step, value in points if math.isfinite(value)]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
