"""The working folder of a job that a runner carries out."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.files import atomic_write_json, atomic_write_text
from lawtags_stack.engines.training.events import TrainerEvent
from lawtags_stack.engines.training.job import (
    BEST_FOLDER,
    CHECKPOINT_FOLDER,
    DATA_FOLDER,
    JOB_FILE,
    RESULT_FOLDER,
)

MODEL_FOLDER = "model"
STATS_FILE = "checkpoint_stats.json"
_FETCHED = "fetched"
_NOTE = "belongs-to.json"
# Room for checkpoints and the result of an adapter.
_MARGIN = 256 << 20


class RunnerWork:
    """Everything on disk that belongs to one attempt of a job.

    Args:
        jobs: the runner's folder of jobs.
        attempt: the id of the attempt, from the platform.
    """

    def __init__(self, jobs: Path, attempt: str) -> None:
        # The id comes from the platform, so it does not become a path as it is.
        self.path = jobs / hashlib.sha256(attempt.encode()).hexdigest()[:24]

    @classmethod
    def at(cls, folder: Path) -> RunnerWork:
        """The work in a folder."""
        made = cls.__new__(cls)
        made.path = folder
        return made

    def note(self, job: str, attempt: str) -> None:
        """Note whose folder this is."""
        self.path.mkdir(parents=True, exist_ok=True)
        atomic_write_json(self.path / _NOTE, {"job": job, "attempt": attempt})

    @property
    def owner(self) -> tuple[str, str] | None:
        """The job and the attempt that the folder belongs to; None if there is no note."""
        try:
            found = json.loads((self.path / _NOTE).read_text("utf-8"))
            return str(found["job"]), str(found["attempt"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def model(self) -> Path:
        """The base model."""
        return self.path / MODEL_FOLDER

    @property
    def data(self) -> Path:
        """The rows."""
        return self.path / DATA_FOLDER

    @property
    def result(self) -> Path:
        """The trained weights; the folder exists if they are complete."""
        return self.path / RESULT_FOLDER

    @property
    def is_prepared(self) -> bool:
        """Whether the trainer's job is written, which comes after everything that it needs."""
        return (self.path / JOB_FILE).exists()

    @property
    def attempts(self) -> int:
        """How many training processes have been started."""
        return len(list(self.path.glob("events-*.jsonl")))

    def is_fetched(self, what: str) -> bool:
        """Whether a download is complete."""
        return (self.path / f"{what}.{_FETCHED}").exists()

    def note_fetched(self, what: str) -> None:
        """Note that a download is complete."""
        atomic_write_text(self.path / f"{what}.{_FETCHED}", "")

    def check_space(self, needed: int) -> None:
        """Check that files of ``needed`` bytes fit on the disk.

        Raises:
            ConfigurationError: they do not.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.path).free
        if free < needed + _MARGIN:
            raise ConfigurationError(
                f"the runner has {free / 1e9:,.2f} GB of free disk space, and the job needs "
                f"{(needed + _MARGIN) / 1e9:,.2f} GB",
                hint="Free space on the runner's machine, or start the runner with another --dir.",
            )

    def write_stats(self) -> None:
        """Write the losses of all validations beside the result, as NVIDIA's training does."""
        found = {}
        per_epoch = 1
        train: float | None = None
        for event in self.events():
            if event["event"] == "data":
                per_epoch = max(event["steps_per_epoch"], 1)
            if event["event"] == "train":
                train = event["value"]
            if event["event"] == "validation":
                step = event["step"] + 1
                found[step] = {
                    "epoch": event["step"] // per_epoch + 1,
                    "step": step,
                    "train_loss": train,
                    "val_loss": {"default": event["value"]},
                    "best_metric_key": "default",
                }
        atomic_write_json(self.result / STATS_FILE, {"checkpoints": [found[step] for step in sorted(found)]})

    def events(self) -> Iterator[TrainerEvent]:
        """The events of all training processes so far."""
        for number in range(self.attempts):
            path = self.path / f"events-{number}.jsonl"
            # A killed process may leave an incomplete last line.
            for line in path.read_text("utf-8").split("\n")[:-1] if path.exists() else ():
                yield json.loads(line)

    def clear(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path, ignore_errors=True)

    def clear_training(self) -> None:
        """Delete what a finished training no longer needs, so that the result has room."""
        for name in (CHECKPOINT_FOLDER, BEST_FOLDER):
            shutil.rmtree(self.path / name, ignore_errors=True)


def shared_storage(root: Path | None, given: str) -> Path:
    """The folder of a job on a platform that downloads and uploads itself.

    Args:
        root: the folder on this machine that is ``/`` to the platform; None: not known.
        given: the folder as the platform names it.

    Raises:
        ConfigurationError: the root is not known, or there is no such folder below it.
    """
    if root is None:
        raise ConfigurationError(
            f"the platform keeps this job's files itself, in {given}",
            hint="If that is on this machine, start the runner with --job-storage /, or with the root of the "
            "platform's chroot.",
        )
    base = root.resolve()
    path = (base / given.lstrip("/")).resolve()
    if not path.is_relative_to(base):
        raise DataError("the job's storage lies outside of --job-storage", path=given)
    if not path.is_dir():
        raise ConfigurationError(
            f"the job's storage {given} is not a folder below {base}",
            hint="Pass the folder that is / to the platform as --job-storage.",
        )
    return path
