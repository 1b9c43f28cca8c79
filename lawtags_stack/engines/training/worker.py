"""The training process: ``python -m lawtags_stack.engines.training.worker JOBDIR EVENTS [DEVICE]``.

It reads ``job.json`` and the rows in ``data/``, appends events as JSON lines to the file ``EVENTS``, and
writes the result to ``result/``. ``DEVICE`` defaults to the CPU. Its standard input is a pipe from the parent
process: when the pipe closes, for whatever reason, the worker exits at once. Only the work since the last
checkpoint is lost; the next worker resumes from there, on any device. A byte on the pipe asks the worker to
save a checkpoint after the current step and exit.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from lawtags_client.errors import LawtagsError
from lawtags_client.files import publish_folder
from lawtags_stack.engines.training.events import Report, TrainerEvent
from lawtags_stack.engines.training.exhaustion import DISK, exhaustion
from lawtags_stack.engines.training.job import (
    BEST_FOLDER,
    CHECKPOINT_FOLDER,
    DATA_FOLDER,
    LAST_FOLDER,
    RESULT_FOLDER,
    TrainingJob,
)
from lawtags_stack.processes.environment import keep_few_kernels

if TYPE_CHECKING:
    from lawtags_stack.engines.training.examples import Encoded, RowEncoder
    from lawtags_stack.engines.training.loop import Schedule
    from lawtags_stack.engines.training.model import TrainableModel
    from lawtags_stack.engines.training.objective import Objective

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_ORPHANED = 3
"""Exit code if the parent process is gone."""
EXIT_STOPPED = 4
"""Exit code if the worker was asked to stop, and saved a checkpoint."""
EXIT_DISK_FULL = 5
"""Exit code if the disk is full: the file of events may be cut, too."""


class EventFile:
    """Writes events as JSON lines with timestamps, each flushed before training continues."""

    def __init__(self, stream: TextIO, now: Callable[[], datetime]) -> None:
        self._stream = stream
        self._now = now

    def __call__(self, event: TrainerEvent) -> None:
        """Append one event."""
        stamped = {"at": self._now().replace(tzinfo=None).isoformat(timespec="microseconds"), **event}
        self._stream.write(json.dumps(stamped, allow_nan=False) + "\n")
        self._stream.flush()


def main(arguments: list[str]) -> int:
    """Run the job of a folder, and return 0 if it completed."""
    keep_few_kernels()
    try:
        return _main(arguments)
    except OSError as error:
        # Of the file of events, which is the only one that is open here.
        if exhaustion(error) is not DISK:
            raise
        return EXIT_DISK_FULL


def _main(arguments: list[str]) -> int:
    folder, events = Path(arguments[0]), Path(arguments[1])
    device = arguments[2] if len(arguments) > 2 else "cpu"
    stopping = threading.Event()
    threading.Thread(target=_watch_parent, args=[stopping], daemon=True).start()
    with events.open("a", encoding="utf-8") as stream:
        report = EventFile(stream, lambda: datetime.now(UTC))
        try:
            if not run_job(folder, report, device, stopping.is_set):
                return EXIT_STOPPED
        except LawtagsError as error:
            report({"event": "failed", "reason": error.message, "hint": error.hint})
        except Exception as error:
            if lack := exhaustion(error):
                if lack is DISK:
                    _discard_unfinished(folder)
                report({"event": "failed", "reason": lack.reason, "hint": lack.hint})
                return EXIT_DISK_FULL if lack is DISK else EXIT_FAILED
            traceback.print_exc()
            report({"event": "failed", "reason": f"{type(error).__name__}: {error}", "hint": None})
        else:
            return EXIT_DONE
    return EXIT_FAILED


def _discard_unfinished(folder: Path) -> None:
    """Delete what is half written: it is of no use, and the report needs a little space."""
    for path in (folder / f".{RESULT_FOLDER}", *(folder / CHECKPOINT_FOLDER).glob(".step-*")):
        shutil.rmtree(path, ignore_errors=True)


def run_job(
    folder: Path, report: Report, device: str = "cpu", stopping: Callable[[], bool] = lambda: False
) -> bool:
    """Train the job of a folder, and write the result into the folder.

    Args:
        folder: the job folder.
        report: receives the events: ``phase``, ``data``, ``warning``, those of the loop, and ``done``.
        device: as in ``Compute.choose``.
        stopping: whether to save a checkpoint and stop, asked after each step.

    Returns:
        Whether it trained to the end.

    Raises:
        LawtagsError: the job or its data is invalid, or the training diverged.
    """
    job = TrainingJob.read(folder)
    _limit_memory(job.memory_limit_mb)
    # Rows first: an invalid row fails the job before the model is loaded.
    report({"event": "phase", "name": "EncodingRows"})
    encoder = _encoder(job)
    training, validation = _encode(encoder, folder / DATA_FOLDER, job, report)
    report({"event": "phase", "name": "LoadingModel"})
    model = _load_model(job, encoder.padding, device)
    for message in model.warnings:
        report({"event": "warning", "message": message})

    from lawtags_stack.engines.training.checkpoint import CheckpointFolder
    from lawtags_stack.engines.training.loop import TrainingLoop, TrainingStopped

    checkpoints = CheckpointFolder(folder / CHECKPOINT_FOLDER)
    loop = TrainingLoop(
        model,
        training.examples,
        validation.examples,
        objective=_objective(job),
        checkpoints=checkpoints,
        best=folder / BEST_FOLDER,
        report=report,
        stopping=stopping,
    )
    _report_data(job, training, validation, loop.schedule, report)
    compute = model.compute
    report(
        {
            "event": "phase",
            "name": "Training",
            "detail": compute.described,
            "precision": "fp32" if compute.precision == "float32" else "bf16-mixed",
        }
    )
    started = time.monotonic()
    try:
        cursor = loop.run()
    except TrainingStopped:
        report({"event": "phase", "name": "Stopped", "detail": "on request, with a checkpoint"})
        return False
    seconds = time.monotonic() - started
    report({"event": "phase", "name": "SavingModel"})
    temporary = folder / f".{RESULT_FOLDER}"
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(folder / RESULT_FOLDER, ignore_errors=True)
    if job.keep == "both":
        model.save(temporary / LAST_FOLDER)
    if job.keep != "last":
        loop.restore_best()
    model.save(temporary)
    publish_folder(temporary, folder / RESULT_FOLDER)
    peak = peak_memory(on_cpu=compute.on_cpu)
    report({"event": "phase", "name": "PeakMemory", "detail": f"{peak // 1_000_000} MB ({peak} bytes)"})
    report({"event": "done", "steps": cursor.step, "epochs": cursor.epoch, "seconds": round(seconds, 3)})
    return True


def peak_memory(*, on_cpu: bool) -> int:
    """The most memory that this process had so far, in bytes: of the GPU, if it trains on one."""
    import torch

    if not on_cpu and torch.cuda.is_available():
        return torch.cuda.max_memory_reserved()
    # Linux counts in KiB, macOS in bytes.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _encoder(job: TrainingJob) -> RowEncoder:
    from lawtags_stack.engines.training.examples import RowEncoder
    from lawtags_stack.engines.training.model import load_tokenizer

    return RowEncoder(
        load_tokenizer(Path(job.model), job.chat_template),
        prompt_template=job.prompt_template,
        max_seq_length=job.max_seq_length,
        tools=job.tools,
    )


def _load_model(job: TrainingJob, padding: int, device: str) -> TrainableModel:
    import torch
    from transformers.utils import logging

    from lawtags_stack.engines.device import Compute
    from lawtags_stack.engines.training.model import TrainableModel

    if job.threads is not None:
        torch.set_num_threads(job.threads)
    logging.disable_progress_bar()
    return TrainableModel(job, padding=padding, compute=Compute.choose(device, job.precision))


def _objective(job: TrainingJob) -> Objective[Any]:
    from lawtags_stack.engines.training.objective import CompletionObjective
    from lawtags_stack.engines.training.preference import PreferenceObjective

    return PreferenceObjective(job.preference) if job.preference else CompletionObjective()


def _encode(
    encoder: RowEncoder, data: Path, job: TrainingJob, report: Report
) -> tuple[Encoded[Any], Encoded[Any]]:
    from lawtags_stack.engines.training.batches import hold_out
    from lawtags_stack.engines.training.examples import Encoded
    from lawtags_stack.engines.training.preference import encode_pairs
    from lawtags_stack.engines.training.rows import read_rows

    def encoded(names: tuple[str, ...]) -> Encoded[Any]:
        rows = read_rows(data, names)
        return encode_pairs(encoder, rows) if job.preference else encoder.encode(rows)

    training = encoded(job.training)
    if job.validation:
        return training, encoded(job.validation)
    kept, held = hold_out(len(training.examples), seed=job.seed, share=job.validation_share)
    report({"event": "phase", "name": "HeldOutValidation", "detail": f"{len(held)} of the training rows"})
    return (
        Encoded([training.examples[index] for index in kept], training.cut, training.answers_cut),
        Encoded([training.examples[index] for index in held], 0),
    )


def _truncation_detail(answers: int) -> str:
    prompts = "The beginning of their prompts was cut off"
    if not answers:
        return f"{prompts}; their completions were kept."
    return f"{prompts}; {answers} completions were too long even without a prompt and lost their end."


def _report_data(
    job: TrainingJob,
    training: Encoded[Any],
    validation: Encoded[Any],
    schedule: Schedule,
    report: Report,
) -> None:
    report(
        {
            "event": "data",
            "training_rows": len(training.examples),
            "validation_rows": len(validation.examples),
            "training_tokens": sum(example.size for example in training.examples),
            "steps_per_epoch": schedule.steps_per_epoch,
            "steps": schedule.steps,
        }
    )
    cut = training.cut + validation.cut
    if cut:
        report(
            {
                "event": "warning",
                "message": f"{cut} rows were longer than {job.max_seq_length} tokens",
                "explanation": _truncation_detail(training.answers_cut + validation.answers_cut),
            }
        )
    if job.batch_size > len(validation.examples):
        report(
            {
                "event": "warning",
                "message": f"batch_size is {job.batch_size}, but there are only "
                f"{len(validation.examples)} validation rows",
                "explanation": "Training continues; newer releases of the service refuse such a job.",
            }
        )
    cosine = job.optimizer.endswith("cosine_annealing")
    if cosine and job.warmup_steps >= schedule.steps:
        report(
            {
                "event": "warning",
                "message": f"warmup_steps is {job.warmup_steps}, but the run has only {schedule.steps} steps",
                "explanation": "The learning rate never reaches the requested value.",
            }
        )


def _limit_memory(megabytes: int | None) -> None:
    if megabytes is not None:
        limit = megabytes * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _watch_parent(stopping: threading.Event) -> None:
    # The other end of the pipe closes even if the parent is killed.
    while os.read(0, 4096):
        stopping.set()
    os._exit(EXIT_ORPHANED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
