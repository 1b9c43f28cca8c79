"""Which kind of checkpoint a folder or an archive is."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lawtags_client.checkpoints.archives import checkpoint_files
from lawtags_client.checkpoints.distributed import CONFIG, read_distributed
from lawtags_client.checkpoints.extents import Extent
from lawtags_client.checkpoints.megatron_weights import MegatronWeights
from lawtags_client.checkpoints.safetensors_files import ADAPTER
from lawtags_client.checkpoints.torch_files import read_state_dict
from lawtags_client.errors import DataError

Kind = Literal["hf", "peft", "nemo1", "nemo2"]
NAMES: Mapping[Kind, str] = {
    "hf": "Hugging Face model",
    "peft": "PEFT adapter",
    "nemo1": "NeMo 1 checkpoint",
    "nemo2": "NeMo 2 checkpoint",
}
MODEL_YAML, MODEL_CONFIG = "context/model.yaml", "model_config.yaml"
_WEIGHTS_1, _WEIGHTS_2, _STATE_DICT = "model_weights/", "weights/", "model_weights.ckpt"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of a known kind.

    Args:
        path: the folder or archive.
        kind: which kind.
        files: its files, by name.
    """

    path: Path
    kind: Kind
    files: Mapping[str, Extent]

    @functools.cached_property
    def weights(self) -> MegatronWeights:
        """The weights of a checkpoint of NeMo.

        Raises:
            DataError: they are missing or damaged.
        """
        return _megatron_weights(self)

    @property
    def is_adapter(self) -> bool:
        """Whether it holds an adapter in place of a model."""
        if self.kind in ("hf", "peft"):
            return self.kind == "peft"
        return any(".adapter" in name for name in self.weights)

    def below(self, prefix: str) -> dict[str, Extent]:
        """The files below a folder, without its name."""
        return {
            name.removeprefix(prefix): extent
            for name, extent in self.files.items()
            if name.startswith(prefix)
        }


def open_checkpoint(path: Path) -> Checkpoint:
    """Find out what a folder or a file is.

    Args:
        path: the folder or archive.

    Raises:
        DataError: it does not exist, or is no checkpoint.
    """
    marks = ("config.json", "adapter_config.json", MODEL_CONFIG, MODEL_YAML)
    # Any other folder may be large, or full of links: it is not walked.
    if path.is_dir() and not any((path / name).exists() for name in marks):
        raise _no_checkpoint(path)
    files = checkpoint_files(path)
    kind: Kind
    if "adapter_config.json" in files and ADAPTER in files:
        kind = "peft"
    elif MODEL_YAML in files:
        kind = "nemo2"
    elif MODEL_CONFIG in files:
        kind = "nemo1"
    elif "config.json" in files:
        kind = "hf"
    else:
        raise _no_checkpoint(path)
    return Checkpoint(path, kind, files)


def _no_checkpoint(path: Path) -> DataError:
    needed = f"config.json, adapter_config.json with {ADAPTER}, {MODEL_CONFIG} or {MODEL_YAML}"
    return DataError(
        f"is no checkpoint: it has none of {needed}",
        path=path,
        hint="Name the folder itself, or a .nemo file.",
        wrong_path=True,
    )


def _megatron_weights(checkpoint: Checkpoint) -> MegatronWeights:
    label = str(checkpoint.path)
    if checkpoint.kind == "nemo2":
        return MegatronWeights(read_distributed(checkpoint.below(_WEIGHTS_2), f"{label}: weights"), label)
    if f"{_WEIGHTS_1}{CONFIG}" in checkpoint.files:
        found = read_distributed(checkpoint.below(_WEIGHTS_1), f"{label}: model_weights")
        return MegatronWeights(found, label)
    if _STATE_DICT in checkpoint.files:
        return MegatronWeights(read_state_dict(checkpoint.files[_STATE_DICT]), label)
    sharded = any(name.endswith(f"/{_STATE_DICT}") for name in checkpoint.files)
    what = "its weights are split over several GPUs" if sharded else "it has no weights"
    raise DataError(
        f"cannot be read: {what}",
        path=checkpoint.path,
        hint="Save it with NeMo for one GPU, or as a distributed checkpoint.",
    )
