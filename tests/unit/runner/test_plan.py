from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from lawtags_client.errors import ConfigurationError
from lawtags_client.helix.types.jobs import HelixJob
from lawtags_stack.engines.training.job import TrainingJob
from lawtags_stack.runner.plan import notes, read_config, trainer_job
from lawtags_stack.runner.rows import JobRows
from lawtags_stack.runner.steps import training_config

# As NVIDIA's service planned it for a recorded job.
AUTOMODEL: dict[str, Any] = {
    "model": {
        "path": "/var/run/scratch/job/model",
        "name": "lawtags/gemma-2-2b-it",
        "max_seq_length": 1024,
        "precision": "bf16",
        "attn_implementation": "sdpa",
        "trust_remote_code": False,
        "is_embedding_model": False,
        "chat_template": None,
    },
    "dataset": {"path": "/var/run/scratch/job/dataset", "prompt_template": None, "shuffle": True},
    "training": {
        "training_type": "sft",
        "recipe": "sft",
        "finetuning_type": "lora",
        "lora": {
            "rank": 8,
            "alpha": 16,
            "dropout": 0.1,
            "target_modules": ["q_proj", "v_proj"],
            "exclude_modules": None,
            "use_triton": True,
        },
        "kd": None,
        "mtp": None,
    },
    "schedule": {
        "epochs": 2,
        "max_steps": 100,
        "val_check_interval": 0.5,
        "validation_split": 0.2,
        "checkpoint_selection": "last",
        "progress_reporting": {"min_report_interval_seconds": 10.0, "time_series_metrics": None},
    },
    "batch": {"global_batch_size": 16, "micro_batch_size": 2, "sequence_packing": False},
    "optimizer": {
        "optimizer_type": None,
        "optimizer_name": "auto",
        "lr_decay_style": "cosine",
        "learning_rate": 0.0001,
        "min_learning_rate": 1e-06,
        "eps": 1e-07,
        "weight_decay": 0.02,
        "beta1": 0.8,
        "beta2": 0.95,
        "warmup_steps": 10,
    },
    "integrations": None,
    "output_path": "/var/run/scratch/job/output_model",
    "seed": 1111,
}
DPO: dict[str, Any] = {
    "backend": "nemo_rl",
    "model": {"path": "/var/run/scratch/job/model", "name": "gemma-2-2b-it", "max_seq_length": 2048},
    "dataset": {"path": "/var/run/scratch/job/dataset", "prompt_template": None},
    "training": {
        "training_type": "dpo",
        "finetuning_type": "all_weights",
        "dpo": {
            "ref_policy_kl_penalty": 0.05,
            "preference_average_log_probs": True,
            "sft_average_log_probs": False,
            "preference_loss_weight": 0.9,
            "sft_loss_weight": 0.1,
            "max_grad_norm": 0.5,
        },
        "grpo": None,
        "lora": None,
    },
    "schedule": {"epochs": 3, "max_steps": None, "val_check_interval": 7, "val_at_end": True},
    "batch": {"global_batch_size": 32, "micro_batch_size": 1},
    "optimizer": {
        "optimizer_name": None,
        "learning_rate": 0.0001,
        "min_learning_rate": None,
        "eps": 1e-05,
        "weight_decay": 0.01,
        "beta1": 0.9,
        "beta2": 0.999,
        "warmup_steps": 0,
    },
    "seed": 42,
}
ROWS = JobRows(("train.jsonl",), ("validation.jsonl",), "{prompt} {completion}")


def planned(config: dict[str, Any], **limits: int | None) -> TrainingJob:
    return trainer_job(read_config(config), Path("/models/base"), ROWS, **limits)


