"""The input of a trainer: one JSON file, written by the process that starts the worker."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

from lawtags_client.errors import ConfigurationError
from lawtags_client.files import atomic_write_json
from lawtags_stack.chat.messages import Tool

Method = Literal["lora", "lora_merged", "all_weights"]
Kept = Literal["best", "last", "both"]
Decay = Literal["cosine", "linear", "constant"]
Optimizer = Literal[
    "adam_with_cosine_annealing", "adam_with_flat_lr", "adamw_with_cosine_annealing", "adamw_with_flat_lr"
]

JOB_FILE = "job.json"
DATA_FOLDER = "data"
RESULT_FOLDER = "result"
CHECKPOINT_FOLDER = "checkpoint"
BEST_FOLDER = "best"
LAST_FOLDER = "alternates/last"
"""Where in the result the weights of the last step lie, if both they and the best ones are kept."""


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """The adapter: rank, scale, and target modules (None: all linear layers)."""

    rank: int = 32
    alpha: int = 16
    dropout: float = 0.0
    target_modules: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class PreferenceSettings:
    """Settings of preference training.

    Args:
        penalty: the beta of DPO: a larger value keeps the model closer to the original.
        weight: weight of the preference loss.
        average: whether to divide log-probabilities by the length of an answer.
        sft_weight: weight of an additional loss for learning the preferred answer; 0 disables it.
        sft_average: whether to divide that loss by the length of an answer.
        gradient_norm: maximum norm of gradients.
    """

    penalty: float = 0.1
    weight: float = 1.0
    average: bool = False
    sft_weight: float = 0.0
    sft_average: bool = False
    gradient_norm: float = 1.0


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A training job; on the same machine and device, the same job produces the same weights.

    Args:
        model: folder of the base model.
        model_name: its name on the platform, for the adapter's config.
        training: row files in ``data/``, in reading order.
        validation: row files for validation; if empty, a part of the training rows is held out.
        validation_share: the share of rows to hold out.
        excluded_modules: modules that get no adapter, as names or wildcards.
        decay: how the learning rate falls after the warm-up; the flat optimizers ignore it.
        keep: which weights to save: those with the lowest validation loss, those of the last step, or the
            best with the last ones beside them in ``alternates/last``.
        precision: ``float32``, or ``auto`` for bfloat16 on a GPU that supports it.
        tokens_per_micro_batch: padded tokens per forward pass, to limit memory. None: enough to keep the
            device busy.
        preference: settings of preference training; None for supervised training on answers.
        checkpoint_every_n_steps: steps between checkpoints.
        threads: torch threads; None uses all cores.
        memory_limit_mb: memory limit in MiB; exceeding it fails the job. None: no limit.
    """

    model: str
    model_name: str
    training: tuple[str, ...]
    validation: tuple[str, ...] = ()
    validation_share: float = 0.1
    prompt_template: str | None = "{prompt} {completion}"
    chat_template: str | None = None
    tools: tuple[Tool, ...] = ()
    max_seq_length: int = 2048
    method: Method = "lora"
    lora: LoraSettings = field(default_factory=LoraSettings)
    excluded_modules: tuple[str, ...] = ()
    preference: PreferenceSettings | None = None
    epochs: int = 1
    max_steps: int = -1
    batch_size: int = 16
    learning_rate: float = 1e-4
    min_learning_rate: float | None = None
    warmup_steps: int = 200
    optimizer: Optimizer = "adamw_with_cosine_annealing"
    adam_beta1: float = 0.9
    adam_beta2: float = 0.99
    adam_eps: float = 1e-8
    decay: Decay = "cosine"
    keep: Kept = "best"
    weight_decay: float = 0.01
    val_check_interval: int | float | None = None
    log_every_n_steps: int = 10
    seed: int = 42
    attention_dropout: float | None = None
    hidden_dropout: float | None = None
    precision: Literal["auto", "float32"] = "auto"
    tokens_per_micro_batch: int | None = None
    checkpoint_every_n_steps: int = 20
    threads: int | None = None
    memory_limit_mb: int | None = None

    @classmethod
    def read(cls, folder: Path) -> TrainingJob:
        """Read the job of a job folder.

        Raises:
            ConfigurationError: the file is missing or invalid.
        """
        path = folder / JOB_FILE
        try:
            content = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path} is not a valid training job: {error}") from error
        unknown = set(content) - {known.name for known in fields(cls)}
        if unknown:
            raise ConfigurationError(f"{path} contains unknown settings: {', '.join(sorted(unknown))}")
        lora = dict(content.pop("lora", {}))
        if lora.get("target_modules") is not None:
            lora["target_modules"] = tuple(lora["target_modules"])
        for name in ("training", "validation", "tools", "excluded_modules"):
            content[name] = tuple(content.get(name, ()))
        if content.get("preference") is not None:
            content["preference"] = PreferenceSettings(**content["preference"])
        return cls(lora=LoraSettings(**lora), **content)

    def write(self, folder: Path) -> None:
        """Write the job to its folder."""
        atomic_write_json(folder / JOB_FILE, asdict(self))
