"""NumPy, or an error that names the extra to install, and the types of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from lawtags_client.errors import MissingExtraError

try:
    import numpy as np
except ImportError as error:
    raise MissingExtraError("numpy", "tag", "The tagger") from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32 | np.float64]
    Integers: TypeAlias = NDArray[np.int64]
    Flags: TypeAlias = NDArray[np.bool_]
    Rows: TypeAlias = NDArray[np.int64] | NDArray[np.bool_]
    """Row numbers, or a mask of rows."""

__all__ = ["np"]
