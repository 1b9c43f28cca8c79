"""The events of a trainer, one JSON object per line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Required, TypeAlias, TypedDict


class TrainerEvent(TypedDict, total=False):
    """An event; the value of ``event`` determines the other fields."""

    event: Required[str]
    at: str
    name: str
    detail: str | None
    precision: str
    step: int
    steps: int
    epochs: int
    value: float
    learning_rate: float
    gradient_norm: float
    accuracy: float
    steps_per_epoch: int
    training_rows: int
    validation_rows: int
    training_tokens: int
    seconds: float
    best_epoch: int | None
    best_loss: float | None
    best_train_loss: float | None
    message: str
    explanation: str | None
    reason: str
    hint: str | None


Report: TypeAlias = Callable[[TrainerEvent], None]
"""Receives events."""
