"""A short calibration: how fast this machine trains a model, and with how much memory.

``calibrate`` starts a process of its own, ``python -m lawtags_stack.engines.training.calibration JOBDIR``, so
that memory is measured as in a training. It loads the model of a job folder, and times forward and backward
passes of one short row and of as many rows as a pass takes, with and without gradients.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.errors import LawtagsError
from lawtags_client.files import atomic_write_text
from lawtags_client.json_value import JsonObject
from lawtags_client.training_speed import TrainingSpeed
from lawtags_stack.engines.training.job import DATA_FOLDER, TrainingJob
from lawtags_stack.processes.environment import keep_few_kernels, worker_environment

if TYPE_CHECKING:
    from lawtags_stack.engines.training.examples import Example
    from lawtags_stack.engines.training.model import TrainableModel

_ROWS = 256
_REPEATS = 3
_TIMEOUT = 600.0
_AROUND = 2.0
"""Seconds between submission and start, and between the end and the next look at the job."""


def calibrate(job: TrainingJob, rows: Sequence[JsonObject]) -> TrainingSpeed:
    """Calibrate this machine for a job.

    Args:
        job: names the model folder, the method and the adapter; its files are replaced.
        rows: training rows; the first few hundred are used.

    Raises:
        LawtagsError: the model cannot be trained.
    """
    with tempfile.TemporaryDirectory(prefix="lawtags-calibration-") as name:
        folder = Path(name)
        lines = "".join(json.dumps(row) + "\n" for row in rows[:_ROWS])
        atomic_write_text(folder / DATA_FOLDER / "rows.jsonl", lines)
        replace(job, training=("rows.jsonl",), validation=()).write(folder)
        command = [sys.executable, "-m", __name__, name]
        try:
            done = subprocess.run(
                command,
                env=worker_environment(),
                capture_output=True,
                text=True,
                timeout=_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LawtagsError(
                f"the calibration took longer than {_TIMEOUT:.0f} s", hint="Plan without --calibrate."
            ) from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise LawtagsError(f"the calibration failed: {last}", hint="Check the base model and its folder.")
    return TrainingSpeed(**json.loads(done.stdout.splitlines()[-1]))


def measure(folder: Path) -> TrainingSpeed:
    """Measure in this process.

    Args:
        folder: of the job.
    """
    import peft  # noqa: F401 - stacks have imported it before a training begins
    import torch
    import transformers  # noqa: F401

    from lawtags_stack.engines.training.optimizer import make_optimizer
    from lawtags_stack.engines.training.rows import read_rows
    from lawtags_stack.engines.training.worker import _encoder, _load_model, peak_memory

    process = _resident()
    job = TrainingJob.read(folder)
    begin = time.perf_counter()
    encoder = _encoder(job)
    examples = encoder.encode(read_rows(folder / DATA_FOLDER, job.training)).examples
    model = _load_model(job, encoder.padding, "auto")
    loaded = time.perf_counter() - begin
    optimizer = make_optimizer(model.trainable().values(), job)
    small, large = _shapes(examples, model.tokens_per_micro_batch)
    training = [_seconds(partial(_train, model, part)) for part in (small, large)]
    per_step = _seconds(optimizer.step)
    optimizer.zero_grad(set_to_none=True)
    model.module.eval()
    with torch.inference_mode():
        scoring = [_seconds(partial(_loss, model, part)) for part in (small, large)]
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as result:
        model.save(Path(result))
    saved = time.perf_counter() - begin
    per_pass, per_token = _line(small, large, *training)
    scoring_pass, scoring_token = _line(small, large, *scoring)
    return TrainingSpeed(
        startup=_AROUND + loaded + saved,
        per_step=per_step,
        per_pass=per_pass,
        per_token=per_token,
        scoring_pass=scoring_pass,
        scoring_token=scoring_token,
        memory=peak_memory(on_cpu=model.compute.on_cpu),
        process=process,
    )


def _shapes(examples: Sequence[Example], limit: int) -> tuple[list[Example], list[Example]]:
    """The shortest row, and as many of the longer rows as a pass takes."""
    ordered = sorted(examples, key=lambda example: example.width)
    fitting = max(1, limit // ordered[-1].width)
    return ordered[:1], ordered[-fitting:]


def _loss(model: TrainableModel, part: Sequence[Example]) -> float:
    from lawtags_stack.engines.training.objective import CompletionObjective

    return CompletionObjective().loss(model, part)[0].item()


def _train(model: TrainableModel, part: Sequence[Example]) -> float:
    import torch

    from lawtags_stack.engines.training.objective import CompletionObjective

    model.module.train()
    loss, _ = CompletionObjective().loss(model, part)
    torch.autograd.backward(loss)
    return loss.item()


def _seconds(work: Callable[[], object]) -> float:
    """The median of a few repeats; the first call, which makes caches, does not count."""
    work()
    taken = []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def _line(small: Sequence[Example], large: Sequence[Example], one: float, many: float) -> tuple[float, float]:
    """Seconds per pass and per token, from two passes of different size."""
    few, most = (len(part) * max(example.width for example in part) for part in (small, large))
    if most <= few or many <= one:
        return 0.0, many / most
    per_token = (many - one) / (most - few)
    return max(0.0, one - per_token * few), per_token


def _resident() -> int:
    """Memory of this process now, in bytes."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        from lawtags_stack.engines.training.worker import peak_memory

        return peak_memory(on_cpu=True)
    import resource

    return pages * resource.getpagesize()


if __name__ == "__main__":
    keep_few_kernels()
    sys.stdout.write(json.dumps(asdict(measure(Path(sys.argv[1])))) + "\n")