def changed(config: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    made = copy.deepcopy(config)
    *folders, last = path.split(".")
    part = made
    for name in folders:
        part = part[name]
    part[last] = value
    return made


def test_an_adapter_is_trained_as_the_step_says() -> None:
    job = planned(AUTOMODEL, threads=2)
    assert (job.model, job.model_name, job.method) == ("/models/base", "lawtags/gemma-2-2b-it", "lora")
    assert (job.lora.rank, job.lora.alpha, job.lora.dropout) == (8, 16, 0.1)
    assert job.lora.target_modules == ("q_proj", "v_proj")
    assert (job.epochs, job.max_steps, job.batch_size, job.max_seq_length) == (2, 100, 16, 1024)
    assert (job.val_check_interval, job.validation_share, job.keep) == (0.5, 0.2, "last")
    assert (job.learning_rate, job.min_learning_rate, job.warmup_steps) == (1e-4, 1e-6, 10)
    assert (job.adam_beta1, job.adam_beta2, job.adam_eps, job.weight_decay) == (0.8, 0.95, 1e-7, 0.02)
    assert (job.optimizer, job.decay, job.seed) == ("adam_with_cosine_annealing", "cosine", 1111)
    assert (job.precision, job.threads, job.log_every_n_steps) == ("auto", 2, 1)
    assert job.preference is None


def test_preferences_are_trained_as_the_step_says() -> None:
    job = planned(DPO)
    assert (job.method, job.batch_size, job.val_check_interval, job.seed) == ("all_weights", 32, 7, 42)
    assert job.preference is not None
    assert (job.preference.penalty, job.preference.weight, job.preference.sft_weight) == (0.05, 0.9, 0.1)
    assert (job.preference.average, job.preference.gradient_norm) == (True, 0.5)
    assert (job.optimizer, job.decay) == ("adamw_with_cosine_annealing", "constant")


@pytest.mark.parametrize(
    ("path", "value", "field", "expected"),
    [
        ("optimizer.optimizer_name", "AdamW", "optimizer", "adamw_with_cosine_annealing"),
        ("optimizer.lr_decay_style", "linear", "decay", "linear"),
        ("model.precision", "fp32", "precision", "float32"),
        ("schedule.max_steps", None, "max_steps", -1),
        ("schedule.val_check_interval", 1.0, "val_check_interval", 1.0),
        ("schedule.val_check_interval", 20.0, "val_check_interval", 20),
        ("schedule.val_check_interval", None, "val_check_interval", None),
        ("training.lora.exclude_modules", ["*.o_proj"], "excluded_modules", ("*.o_proj",)),
        ("training.finetuning_type", "lora_merged", "method", "lora_merged"),
        ("model.chat_template", "{{ messages }}", "chat_template", "{{ messages }}"),
    ],
)
def test_single_settings_are_passed_on(path: str, value: object, field: str, expected: object) -> None:
    assert getattr(planned(changed(AUTOMODEL, path, value)), field) == expected


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training.training_type", "distillation"),
        ("training.recipe", "bi_encoder"),
        ("training.mtp", {"loss_scaling_factor": 0.1}),
        ("model.is_embedding_model", True),
        ("model.precision", "fp8"),
        ("dataset.shuffle", False),
    ],
)
def test_what_the_trainer_cannot_do_is_refused_by_name(path: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=path) as refused:
        read_config(changed(AUTOMODEL, path, value))
    assert refused.value.hint


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schedule.epochs", 0),
        ("schedule.epochs", "many"),
        ("batch.global_batch_size", -1),
        ("optimizer.learning_rate", 0),
        ("optimizer.beta1", 1.0),
        ("training.lora.rank", None),
        ("schedule.checkpoint_selection", "all"),
    ],
)
def test_invalid_values_are_refused_by_name(path: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"{path} is invalid"):
        read_config(changed(AUTOMODEL, path, value))


def test_fields_of_later_releases_change_nothing() -> None:
    assert planned(changed(AUTOMODEL, "training.novelty", 1)) == planned(AUTOMODEL)


def test_what_is_done_otherwise_is_noted() -> None:
    config = changed(
        changed(AUTOMODEL, "model.precision", "fp16"), "integrations", {"wandb": {"project": "x"}}
    )
    assert [note.partition(":")[0] for note in notes(read_config(config))] == [
        "precision fp16",
        "integrations (wandb, mlflow)",
    ]


def job_of(name: str, config: dict[str, Any]) -> HelixJob:
    return HelixJob.model_validate(
        {"name": "law", "platform_spec": {"steps": [{"name": name, "config": config}]}}
    )


def test_jobs_of_other_backends_are_told_apart() -> None:
    assert training_config(job_of("training", AUTOMODEL)) is not None
    assert training_config(job_of("dpo-training", DPO)) is not None
    assert training_config(job_of("training", {"spec": {"backend": "unsloth"}, "model_path": "/m"})) is None
    assert training_config(job_of("grpo-training", {})) is None
