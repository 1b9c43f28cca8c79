"""What the header of a safetensors file says, believed only where the file bears it out."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from lawtags_client.errors import DataError

# The format's own limit (huggingface/safetensors, README, "Format").
_LONGEST_HEADER = 100_000_000
_BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8}
_BITS |= {"F8_E8M0": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32}
_BITS |= {"U64": 64, "I64": 64, "F64": 64, "C64": 64}


class _Entry(TypedDict):
    """What the format says of a tensor; a file may hold anything in its place."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


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


@dataclass(frozen=True, slots=True)
class PlacedTensor:
    """One tensor of a file, and where its bytes are.

    Args:
        dtype: its type, as the format writes it, e.g. ``"BF16"``.
        shape: its sides; empty for a single number.
        size: how many numbers it has.
        start: its first byte in the file.
        length: how many bytes it takes.
    """

    dtype: str
    shape: tuple[int, ...]
    size: int
    start: int
    length: int


def tensors(path: Path) -> list[Tensor]:
    """The tensors of a safetensors file; only its header is read, and never more of it than the file has.

    Raises:
        DataError: it is another kind of file, has no tensors, or its header does not fit what follows.
    """
    return [Tensor(name, found.dtype, found.size) for name, found in placed_tensors(path).items()]


def placed_tensors(path: Path) -> dict[str, PlacedTensor]:
    """The tensors of a safetensors file by name, with shape and position.

    Raises:
        DataError: see ``tensors``.
    """
    try:
        length = path.stat().st_size
        with path.open("rb") as stream:
            if length < 8:
                raise ValueError(f"it has {length} bytes")
            (header_length,) = struct.unpack("<Q", stream.read(8))
            if header_length > min(length - 8, _LONGEST_HEADER):
                raise ValueError(f"a header of {header_length} bytes in a file of {length}")
            header = json.loads(stream.read(header_length), object_pairs_hook=_unique)
        places = {name: _place(name, said) for name, said in header.items() if name != "__metadata__"}
        _check_cover(places, length - 8 - header_length)
        data = 8 + header_length
        found = {name: _tensor(name, header[name], start, end, data) for name, (start, end) in places.items()}
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, hint="Check the path.") from error
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"is not a safetensors file: {error}",
            path=path,
            hint="Download it again; other formats are not supported.",
        ) from error
    if not found:
        raise DataError("is a safetensors file without tensors", path=path, hint="Download it again.")
    return found


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose keys differ: which of two equal ones counts, each reader would decide for itself."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"its header has {twice[:80]!r} twice")
    return found


def _place(name: str, said: _Entry) -> tuple[int, int]:
    start, end = said["data_offsets"]
    if not (_is_count(start) and _is_count(end) and start <= end):
        raise ValueError(f"the tensor {name[:80]!r} has an invalid position")
    return start, end


def _check_cover(places: Mapping[str, tuple[int, int]], room: int) -> None:
    """See that the tensors fill the data one after the other, as the format demands: no overlap, no gap."""
    reached = 0
    for name, (start, end) in sorted(places.items(), key=lambda item: item[1]):
        if start != reached or end > room:
            raise ValueError(f"the tensor {name[:80]!r} does not fit into the file")
        reached = end
    if places and reached != room:
        raise ValueError(f"its tensors take {reached} of {room} bytes")


def _tensor(name: str, said: _Entry, start: int, end: int, data: int) -> PlacedTensor:
    dtype, bits = said["dtype"], 8 * (end - start)
    # A type that is not known here takes at least a bit for each number.
    size = _numbers(name, said["shape"], most=bits)
    if dtype in _BITS and bits != size * _BITS[dtype]:
        raise ValueError(f"the tensor {name[:80]!r} does not fit into the file")
    return PlacedTensor(str(dtype), tuple(said["shape"]), size, data + start, end - start)


def _numbers(name: str, shape: Sequence[int], *, most: int) -> int:
    if not all(_is_count(side) for side in shape):
        raise ValueError(f"the tensor {name[:80]!r} has an invalid shape")
    size = 0 if 0 in shape else 1
    for side in shape:
        size *= side
        # Not multiplied out: a header has room for sides enough to do so for hours.
        if size > most:
            raise ValueError(f"the tensor {name[:80]!r} does not fit into the file")
    return size


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0
