"""Files of ``torch.save``: tensors found without unpickling, and written without torch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

from lawtags_client.checkpoints.extents import Extent
from lawtags_client.checkpoints.pickle_writing import write_pickle
from lawtags_client.checkpoints.pickles import PickledGlobal, PickledObject, PickledReference, read_pickle
from lawtags_client.checkpoints.tensors import ITEM_BYTES, StoredTensor, byte_count
from lawtags_client.checkpoints.zip_files import ZipStream, zip_entries
from lawtags_client.errors import DataError

_STORAGES = {
    "BFloat16Storage": "BF16",
    "HalfStorage": "F16",
    "FloatStorage": "F32",
    "DoubleStorage": "F64",
    "ByteStorage": "U8",
    "CharStorage": "I8",
    "ShortStorage": "I16",
    "IntStorage": "I32",
    "LongStorage": "I64",
    "BoolStorage": "BOOL",
}
_STORAGE_NAMES = {dtype: name for name, dtype in _STORAGES.items()}
_REBUILD = "torch._utils._rebuild_tensor_v2"
_PARAMETER = "torch._utils._rebuild_parameter"
_ORDERED = "collections.OrderedDict"
_HINT = "Save it again as a plain dict of tensors, with torch.save."
_LARGEST_PICKLE = 64 << 20


class TorchFile:
    """A file of ``torch.save``, opened.

    Args:
        extent: the file, which may stand within another one.

    Raises:
        DataError: it is not one, or damaged.
    """

    def __init__(self, extent: Extent) -> None:
        self.extent = extent
        entries = zip_entries(extent)
        roots = {name.partition("/")[0] for name in entries}
        if len(roots) != 1:
            raise DataError("is not a file of torch.save", path=extent.label, hint=_HINT)
        root = roots.pop()
        self._entries = {name.removeprefix(f"{root}/"): entry for name, entry in entries.items()}
        pickled = self._entries.get("data.pkl")
        if pickled is None:
            raise DataError("is not a file of torch.save: it has no data.pkl", path=extent.label, hint=_HINT)
        order = self._entries.get("byteorder")
        if order is not None and order.read(16) != b"little":
            raise DataError("has big-endian numbers", path=extent.label, hint=_HINT)
        self.value = read_pickle(pickled.read(_LARGEST_PICKLE), pickled.label)

    def tensor(self, value: object, name: str = "") -> StoredTensor:
        """The bytes of one tensor of the file.

        Args:
            value: what the pickle has for it.
            name: its name for error messages.

        Raises:
            DataError: it is not a plain row-major tensor within its storage.
        """
        try:
            return self._tensor(value)
        except (ValueError, LookupError, TypeError) as error:
            raise DataError(
                f"the tensor {name[:120]!r} cannot be read: {error}", path=self.extent.label, hint=_HINT
            ) from error

    def _tensor(self, value: object) -> StoredTensor:
        if isinstance(value, PickledObject) and value.kind == _PARAMETER:
            value = value.args[0]
        if not isinstance(value, PickledObject) or value.kind != _REBUILD:
            raise ValueError("it is not a plain tensor")
        storage, offset, size, stride = value.args[:4]
        dtype, key = _storage(storage)
        shape, steps = counts(size), counts(stride)
        if not isinstance(offset, int) or offset < 0 or len(steps) != len(shape):
            raise ValueError("its position is invalid")
        if (
            math.prod(shape)
            and steps != _row_major(shape)
            and any(
                side > 1 and step != expected
                for side, step, expected in zip(shape, steps, _row_major(shape), strict=True)
            )
        ):
            raise ValueError("its numbers are not in row-major order")
        data = self._entries[f"data/{key}"]
        item = ITEM_BYTES[dtype]
        return StoredTensor(dtype, shape, (data.part(offset * item, byte_count(dtype, shape)),))


def read_state_dict(extent: Extent) -> dict[str, StoredTensor]:
    """The tensors of a file that holds a dict of them; what else is in it is left out.

    Args:
        extent: the file.

    Raises:
        DataError: the file is damaged, holds something else, or two tensors overlap.
    """
    opened = TorchFile(extent)
    value = opened.value
    items = value.items if isinstance(value, PickledObject) and value.kind == _ORDERED else value
    if not isinstance(items, dict):
        raise DataError("does not hold a dict of tensors", path=extent.label, hint=_HINT)
    found = {
        str(name): opened.tensor(each, str(name))
        for name, each in items.items()
        if isinstance(each, PickledObject) and each.kind in (_REBUILD, _PARAMETER)
    }
    _check_overlap(found, extent)
    return found


def _check_overlap(found: Mapping[str, StoredTensor], extent: Extent) -> None:
    places = sorted(
        (piece.start, piece.start + piece.length, name)
        for name, tensor in found.items()
        for piece in tensor.pieces
        if isinstance(piece, Extent) and piece.length
    )
    for (start, end, name), (following, last, other) in itertools.pairwise(places):
        # Tied weights are the same bytes twice, which is sound.
        if following < end and (start, end) != (following, last):
            raise DataError(
                f"the tensors {name[:80]!r} and {other[:80]!r} overlap", path=extent.label, hint=_HINT
            )


def _storage(reference: object) -> tuple[str, str]:
    value = reference.value if isinstance(reference, PickledReference) else None
    if not isinstance(value, tuple) or len(value) != 5 or value[0] != "storage":
        raise ValueError("its storage is invalid")
    _, kind, key, _, _ = value
    if not isinstance(kind, PickledGlobal) or not isinstance(key, str):
        raise ValueError("its storage is invalid")
    dtype = _STORAGES.get(kind.name.removeprefix("torch."))
    if dtype is None:
        raise ValueError(f"its type {kind.name[:80]} is not supported")
    return dtype, key


def counts(value: object) -> tuple[int, ...]:
    """The sides of a tensor, as a pickle has them: a tuple, or a ``torch.Size``.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(value, PickledObject) and value.kind == "torch.Size" and len(value.args) == 1:
        value = value.args[0]
    if not isinstance(value, tuple | list) or len(value) > 16:
        raise ValueError("its shape is invalid")
    sides = tuple(value)
    if not all(type(side) is int and 0 <= side < 1 << 40 for side in sides):
        raise ValueError("its shape is invalid")
    return sides


