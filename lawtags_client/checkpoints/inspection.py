"""What is in a checkpoint, without loading it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.checkpoints.architecture import Architecture
from lawtags_client.checkpoints.detection import Kind, open_checkpoint
from lawtags_client.checkpoints.models import read_model


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
        made: what the model looks like.
        tensors: its tensors, as Hugging Face names them.
    """

    path: Path
    kind: Kind
    made: Architecture
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
    model = read_model(opened)
    facts = [TensorFacts(each.name, each.dtype, each.shape) for each in model.tensors.values()]
    return Inspected(path, opened.kind, model.made, facts)
