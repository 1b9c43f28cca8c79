"""The checkpoints of a tuning: the state of the training, and the best weights so far."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.encoder.tensor_files import read_tensors, write_tensors
from lawtags_client.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import AdamW

_STATE, _BEST = "state.safetensors", "best.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True)
class TuningState:
    """How far a training has come.

    Args:
        step: steps done.
        loss: summed over the steps of the current epoch.
        training: the losses of past epochs.
        validation: the same on the validation rows.
        best: the epoch with the lowest validation loss, from one.
        seconds: CPU seconds spent.
    """

    step: int = 0
    loss: float = 0.0
    training: tuple[float, ...] = ()
    validation: tuple[float, ...] = ()
    best: int = 0
    seconds: float = 0.0


class TuningCheckpoints:
    """The checkpoints of one training.

    Args:
        folder: where they are.
        digest: of the training's inputs; checkpoints of other inputs are removed.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self._folder, self._digest = folder, digest

    def write(self, parameters: Mapping[str, Tensor], optimizer: AdamW, state: TuningState) -> None:
        """Write the state as one file, so that none of its parts can be newer than another."""
        tensors = dict(parameters)
        for name, weights in parameters.items():
            for moment in _MOMENTS:
                if weights in optimizer.state:
                    tensors[f"{moment}.{name}"] = optimizer.state[weights][moment]
        metadata = {"inputs": self._digest, "state": json.dumps(asdict(state))}
        write_tensors(self._folder / _STATE, tensors, metadata)

    def write_best(self, parameters: Mapping[str, Tensor]) -> None:
        """Keep the weights as the best ones so far."""
        write_tensors(self._folder / _BEST, parameters, {"inputs": self._digest})

    def read_best(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The best weights, which have the shapes of these.

        Raises:
            DataError: the file is missing or damaged.
        """
        return read_tensors(self._folder / _BEST, {name: each.shape for name, each in parameters.items()})

    def resume(
        self, parameters: Mapping[str, Tensor], optimizer: AdamW
    ) -> tuple[TuningState, dict[str, Tensor]] | None:
        """The state and the weights of a checkpoint of this training; None if there is none to resume from.

        Args:
            parameters: the weights of the model, by name.
            optimizer: receives the moments of the checkpoint.
        """
        import torch

        shapes = {name: weights.shape for name, weights in parameters.items()}
        shapes |= {f"{moment}.{name}": shape for name, shape in shapes.items() for moment in _MOMENTS}
        state = _read_state(self._folder / _STATE, self._digest)
        if state is None:
            shutil.rmtree(self._folder, ignore_errors=True)
            return None
        try:
            found = read_tensors(self._folder / _STATE, shapes)
            if state.best:
                self.read_best(parameters)
        except DataError:
            shutil.rmtree(self._folder, ignore_errors=True)
            return None
        for name, weights in parameters.items():
            optimizer.state[weights] = {
                "step": torch.tensor(float(state.step)),
                **{moment: found[f"{moment}.{name}"] for moment in _MOMENTS},
            }
        return state, found


def _read_state(path: Path, digest: str) -> TuningState | None:
    """The state in a checkpoint; None if there is none, or one of another training."""
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        if metadata.get("inputs") != digest:
            return None
        said = json.loads(metadata["state"])
        return TuningState(
            step=int(said["step"]),
            loss=float(said["loss"]),
            training=tuple(map(float, said["training"])),
            validation=tuple(map(float, said["validation"])),
            best=int(said["best"]),
            seconds=float(said["seconds"]),
        )
    except Exception:  # whatever is wrong with a checkpoint, it is not resumed from
        return None
