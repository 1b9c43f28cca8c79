"""What is in a checkpoint, without loading it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.checkpoints.adapters import CONFIG, LoraAdapter, read_adapter
from lawtags_client.checkpoints.architecture import Architecture, read_json
from lawtags_client.checkpoints.detection import Kind, open_checkpoint
from lawtags_client.checkpoints.models import read_model
from lawtags_client.checkpoints.safetensors_files import ADAPTER, read_safetensors


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """One tensor.

    Args:
        name: its name in Hugging Face.
        dtype: its type.
        shape: its sides.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def numbers(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Inspected:
    """What is in a checkpoint.

    Args:
        path: where it is.
        kind: which kind it is.
        made: what the model looks like; ``None`` for an adapter of PEFT, which does not say so.
        rank: that of an adapter.
        tensors: its tensors, as Hugging Face names them.
    """

    path: Path
    kind: Kind
    made: Architecture | None
    rank: int | None
    tensors: Sequence[TensorFacts]

    @property
    def numbers(self) -> int:
        """How many numbers its tensors have."""
        return sum(tensor.numbers for tensor in self.tensors)


def inspect_checkpoint(path: Path) -> Inspected:
    """Look into a checkpoint, and check that it is complete.

    Args:
        path: a folder, or a ``.nemo`` archive.

    Raises:
        DataError: it is damaged, or no checkpoint that can be converted.
    """
    opened = open_checkpoint(path)
    if opened.kind == "peft":
        stored = read_safetensors(opened.files[ADAPTER])
        facts = [TensorFacts(name, each.dtype, each.shape) for name, each in sorted(stored.items())]
        return Inspected(path, opened.kind, None, read_json(opened.files[CONFIG]).count("r"), facts)
    found = read_adapter(opened, base=None) if opened.is_adapter else read_model(opened)
    facts = [TensorFacts(each.name, each.dtype, each.shape) for each in found.tensors.values()]
    rank = found.rank if isinstance(found, LoraAdapter) else None
    return Inspected(path, opened.kind, found.made, rank, facts)
