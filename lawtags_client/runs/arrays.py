"""Files of arrays in a run's folder, read without pickle."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.errors import DataError
from lawtags_client.files import atomic_write_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lawtags_client.tagging._numpy import np


def write_arrays(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write arrays as an ``.npz`` file; equal arrays give equal bytes.

    Args:
        path: the file.
        arrays: by name.
    """
    from lawtags_client.tagging._numpy import np

    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    atomic_write_bytes(path, buffer.getvalue())


def read_arrays(path: Path, names: Sequence[str]) -> list[NDArray[np.generic]]:
    """Read arrays of an ``.npz`` file.

    Args:
        path: the file.
        names: of the arrays.

    Raises:
        DataError: the file is missing or damaged, or lacks one of them.
    """
    from lawtags_client.tagging._numpy import np

    # A damaged header may claim a password (RuntimeError), another compression, or more memory than there is.
    damage = (OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError, MemoryError)
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            return [kept[name] for name in names]
    except (*damage, zipfile.BadZipFile, zlib.error) as problem:
        hint = "Run the recipe again to rebuild it."
        raise DataError(f"cannot be read: {problem}", path=path, hint=hint) from problem
