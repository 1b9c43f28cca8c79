"""The configuration of each backend's training step, from the job's spec."""

from __future__ import annotations

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.customization.steps import (
    DATASET_PATH,
    MODEL_PATH,
    OUTPUT_PATH,
    WORKSPACE_PATH,
    TrainingStep,
)

_AUTOMODEL_SEED, _RL_SEED = 1111, 42
_STALE_SECONDS = 3600


def part(spec: JsonObject, name: str) -> JsonObject:
    """A section of a spec; empty if it is null."""
    found = spec.get(name)
    return found if isinstance(found, dict) else {}


def automodel_step(spec: JsonObject, trust_remote_code: JsonValue) -> TrainingStep:
    """The training step of automodel."""
    training, schedule, parallelism = (
        part(spec, "training"),
        part(spec, "schedule"),
        part(spec, "parallelism"),
    )
    lora = part(training, "lora") if training["finetuning_type"] != "all_weights" else None
    adapter = lora is not None and training["finetuning_type"] == "lora" and not lora.get("merge")
    config: JsonObject = {
        "model": {
            "path": MODEL_PATH,
            "name": spec["model"],
            "max_seq_length": training["max_seq_length"],
            "precision": training["precision"],
            "attn_implementation": training["attn_implementation"],
            "trust_remote_code": trust_remote_code,
            "is_embedding_model": False,
            "checkpoint_head_type": "unknown",
            "chat_template": None,
            "override_custom_impl": False,
            "v4_compatible": False,
        },
        "dataset": {
            "path": DATASET_PATH,
            "prompt_template": part(spec, "dataset")["prompt_template"],
            "add_bos": None,
            "add_eos": None,
            "shuffle": part(spec, "dataset")["shuffle"],
        },
        "training": {
            "training_type": training["training_type"],
            "recipe": "sft" if training["recipe"] == "auto" else training["recipe"],
            "finetuning_type": training["finetuning_type"],
            "lora": None if lora is None else _lora(lora),
            "kd": _distillation(training),
            **{name: training[name] for name in ("activation_checkpointing", "mtp", "backend")},
        },
        "schedule": {name: each for name, each in schedule.items() if name != "seed"},
        "batch": spec["batch"],
        "optimizer": _optimizer(part(spec, "optimizer")),
        "parallelism": parallelism,
        "integrations": _integrations(spec, empty=None),
        "output_model": part(spec, "output")["name"],
        "workspace_path": WORKSPACE_PATH,
        "output_path": OUTPUT_PATH,
        "seed": _AUTOMODEL_SEED,  # whatever schedule.seed is, as the real service does
        "training_timeout": None,
        "retrieval": training["retrieval"],
    }
    return TrainingStep(
        config=config,
        nodes=int(str(parallelism["num_nodes"])),
        gpus=int(str(parallelism["num_gpus_per_node"])),
        memory="8Gi" if adapter else "64Gi",
        staleness=_STALE_SECONDS,
        environment=(("HF_DATASETS_OFFLINE", "1"),),
    )


def unsloth_step(spec: JsonObject) -> TrainingStep:
    """The training step of unsloth."""
    validation = part(spec, "dataset").get("validation_path")
    config: JsonObject = {
        "spec": spec,
        "model_path": MODEL_PATH,
        "dataset_path": DATASET_PATH,
        "validation_path": None if validation is None else DATASET_PATH,
        "output_path": OUTPUT_PATH,
    }
    return TrainingStep(config=config, gpus=None)


def rl_step(spec: JsonObject, trust_remote_code: JsonValue) -> TrainingStep:
    """The training step of rl: DPO."""
    training = part(spec, "training")
    parallelism = part(training, "parallelism")
    names = (
        "ref_policy_kl_penalty", "preference_average_log_probs", "sft_average_log_probs",
        "preference_loss_weight", "sft_loss_weight", "max_grad_norm",
    )  # fmt: skip
    scheduled = (
        "epochs",
        "max_steps",
        "val_check_interval",
        "val_at_end",
        "keep_top_k",
        "progress_reporting",
    )
    config: JsonObject = {
        "backend": "nemo_rl",
        "model": {
            "path": MODEL_PATH,
            "name": spec["model"],
            "max_seq_length": training["max_seq_length"],
            "precision": None,
            "chat_template": None,
            "trust_remote_code": trust_remote_code,
            "v4_compatible": True,
        },
        "dataset": {"path": DATASET_PATH, "prompt_template": None, "add_bos": None, "add_eos": None},
        "training": {
            "training_type": training["type"],
            "finetuning_type": "all_weights",
            "dpo": {name: training[name] for name in names},
            "grpo": None,
            "lora": None,
        },
        "gym": None,
        "schedule": {"val_at_start": False, **{name: training[name] for name in scheduled}},
        "batch": {
            "global_batch_size": training["batch_size"],
            "micro_batch_size": training["micro_batch_size"],
            "sequence_packing": False,
            "sequence_packing_max_samples": 1000,
        },
        "optimizer": {
            **{name: training[name] for name in ("optimizer_type", "optimizer_name", "optimizer_kwargs")},
            **{name: training[name] for name in ("learning_rate", "min_learning_rate", "weight_decay")},
            "eps": training["adam_eps"],
            "beta1": training["adam_beta1"],
            "beta2": training["adam_beta2"],
            "warmup_steps": training["warmup_steps"],
        },
        "parallelism": {
            **parallelism,
            "activation_checkpointing": training["activation_checkpointing"],
            "policy_backend": "automodel",
            "env_vars": training["env_vars"],
        },
        "integrations": _integrations(spec, empty={"wandb": None, "mlflow": None}),
        "output_model": part(spec, "output")["name"],
        "workspace_path": WORKSPACE_PATH,
        "output_path": OUTPUT_PATH,
        "seed": training["seed"] if training["seed"] is not None else _RL_SEED,
        "training_timeout": None,
    }
    return TrainingStep(
        config=config,
        name="dpo-training",
        nodes=int(str(parallelism["num_nodes"])),
        gpus=int(str(parallelism["num_gpus_per_node"])),
        memory="64Gi",
    )


def _lora(lora: JsonObject) -> JsonObject:
    modules = lora["target_modules"]
    if modules is None and lora["exclude_modules"] is None:
        modules = ["*proj"]
    rest = {name: each for name, each in lora.items() if name not in ("merge", "target_modules")}
    return {**rest, "target_modules": modules}


def _distillation(training: JsonObject) -> JsonObject | None:
    if training["training_type"] != "distillation":
        return None
    names = ("distillation_ratio", "distillation_temperature", "teacher_precision", "offload_teacher")
    return {"teacher_model": training["teacher_model"], **{name: training[name] for name in names}}


def _optimizer(optimizer: JsonObject) -> JsonObject:
    names = ("lr_decay_style", "learning_rate", "min_learning_rate", "weight_decay", "warmup_steps")
    return {
        "optimizer_type": None,
        "optimizer_name": optimizer["optimizer"],
        "eps": optimizer["adam_eps"],
        "beta1": optimizer["adam_beta1"],
        "beta2": optimizer["adam_beta2"],
        **{name: optimizer[name] for name in names},
    }


def _integrations(spec: JsonObject, *, empty: JsonObject | None) -> JsonObject | None:
    return part(spec, "integrations") or empty
