"""What each key of a recipe decides, and so which keys can be swept together and by what they are ranked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from lawtags_client.errors import ConfigurationError

Trained = Literal["job", "tagger"]
"""What a trial trains: a model by a job of the platform, or retriever and encoder on this machine."""
Measure = Literal["val_loss", "val_f1"]
"""What combinations are ranked by: of the validation rows the model's loss, or micro F1 of the tags given."""

_JUDGES = "it changes how combinations are judged, not what is judged"
_ROWS = "it decides which questions are validated, so that figures of two combinations cannot be compared"
_TRUTH = (
    "it decides which questions are validated and which tags are right, so that figures cannot be compared"
)
_NAMES = "it names things, and changes no result"
_SPEED = "it changes how fast or where something is done, and no result"

_REFUSED: Mapping[str, str] = {
    "evaluation": _JUDGES,
    "gates": _JUDGES,
    "curation.split": _ROWS,
    "curation.filters": _ROWS,
    "curation.duplicates": _ROWS,
    "curation.forget": _ROWS,
    "curation.columns": _TRUTH,
    "curation.tags": _TRUTH,
    "curation.on_bad_row": _ROWS,
    "curation.max_bad": _ROWS,
    "curation.pii.key": "it is a secret, and the values of a sweep are recorded",
    "curation.pii.batch_size": _SPEED,
    "training.log_every_n_steps": "it changes what is reported, and no result",
    "training.gradient_clip": "no platform has a field for it",
    "retriever.threads": _SPEED,
    "model.output": _NAMES,
    "model.license": _NAMES,
    "model.tokenizer": "it belongs to model.config, and only counts tokens",
    "dataset": _NAMES,
    "schema_version": _NAMES,
    "name": _NAMES,
    "description": _NAMES,
    "overfitting": "it decides when a training is given up, not how good it gets",
    "hardware": "it changes estimates, and no result",
    "wait": _SPEED,
    "wandb": "it changes where a training is reported, and no result",
    "mlflow": "it changes where a run is reported, and no result",
}
_BOTH: frozenset[Trained] = frozenset({"job", "tagger"})
_REACH: Mapping[str, frozenset[Trained]] = {
    # The seed of the retriever's folds and of the encoder's weights, too.
    "training.seed": _BOTH,
    "training": frozenset({"job"}),
    "model": frozenset({"job"}),
    "curation.style": frozenset({"job"}),
    "curation.format": frozenset({"job"}),
    "curation": _BOTH,
    "retriever": frozenset({"tagger"}),
    "encoder": frozenset({"tagger"}),
}
SWEPT = "training, model.config, curation (style, format, links, pii, …), retriever and encoder"
"""What can be swept, in words."""


def why_not(key: str) -> str | None:
    """Why a key cannot be swept, in words; None if it can.

    Args:
        key: of a recipe, with dots.
    """
    return next((_REFUSED[part] for part in _prefixes(key) if part in _REFUSED), None)


def trained_by(keys: Collection[str]) -> Trained:
    """What the trials of a sweep train.

    Args:
        keys: that are swept, none of them refused by ``why_not``.

    Raises:
        ConfigurationError: two keys have nothing to do with each other.
    """
    left, before = _BOTH, dict[str, frozenset[Trained]]()
    for key in keys:
        reach = next(_REACH[part] for part in _prefixes(key) if part in _REACH)
        if not left & reach:
            other = next(name for name, known in before.items() if not known & reach)
            raise ConfigurationError(
                f"{other} and {key} cannot be swept together: one is of the platform's job and one of what "
                "this machine fits, so that neither changes the other's result",
                hint="Sweep over one of them, then over the other.",
            )
        left &= reach
        before[key] = reach
    return "job" if "job" in left else "tagger"


def measured_by(keys: Collection[str]) -> Measure:
    """What the combinations of a sweep are ranked by.

    The loss counts tokens, so it can only be compared for the same rows and the same tokenizer.

    Args:
        keys: that are swept.
    """
    return "val_loss" if all(key.startswith("training.") for key in keys) else "val_f1"


def _prefixes(key: str) -> list[str]:
    """The key and the sections that it is in, the innermost first."""
    parts = key.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