def _row_major(shape: Sequence[int]) -> tuple[int, ...]:
    steps, step = [], 1
    for side in reversed(shape):
        steps.append(step)
        step *= max(side, 1)
    return tuple(reversed(steps))


def write_torch_file(
    stream: BinaryIO, value: object, storages: Iterable[tuple[str, StoredTensor]] = ()
) -> int:
    """Write a file as ``torch.save`` does, and return its length in bytes.

    Args:
        stream: a seekable stream; the file begins at its present place.
        value: what it holds; tensors as ``pickled_tensor`` makes them.
        storages: the key and the bytes of each tensor.
    """
    archive = ZipStream(stream)
    for name, data in (
        ("data.pkl", write_pickle(value)),
        (".format_version", b"1"),
        (".storage_alignment", b"64"),
        ("byteorder", b"little"),
    ):
        archive.add(f"archive/{name}", len(data), [data])
    for key, tensor in storages:
        archive.add(f"archive/data/{key}", tensor.length, tensor.blocks())
    archive.add("archive/version", 2, [b"3\n"])
    return archive.close()


def write_state_dict(stream: BinaryIO, tensors: Mapping[str, StoredTensor]) -> int:
    """Write a dict of tensors as ``torch.save`` does, and return the length in bytes.

    Args:
        stream: a seekable stream; the file begins at its present place.
        tensors: name to tensor.
    """
    value = PickledObject(_ORDERED, ())
    for place, (name, tensor) in enumerate(tensors.items()):
        value.items[name] = pickled_tensor(tensor.dtype, tensor.shape, str(place))
    return write_torch_file(stream, value, ((str(n), each) for n, each in enumerate(tensors.values())))


def pickled_tensor(dtype: str, shape: Sequence[int], key: str) -> PickledObject:
    """What the pickle of a file has for a tensor.

    Args:
        dtype: its type.
        shape: its sides.
        key: that of its storage.
    """
    kind = PickledGlobal(f"torch.{_STORAGE_NAMES[dtype]}")
    storage = PickledReference(("storage", kind, key, "cpu", math.prod(shape)))
    sides = tuple(shape)
    return PickledObject(_REBUILD, (storage, 0, sides, _row_major(sides), False, PickledObject(_ORDERED, ())))
