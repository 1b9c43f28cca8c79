"""Tensors as bytes in files: cut, joined and copied without ever being loaded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from lawtags_client.checkpoints.extents import BLOCK, Extent

ITEM_BYTES = {
    "BF16": 2,
    "F16": 2,
    "F32": 4,
    "F64": 8,
    "U8": 1,
    "I8": 1,
    "BOOL": 1,
    "I16": 2,
    "I32": 4,
    "I64": 8,
}
"""Bytes per number, by the names of safetensors."""


@dataclass(frozen=True, slots=True)
class Zeros:
    """Bytes that are zero and stand in no file.

    Args:
        length: how many bytes.
    """

    length: int

    def blocks(self) -> Iterator[bytes]:
        """Its bytes, block by block."""
        for start in range(0, self.length, BLOCK):
            yield bytes(min(BLOCK, self.length - start))


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A row-major tensor whose bytes are in files.

    Args:
        dtype: its type, as safetensors writes it.
        shape: its sides.
        pieces: its bytes, in order.
    """

    dtype: str
    shape: tuple[int, ...]
    pieces: tuple[Extent | Zeros, ...]

    @property
    def length(self) -> int:
        """How many bytes it takes."""
        return byte_count(self.dtype, self.shape)

    def rows(self, start: int, count: int) -> StoredTensor:
        """Some of its rows.

        Args:
            start: the first row.
            count: how many rows.
        """
        width = self.length // self.shape[0] if self.shape[0] else 0
        return StoredTensor(
            self.dtype, (count, *self.shape[1:]), tuple(_cut(self.pieces, start * width, count * width))
        )

    def shaped(self, shape: Sequence[int]) -> StoredTensor:
        """The same numbers in another shape of the same size."""
        if math.prod(shape) != math.prod(self.shape):
            raise ValueError(f"{list(self.shape)} cannot become {list(shape)}")
        return replace(self, shape=tuple(shape))

    def blocks(self) -> Iterator[bytes]:
        """Its bytes, block by block."""
        for piece in self.pieces:
            yield from piece.blocks()


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor that is made when it is written.

    Args:
        name: its name.
        dtype: its type.
        shape: its sides.
        make: returns its bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    make: Callable[[], StoredTensor]

    @property
    def length(self) -> int:
        """How many bytes it takes."""
        return byte_count(self.dtype, self.shape)


def byte_count(dtype: str, shape: Sequence[int]) -> int:
    """How many bytes a tensor takes."""
    return math.prod(shape) * ITEM_BYTES[dtype]


def joined(parts: Sequence[StoredTensor]) -> StoredTensor:
    """Tensors below each other: their rows in order.

    Args:
        parts: tensors of one type that differ at most in the number of rows.
    """
    first = parts[0]
    if any(part.dtype != first.dtype or part.shape[1:] != first.shape[1:] for part in parts):
        raise ValueError("the parts differ in type or width")
    rows = sum(part.shape[0] for part in parts)
    pieces = tuple(piece for part in parts for piece in part.pieces)
    return StoredTensor(first.dtype, (rows, *first.shape[1:]), pieces)


def padded(tensor: StoredTensor, rows: int) -> StoredTensor:
    """A tensor with rows of zeros below, or without rows at its end.

    Args:
        tensor: the tensor.
        rows: how many rows the result has.
    """
    more = rows - tensor.shape[0]
    if more <= 0:
        return tensor.rows(0, rows) if more else tensor
    below = (more, *tensor.shape[1:])
    return joined([tensor, StoredTensor(tensor.dtype, below, (Zeros(byte_count(tensor.dtype, below)),))])


def _cut(pieces: Sequence[Extent | Zeros], start: int, length: int) -> Iterator[Extent | Zeros]:
    place = 0
    for piece in pieces:
        first, last = max(start - place, 0), min(start + length - place, piece.length)
        if first < last:
            whole = first == 0 and last == piece.length
            yield piece if whole else _part(piece, first, last - first)
        place += piece.length


def _part(piece: Extent | Zeros, start: int, length: int) -> Extent | Zeros:
    return Zeros(length) if isinstance(piece, Zeros) else piece.part(start, length)
