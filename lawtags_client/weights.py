"""What the header of a safetensors file says, believed only where the file bears it out."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from lawtags_client.errors import DataError

# The format's own limit (huggingface/safetensors, README, "Format").
_LONGEST_HEADER = 100_000_000
_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16}
_BITS |= {"U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file.

    Args:
        name: its name.
        dtype: its type, as the format writes it, e.g. ``"BF16"``.
        size: how many numbers it has.
    """

    name: str
    dtype: str
    size: int


def tensors(path: Path) -> list[Tensor]:
    """The tensors of a safetensors file; only its header is read, and never more of it than the file has.

    Raises:
        DataError: it is another kind of file, has no tensors, or its header does not fit what follows.
    """
    try:
        length = path.stat().st_size
        with path.open("rb") as stream:
            (header_length,) = struct.unpack("<Q", stream.read(8))
            if header_length > min(length - 8, _LONGEST_HEADER):
                raise ValueError(f"a header of {header_length} bytes in a file of {length}")
            header = json.loads(stream.read(header_length))
        room = length - 8 - header_length
        found = [_tensor(name, said, room) for name, said in header.items() if name != "__metadata__"]
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"is not a safetensors file: {error}", path=path, hint="Get it again; other formats are not read."
        ) from error
    if not found:
        raise DataError("is a safetensors file without tensors", path=path, hint="Get it again.")
    return found


def _tensor(name: str, said: Any, room: int) -> Tensor:
    dtype, shape, (start, end) = said["dtype"], said["shape"], said["data_offsets"]
    if not all(isinstance(side, int) and side >= 0 for side in (*shape, start, end)):
        raise ValueError(f"the tensor {name[:80]!r} has no sound shape and place")
    size = prod(shape)
    if not start <= end <= room or (dtype in _BITS and (end - start) * 8 != size * _BITS[dtype]):
        raise ValueError(f"the tensor {name[:80]!r} does not fit into the file")
    return Tensor(name, str(dtype), size)
