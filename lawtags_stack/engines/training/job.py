"""What a trainer is told: one JSON file, written by whoever starts the worker."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

from lawtags_client.errors import ConfigurationError
from lawtags_client.files import atomic_write_json
from lawtags_stack.chat.messages import Tool

Method = Literal["lora", "lora_merged", "all_weights"]
Optimizer = Literal[
    "adam_with_cosine_annealing", "adam_with_flat_lr", "adamw_with_cosine_annealing", "adamw_with_flat_lr"
]

JOB_FILE = "job.json"
DATA_FOLDER = "data"
RESULT_FOLDER = "result"
CHECKPOINT_FOLDER = "checkpoint"
BEST_FOLDER = "best"


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """The adapter: its rank, its scale, and the modules that carry it (None: all linear layers)."""

    rank: int = 32
    alpha: int = 16
    dropout: float = 0.0
    target_modules: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class PreferenceSettings:
    """How strongly a preferred answer is driven away from the other one.

    Args:
        penalty: the beta of DPO: the larger, the closer the model stays to what it was.
        weight: of the preference loss.
        average: whether log-probabilities are divided by the length of an answer.
        sft_weight: of the loss of learning the preferred answer besides; 0 leaves it out.
        sft_average: whether that loss is divided by the length of an answer.
        gradient_norm: where gradients are cut off.
    """

    penalty: float = 0.1
    weight: float = 1.0
    average: bool = False
    sft_weight: float = 0.0
    sft_average: bool = False
    gradient_norm: float = 1.0


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """One training, complete: on one machine and device the same job gives the same weights.

    Args:
        model: folder of the base model.
        model_name: how the platform calls it; goes into the adapter's config.
        training: row files below ``data/``, in the order they are read.
        validation: row files for validation; without any, a tenth of the training rows is held out.
        precision: ``float32``, or ``auto`` for bfloat16 on a GPU that computes in it.
        tokens_per_micro_batch: padded tokens that go through the model at once; bounds the memory. None: as
            many as keep the device busy.
        preference: how to learn from pairs of answers; None: rows hold one answer, and it is learnt.
        checkpoint_every_n_steps: steps between two checkpoints.
        threads: threads of torch; None takes all cores.
        memory_limit_mb: memory the worker may take; more than that fails the job. None: no limit.
    """

    model: str
    model_name: str
    training: tuple[str, ...]
    validation: tuple[str, ...] = ()
    prompt_template: str | None = "{prompt} {completion}"
    chat_template: str | None = None
    tools: tuple[Tool, ...] = ()
    max_seq_length: int = 2048
    method: Method = "lora"
    lora: LoraSettings = field(default_factory=LoraSettings)
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
        """The job of a job folder.

        Raises:
            ConfigurationError: the file is missing or does not describe a job.
        """
        path = folder / JOB_FILE
        try:
            content = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path} cannot be read as a training job: {error}") from error
        unknown = set(content) - {known.name for known in fields(cls)}
        if unknown:
            raise ConfigurationError(f"{path} contains unknown settings: {', '.join(sorted(unknown))}")
        lora = dict(content.pop("lora", {}))
        if lora.get("target_modules") is not None:
            lora["target_modules"] = tuple(lora["target_modules"])
        for name in ("training", "validation", "tools"):
            content[name] = tuple(content.get(name, ()))
        if content.get("preference") is not None:
            content["preference"] = PreferenceSettings(**content["preference"])
        return cls(lora=LoraSettings(**lora), **content)

    def write(self, folder: Path) -> None:
        """Write the job into its folder."""
        atomic_write_json(folder / JOB_FILE, asdict(self))
