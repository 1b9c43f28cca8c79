"""One job's training: its folder is filled, a worker trains in it, the result goes to the Data Store."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

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
from lawtags_stack.processes.environment import worker_environment
from lawtags_stack.service import StackContext
from lawtags_stack.services.customizer.datasets import find_data, place_rows
from lawtags_stack.services.customizer.hyperparameters import trainer_settings

Document = dict[str, Any]

WORKER = "lawtags_stack.engines.training.worker"
_LOG_TAIL = 64 << 10


class JobFolder:
    """The folder in which a job's worker lives.

    Args:
        context: the stack.
        job_id: the job.
    """

    def __init__(self, context: StackContext, job_id: str) -> None:
        self._context = context
        self.path = context.folder("customizer") / "jobs" / job_id

    def events(self, attempt: int) -> Path:
        """The file into which a worker writes its events; each attempt has its own."""
        return self.path / f"events-{attempt}.jsonl"

    def errors(self, attempt: int) -> Path:
        """The file that takes a worker's standard error."""
        return self.path / f"stderr-{attempt}.log"

    @property
    def prepared(self) -> bool:
        """Whether the folder has been filled."""
        return (self.path / JOB_FILE).exists()

    def prepare(self, document: Document, model: Path) -> None:
        """Fill the folder, unless that was done before: rows first, then the job that names them."""
        if self.prepared:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        data = find_data(self._context, {"files_url": document["work"]["files_url"]})
        training, validation = place_rows(self._context, data, self.path / DATA_FOLDER)
        options = self._context.options
        job = trainer_job(document, model, training, validation)
        replace(job, threads=options.training_threads, memory_limit_mb=options.training_memory_mb).write(
            self.path
        )

    def result_files(self) -> dict[str, Path]:
        """The files of the result, by their name in the repository."""
        folder = self.path / RESULT_FOLDER
        return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}

    def clear(self, *, keep_best: bool = False) -> None:
        """Remove what an ended job needs no more; its logs stay, and its best weights where that is said."""
        for name in (DATA_FOLDER, CHECKPOINT_FOLDER, BEST_FOLDER, RESULT_FOLDER, f".{RESULT_FOLDER}"):
            if name != BEST_FOLDER or not keep_best:
                shutil.rmtree(self.path / name, ignore_errors=True)

    def log(self) -> str:
        """What all workers of the job wrote, the end of it where it is long."""
        files = sorted(path for path in self.path.glob("*-*.*") if path.suffix in (".log", ".jsonl"))
        text = "\n".join(path.read_text("utf-8", "replace") for path in files)
        return text[-_LOG_TAIL:]


def trainer_job(document: Document, model: Path, training: list[str], validation: list[str]) -> TrainingJob:
    """A stored job in the trainer's words."""
    job = document["job"]
    snapshot, shown = job["config_snapshot"], job["hyperparameters"]
    lora: Mapping[str, Any] = shown.get("lora") or {}
    settings = LoraSettings()
    if lora:
        modules = lora.get("target_modules")
        settings = LoraSettings(
            rank=lora["adapter_dim"],
            alpha=lora["alpha"],
            dropout=lora.get("adapter_dropout") or 0.0,
            target_modules=tuple(modules) if modules else None,
        )
    return TrainingJob(
        model=str(model),
        model_name=snapshot["base_model"],
        training=tuple(training),
        validation=tuple(validation),
        prompt_template=snapshot["prompt_template"],
        chat_template=snapshot["chat_prompt_template"],
        tools=tuple((job["dataset_parameters"] or {}).get("tools") or ()),
        max_seq_length=snapshot["max_seq_length"],
        lora=settings,
        preference=_preference(shown),
        **trainer_settings(shown),
    )


def _preference(shown: Mapping[str, Any]) -> PreferenceSettings | None:
    if shown["training_type"] != "dpo":
        return None
    dpo = shown["dpo"]
    return PreferenceSettings(
        penalty=dpo["ref_policy_kl_penalty"],
        weight=dpo["preference_loss_weight"],
        average=dpo["preference_average_log_probs"],
        sft_weight=dpo["sft_loss_weight"],
        sft_average=dpo["sft_average_log_probs"],
        gradient_norm=dpo["max_grad_norm"],
    )


@dataclass(slots=True)
class Worker:
    """A running trainer.

    Its standard input stays open as long as this process lives: a worker ends when that pipe closes, so none
    is left behind by a stack that was killed.
    """

    process: subprocess.Popen[bytes]
    errors: Path

    @classmethod
    def start(cls, folder: JobFolder, attempt: int) -> Worker:
        """Start a worker on a filled folder; it goes on from the newest checkpoint there."""
        errors = folder.errors(attempt)
        command = [sys.executable, "-m", WORKER, str(folder.path), str(folder.events(attempt))]
        with errors.open("wb") as stream:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stream,
                env=worker_environment(),
            )
        return cls(process, errors)

    def end(self) -> None:
        """End the worker at once; what it did since its last checkpoint is lost."""
        pipe: IO[bytes] | None = self.process.stdin
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if pipe is not None:
            pipe.close()

    def crash_reason(self) -> str:
        """Why a worker that reported no failure is gone."""
        code = self.process.returncode
        lines = self.errors.read_text("utf-8", "replace").strip().splitlines()
        said = f": {lines[-1][:500]}" if lines else ""
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            memory = "; the system kills processes so when memory runs out" if name == "SIGKILL" else ""
            return f"the training process was killed by {name}{memory}{said}"
        return f"the training process ended with exit code {code}{said}"
