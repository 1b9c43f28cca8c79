"""The training of one job: prepares its folder, runs a worker, and uploads the result to the Data Store."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from lawtags_client.types.customizer import DatasetReference
from lawtags_stack.engines.training.job import (
    BEST_FOLDER,
    CHECKPOINT_FOLDER,
    DATA_FOLDER,
    JOB_FILE,
    RESULT_FOLDER,
    LoraSettings,
    PreferenceSettings,
    TrainingJob,
)
from lawtags_stack.processes.launching import Launcher
from lawtags_stack.service import StackContext
from lawtags_stack.services.customizer.datasets import find_data, place_rows
from lawtags_stack.services.customizer.hyperparameters import (
    Dropouts,
    PlannedTraining,
    planned,
    validation_interval,
)
from lawtags_stack.services.customizer.protocols import CustomizerDataStore, CustomizerEntityStore
from lawtags_stack.services.customizer.records import JobRecord

_LOG_TAIL = 64 << 10


class JobFolder:
    """The working folder of a job.

    Args:
        context: the stack.
        job_id: the job.
    """

    def __init__(self, context: StackContext, job_id: str) -> None:
        self._context = context
        self.launcher: Launcher = context.launcher
        self.device = context.options.device
        self.path = context.folder("customizer") / "jobs" / job_id

    @property
    def prepared(self) -> bool:
        """Whether the folder is complete."""
        return (self.path / JOB_FILE).exists()

    def prepare(
        self, record: JobRecord, model: Path, entities: CustomizerEntityStore, files: CustomizerDataStore
    ) -> None:
        """Prepare the folder unless it is complete: first the rows, then the job file that names them.

        Args:
            record: the job.
            model: the folder of its base model.
            entities: datasets by name.
            files: their rows.
        """
        if self.prepared:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        data = find_data(entities, files, DatasetReference(files_url=record.work.files_url))
        training, validation = place_rows(self._context.blobs, data, self.path / DATA_FOLDER)
        options = self._context.options
        job = trainer_job(record, model, training, validation)
        replace(job, threads=options.training_threads, memory_limit_mb=options.training_memory_mb).write(
            self.path
        )

    def result_files(self) -> dict[str, Path]:
        """The files of the result, by their path in the repository."""
        folder = self.path / RESULT_FOLDER
        return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}

    def clear(self, *, keep_best: bool = False) -> None:
        """Delete what a finished job no longer needs; its logs stay, and optionally its best weights."""
        for name in (DATA_FOLDER, CHECKPOINT_FOLDER, BEST_FOLDER, RESULT_FOLDER, f".{RESULT_FOLDER}"):
            if name != BEST_FOLDER or not keep_best:
                shutil.rmtree(self.path / name, ignore_errors=True)

    def log(self) -> str:
        """The output of all workers of the job, truncated to its end."""
        files = sorted(path for path in self.path.glob("*-*.*") if path.suffix in (".log", ".jsonl"))
        text = "\n".join(path.read_text("utf-8", "replace") for path in files)
        return text[-_LOG_TAIL:]


def trainer_job(record: JobRecord, model: Path, training: list[str], validation: list[str]) -> TrainingJob:
    """Convert a stored job to a trainer's job."""
    job, snapshot = record.job, record.job.config_snapshot
    plan = planned(job.hyperparameters)
    tools = (job.dataset_parameters or {}).get("tools")
    dropouts = plan.sft or Dropouts()
    return TrainingJob(
        model=str(model),
        model_name=snapshot.base_model,
        training=tuple(training),
        validation=tuple(validation),
        prompt_template=snapshot.prompt_template,
        chat_template=snapshot.chat_prompt_template,
        tools=tuple(tools) if isinstance(tools, list) else (),
        max_seq_length=snapshot.max_seq_length,
        method=plan.finetuning_type,
        lora=_lora(plan),
        preference=_preference(plan),
        epochs=plan.epochs,
        max_steps=plan.max_steps,
        batch_size=plan.batch_size,
        learning_rate=plan.learning_rate,
        min_learning_rate=plan.min_learning_rate,
        warmup_steps=plan.warmup_steps,
        optimizer=plan.optimizer,
        adam_beta1=plan.adam_beta1,
        adam_beta2=plan.adam_beta2,
        weight_decay=plan.weight_decay,
        val_check_interval=validation_interval(plan),
        log_every_n_steps=plan.log_every_n_steps,
        seed=plan.seed,
        attention_dropout=dropouts.attention_dropout,
        hidden_dropout=dropouts.hidden_dropout,
        precision="float32" if record.work.precision == "fp32" else "auto",
    )


def _lora(plan: PlannedTraining) -> LoraSettings:
    lora = plan.lora
    if lora is None:
        return LoraSettings()
    modules = lora.target_modules
    return LoraSettings(
        rank=lora.adapter_dim,
        alpha=lora.alpha,
        dropout=lora.adapter_dropout or 0.0,
        target_modules=tuple(modules) if modules else None,
    )


def _preference(plan: PlannedTraining) -> PreferenceSettings | None:
    dpo = plan.dpo
    if plan.training_type != "dpo" or dpo is None:
        return None
    return PreferenceSettings(
        penalty=dpo.ref_policy_kl_penalty,
        weight=dpo.preference_loss_weight,
        average=dpo.preference_average_log_probs,
        sft_weight=dpo.sft_loss_weight,
        sft_average=dpo.sft_average_log_probs,
        gradient_norm=dpo.max_grad_norm,
    )
