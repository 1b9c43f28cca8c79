"""Hyperparameters of supervised fine-tuning, checked before a job is submitted."""

from __future__ import annotations

from collections.abc import Mapping

from lawtags_client.errors import ConfigurationError
from lawtags_client.services.customizer.methods import Method
from lawtags_client.services.extra_fields import model_of
from lawtags_client.services.uploaded_dataset import UploadedDataset
from lawtags_client.types.customizer import Hyperparameters
from lawtags_client.types.entity_store import Dataset


def sft_parameters(
    method: Method,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    max_steps: int | None,
    more: Mapping[str, object],
) -> Hyperparameters:
    """The hyperparameters of a job.

    Args:
        method: which weights are trained.
        epochs: passes over the training rows.
        batch_size: rows per step.
        learning_rate: peak learning rate.
        max_steps: maximum number of steps; None for no limit.
        more: further hyperparameters; None values are left out.

    Raises:
        ConfigurationError: a value is invalid, or a hyperparameter is unknown.
    """
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("learning_rate", learning_rate)):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigurationError(f"{name} must be a number, it is {type(value).__name__}")
        if not value > 0:
            raise ConfigurationError(f"{name} must be greater than zero, it is {value}")
    unknown = sorted(set(more) - set(Hyperparameters.model_fields))
    if unknown:
        known = ", ".join(sorted(Hyperparameters.model_fields))
        raise ConfigurationError(
            f"unknown hyperparameter {', '.join(unknown)}", hint=f"Known hyperparameters: {known}"
        )
    values: dict[str, object] = {
        "training_type": "sft",
        "finetuning_type": method.finetuning_type,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
    }
    if max_steps is not None:
        values["max_steps"] = max_steps
    lora = method.parameters()
    if lora is not None:
        values["lora"] = lora
    # Explicit nulls would switch off the platform's own choice.
    values |= {name: value for name, value in more.items() if value is not None}
    return model_of(Hyperparameters, values)


def check_batch(training: Hyperparameters, dataset: str | Dataset | UploadedDataset) -> None:
    """Check that the validation rows fill a batch.

    Raises:
        ConfigurationError: there are fewer.
    """
    if not isinstance(dataset, UploadedDataset):
        return
    rows = dataset.rows.get("validation")
    if rows is not None and training.batch_size is not None and training.batch_size > rows:
        raise ConfigurationError(
            f"batch_size is {training.batch_size}, but there are only {rows} validation rows",
            hint="Use a smaller batch, or more validation rows.",
        )
