"""How fast a machine trains a model: what the stack's calibration measures, and what a plan goes by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSpeed:
    """How fast this machine trains a model, as a calibration measured it; times in seconds.

    Args:
        startup: from the submission to the first step, and from the last one to the result.
        per_step: of the optimizer.
        per_pass: of a forward and backward pass, whatever its size.
        per_token: of a forward and backward pass.
        scoring_pass: of a forward pass alone.
        scoring_token: of a forward pass alone.
        memory: peak of the process, in bytes.
        process: of it, before the model was loaded.
    """

    startup: float
    per_step: float
    per_pass: float
    per_token: float
    scoring_pass: float
    scoring_token: float
    memory: int
    process: int
