"""The parts of a recipe that say how a training is followed, and where it is reported."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lawtags_client.runs.recipe_section import Section


class OverfittingSection(Section):
    """What to do if the validation loss rises while the training loss falls.

    Attributes:
        action: ``warn`` says so; ``stop`` also ends the job and keeps the best step, if that takes fewer
            steps than to finish it; ``ignore`` does neither.
        patience: how many validations in a row must be worse than the lowest one.
        rise: how much worse each of them must be, as a share of the lowest validation loss.
    """

    action: Literal["warn", "stop", "ignore"] = "warn"
    patience: int = Field(default=3, ge=1)
    rise: float = Field(default=0.02, ge=0)


class WandbSection(Section):
    """Weights & Biases, to which the platform reports the training.

    On v1, the key is that of the setting ``wandb_api_key``.

    Attributes:
        project: absent: nothing is reported, unless ``wandb_project`` is set for all jobs.
        entity: user or team; absent: that of the key.
        notes: for people.
        tags: for people.
        api_key_secret: on NeMo Helix, the secret with the key, ``name`` or ``workspace/name``; unused on v1.
    """

    project: str | None = Field(default=None, min_length=1)
    entity: str | None = None
    notes: str | None = None
    tags: tuple[str, ...] = ()
    api_key_secret: str | None = Field(default=None, pattern=r"^[a-z0-9_-]+(/[a-z0-9_-]+)?$")


class MlflowSection(Section):
    """An MLflow server, to which the run reports itself, with the token of ``MLFLOW_TRACKING_TOKEN``.

    Attributes:
        uri: of the server, without credentials; absent: nothing is reported.
        experiment: made if it does not exist.
    """

    uri: str | None = Field(default=None, pattern=r"^https?://[^/@\s]+(/[^@\s]*)?$")
    experiment: str = Field(default="lawtags", min_length=1)
