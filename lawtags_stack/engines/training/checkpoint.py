"""Training checkpoints, so that a killed training resumes exactly.

Weights, optimizer and random state are safetensors, the rest is JSON; nothing is unpickled. A training may
resume on another device.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.errors import LawtagsError
from lawtags_client.files import make_folder, publish_folder
from lawtags_stack.engines.device import random_states, restore_random_states

if TYPE_CHECKING:
    import torch

_CURSOR = "cursor.json"
_WEIGHTS = "weights.safetensors"
_OPTIMIZER = "optimizer.safetensors"
_RANDOM = "random.safetensors"


@dataclass(slots=True)
class Cursor:
    """The progress of a training.

    Args:
        step: completed optimizer steps.
        epoch: completed epochs.
        batch: completed batches of the current epoch.
        window_loss: sum of the training losses since the last metric point.
        window_steps: number of steps in that sum.
        window_right: number of correct items in these steps; zero if unknown.
        window_items: number of items in these steps.
        train_loss: the last training metric.
        best_loss: the best validation loss; None before the first validation.
        best_epoch: its epoch, counted from one.
        best_train_loss: the last training metric at that time.
        stopping_loss: the validation loss that early stopping compares with.
        stale_epochs: epochs since its last improvement.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    window_loss: float = 0.0
    window_steps: int = 0
    window_right: int = 0
    window_items: int = 0
    train_loss: float | None = None
    best_epoch: int | None = None
    best_train_loss: float | None = None
    best_loss: float | None = None
    stopping_loss: float | None = None
    stale_epochs: int = 0


class CheckpointFolder:
    """The latest checkpoint of one training; the previous one is deleted once the new one is on disk.

    Args:
        folder: used by this training alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(
        self, cursor: Cursor, weights: dict[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        """Write a checkpoint; after a power cut either the new or the previous one is intact."""
        from safetensors.torch import save_file

        make_folder(self._folder)
        name = f"step-{cursor.step:08d}"
        temporary = self._folder / f".{name}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        save_file({key: value.detach().cpu() for key, value in weights.items()}, temporary / _WEIGHTS)
        save_file(_optimizer_tensors(optimizer, list(weights)), temporary / _OPTIMIZER)
        save_file(random_states(_device(weights)), temporary / _RANDOM)
        (temporary / _CURSOR).write_text(json.dumps(asdict(cursor), allow_nan=False), "utf-8")
        shutil.rmtree(self._folder / name, ignore_errors=True)
        publish_folder(temporary, self._folder / name)
        for older in self._names():
            if older != name:
                shutil.rmtree(self._folder / older)

    def load(self, weights: dict[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer) -> Cursor | None:
        """Restore weights, optimizer and random state from the latest checkpoint.

        Returns:
            The progress to resume from; None if there is no checkpoint.

        Raises:
            LawtagsError: the checkpoint is for another model or release.
        """
        import torch
        from safetensors.torch import load_file

        names = self._names()
        if not names:
            return None
        folder = self._folder / names[-1]
        try:
            cursor = Cursor(**json.loads((folder / _CURSOR).read_text("utf-8")))
        except TypeError as error:
            raise LawtagsError(
                f"the checkpoint {folder} was written by another release of lawtags",
                hint="Create the job again; it starts from the beginning.",
            ) from error
        saved = load_file(folder / _WEIGHTS)
        if set(saved) != set(weights):
            raise LawtagsError(f"the checkpoint {folder} belongs to another model")
        with torch.no_grad():
            for name, parameter in weights.items():
                parameter.copy_(saved[name])
        _restore_optimizer(optimizer, list(weights), load_file(folder / _OPTIMIZER))
        restore_random_states(_device(weights), load_file(folder / _RANDOM))
        return cursor

    def clear(self) -> None:
        """Delete all checkpoints."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _names(self) -> list[str]:
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if path.name.startswith("step-"))


def _device(weights: dict[str, torch.nn.Parameter]) -> torch.device:
    return next(iter(weights.values())).device


def _optimizer_tensors(optimizer: torch.optim.Optimizer, names: list[str]) -> dict[str, torch.Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{key}/{names[index]}": value.detach().cpu().contiguous()
        for index, values in state.items()
        for key, value in values.items()
    }


def _restore_optimizer(
    optimizer: torch.optim.Optimizer, names: list[str], tensors: dict[str, torch.Tensor]
) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    position = {name: index for index, name in enumerate(names)}
    for label, value in tensors.items():
        key, name = label.split("/", 1)
        state.setdefault(position[name], {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
