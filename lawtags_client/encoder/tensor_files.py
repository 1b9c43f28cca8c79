"""Safetensors files with exactly the tensors that are expected."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.errors import DataError
from lawtags_client.files import atomic_write_bytes
from lawtags_client.weights import tensors

if TYPE_CHECKING:
    from torch import Tensor

_HINT = "Remove the file and run the command again."


def write_tensors(
    path: Path, values: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors into a safetensors file, atomically."""
    from safetensors.torch import save

    data = save(
        {name: value.detach().contiguous() for name, value in values.items()},
        None if metadata is None else dict(metadata),
    )
    atomic_write_bytes(path, data)


def read_tensors(path: Path, shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Read the tensors of a file.

    Args:
        path: the file.
        shapes: the names that it must have, and their shapes.

    Raises:
        DataError: it is damaged, has other tensors, or numbers that are not finite.
    """
    import torch
    from safetensors.torch import load_file

    names = {tensor.name for tensor in tensors(path)}
    if names != set(shapes):
        odd = sorted(names ^ set(shapes))
        raise DataError(f"does not have the expected tensors: {', '.join(odd[:3])}", path=path, hint=_HINT)
    try:
        found: dict[str, Tensor] = load_file(os.fspath(path))
    except Exception as error:  # of whatever class the library raises for a damaged file
        raise DataError(f"cannot be loaded: {str(error)[:300]}", path=path, hint=_HINT) from error
    for name, value in found.items():
        if tuple(value.shape) != tuple(shapes[name]):
            raise DataError(f"{name} has the shape {tuple(value.shape)}", path=path, hint=_HINT)
        if not value.is_floating_point() or not bool(torch.isfinite(value).all()):
            raise DataError(f"{name} has a number that is not finite", path=path, hint=_HINT)
    return found
