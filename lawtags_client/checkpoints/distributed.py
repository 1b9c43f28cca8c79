"""Distributed checkpoints of Megatron Core in the ``torch_dist`` format, read without torch."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lawtags_client.checkpoints.extents import Extent
from lawtags_client.checkpoints.pickles import PickledObject, read_pickle
from lawtags_client.checkpoints.tensors import ITEM_BYTES, StoredTensor
from lawtags_client.checkpoints.torch_files import TorchFile, counts
from lawtags_client.errors import DataError

METADATA, CONFIG = ".metadata", "metadata.json"
_LARGEST_METADATA = 256 << 20
_HINT = "Only complete checkpoints in the torch_dist format are read. Copy or download it again."


@dataclass(frozen=True, slots=True)
class Chunk:
    """A box of a tensor that stands in one place.

    Args:
        offsets: its first number along each axis.
        sizes: its sides.
        data: its bytes, row-major.
    """

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    data: Extent


@dataclass(slots=True)
class ChunkedTensor:
    """A tensor in chunks.

    Args:
        name: its key in the checkpoint.
        dtype: its type.
        shape: its sides.
        chunks: what it consists of.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    chunks: list[Chunk] = field(default_factory=list)

    def whole(self) -> StoredTensor:
        """All of it."""
        return self._rows(0, self.shape[0] if self.shape else 1)

    def layer(self, number: int) -> StoredTensor:
        """One step along the first axis, without that axis.

        Args:
            number: which one.
        """
        found = self._rows(number, 1)
        return found.shaped(self.shape[1:])

    def _rows(self, start: int, count: int) -> StoredTensor:
        shape = (count, *self.shape[1:]) if self.shape else ()
        chunks = [each for each in self.chunks if _meets(each, start, count)]
        return StoredTensor(self.dtype, shape, tuple(self._pieces(chunks, start, count)))

    def _pieces(self, chunks: Sequence[Chunk], start: int, count: int) -> Iterator[Extent]:
        item = ITEM_BYTES[self.dtype]
        if all(each.sizes[1:] == self.shape[1:] for each in chunks):
            for each in sorted(chunks, key=lambda chunk: chunk.offsets):
                yield _cut_rows(each, start, count, item)
            return
        yield from self._lines(chunks, start, count, item)

    def _lines(self, chunks: Sequence[Chunk], start: int, count: int, item: int) -> Iterator[Extent]:
        """The numbers in order where chunks stand beside each other."""
        outer = [range(start, start + count), *map(range, self.shape[1:-1])]
        ordered = sorted(chunks, key=lambda chunk: chunk.offsets[-1])
        for place in itertools.product(*outer):
            for each in ordered:
                inner = [at - offset for at, offset in zip(place, each.offsets, strict=False)]
                if all(0 <= at < side for at, side in zip(inner, each.sizes, strict=False)):
                    line = 0
                    for at, side in zip(inner, each.sizes, strict=False):
                        line = line * side + at
                    width = each.sizes[-1] * item
                    yield each.data.part(line * width, width)


def _meets(chunk: Chunk, start: int, count: int) -> bool:
    if not chunk.sizes:
        return True
    return chunk.offsets[0] < start + count and start < chunk.offsets[0] + chunk.sizes[0]


def _cut_rows(chunk: Chunk, start: int, count: int, item: int) -> Extent:
    if not chunk.sizes:
        return chunk.data
    first = max(start, chunk.offsets[0])
    last = min(start + count, chunk.offsets[0] + chunk.sizes[0])
    width = math.prod(chunk.sizes[1:]) * item
    return chunk.data.part((first - chunk.offsets[0]) * width, (last - first) * width)


def read_distributed(files: Mapping[str, Extent], label: str) -> dict[str, ChunkedTensor]:
    """The tensors of a distributed checkpoint.

    Args:
        files: the files of its folder, by name.
        label: the folder's name for error messages.

    Raises:
        DataError: a file is missing or damaged, or chunks overlap or leave a gap.
    """
    _check_format(files, label)
    metadata = files.get(METADATA)
    if metadata is None:
        raise DataError(f"has no {METADATA}", path=label, hint=_HINT)
    value = read_pickle(metadata.read(_LARGEST_METADATA), metadata.label)
    try:
        state = _state(value, "Metadata")
        places = _places(state.get("storage_data"))
        described = _dict(state.get("state_dict_metadata"))
        found: dict[str, ChunkedTensor] = {}
        for name, each in described.items():
            if _kind(each) == "TensorStorageMetadata":
                found[str(name)] = _tensor(str(name), _state(each, "TensorStorageMetadata"), places, files)
    except (ValueError, LookupError, TypeError) as error:
        raise DataError(f"cannot be read: {error}", path=metadata.label, hint=_HINT) from error
    if not found:
        raise DataError("describes no tensors", path=metadata.label, hint=_HINT)
    _check_storage(found.values())
    return found


def _check_format(files: Mapping[str, Extent], label: str) -> None:
    config = files.get(CONFIG)
    if config is None:
        raise DataError(
            f"is not a complete distributed checkpoint: it has no {CONFIG}", path=label, hint=_HINT
        )
    try:
        backend = json.loads(config.read(1 << 16))["sharded_backend"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise DataError(f"is not the file of a checkpoint: {error}", path=config.label, hint=_HINT) from error
    if backend != "torch_dist":
        raise DataError(
            f"the format {str(backend)[:40]!r} is not supported",
            path=config.label,
            hint="Only torch_dist is. Load it with NeMo, and save it with save_ckpt_format='torch_dist'.",
        )


@dataclass(frozen=True, slots=True)
class _Place:
    file: str
    offset: int
    length: int


def _places(value: object) -> dict[tuple[str, tuple[int, ...]], _Place]:
    found: dict[tuple[str, tuple[int, ...]], _Place] = {}
    for index, info in _dict(value).items():
        key, place = _state(index, "MetadataIndex"), _state(info, "_StorageInfo")
        offset = key.get("offset")
        if offset is None:
            continue  # an object, not a tensor
        if place.get("transform_descriptors"):
            raise ValueError("its chunks are compressed")
        file, start, length = place.get("relative_path"), place.get("offset"), place.get("length")
        if not (isinstance(file, str) and _is_count(start) and _is_count(length)):
            raise ValueError("the place of a chunk is invalid")
        found[str(key.get("fqn")), counts(offset)] = _Place(file, int(str(start)), int(str(length)))
    return found


def _tensor(
    name: str,
    state: Mapping[str, object],
    places: Mapping[tuple[str, tuple[int, ...]], _Place],
    files: Mapping[str, Extent],
) -> ChunkedTensor:
    shape = counts(state.get("size"))
    chunks = state.get("chunks")
    if not isinstance(chunks, list) or not chunks:
        raise ValueError(f"the tensor {name[:120]!r} has no chunks")
    tensor: ChunkedTensor | None = None
    for each in chunks:
        box = _state(each, "ChunkStorageMetadata")
        offsets, sizes = counts(box.get("offsets")), counts(box.get("sizes"))
        place = places.get((name, offsets))
        if place is None:
            raise ValueError(f"the tensor {name[:120]!r} has a chunk that stands nowhere")
        file = files.get(place.file)
        if file is None:
            raise ValueError(f"the file {place.file[:120]!r} is missing")
        stored = _stored(file.part(place.offset, place.length), name)
        if [side for side in stored.shape if side != 1] != [side for side in sizes if side != 1]:
            raise ValueError(
                f"a chunk of {name[:120]!r} has the shape {list(stored.shape)}, not {list(sizes)}"
            )
        tensor = tensor or ChunkedTensor(name, stored.dtype, shape)
        if stored.dtype != tensor.dtype:
            raise ValueError(f"the chunks of {name[:120]!r} have different types")
        (data,) = stored.pieces
        if isinstance(data, Extent):
            tensor.chunks.append(Chunk(offsets, sizes, data))
    if tensor is None:
        raise ValueError(f"the tensor {name[:120]!r} has no chunks")
    _check_cover(tensor)
    return tensor


def _stored(extent: Extent, name: str) -> StoredTensor:
    opened = TorchFile(extent)
    return opened.tensor(opened.value, name)


def _check_cover(tensor: ChunkedTensor) -> None:
    name, shape = tensor.name[:120], tensor.shape
    ordered = sorted(tensor.chunks, key=lambda chunk: chunk.offsets)
    for place, chunk in enumerate(ordered):
        fits = len(chunk.offsets) == len(chunk.sizes) == len(shape) and all(
            offset + size <= side
            for offset, size, side in zip(chunk.offsets, chunk.sizes, shape, strict=True)
        )
        if not fits:
            raise ValueError(f"a chunk of {name!r} does not lie within the tensor")
        for other in itertools.islice(ordered, place + 1, None):
            if other.offsets and other.offsets[0] >= chunk.offsets[0] + chunk.sizes[0]:
                break
            if _overlap(chunk, other):
                raise ValueError(f"two chunks of {name!r} overlap")
    if sum(math.prod(chunk.sizes) for chunk in ordered) != math.prod(shape):
        raise ValueError(f"the chunks of {name!r} leave a gap")


def _overlap(one: Chunk, other: Chunk) -> bool:
    axes = zip(one.offsets, one.sizes, other.offsets, other.sizes, strict=True)
    return all(a < c + d and c < a + b for a, b, c, d in axes)


def _check_storage(tensors: Iterable[ChunkedTensor]) -> None:
    """See that no two chunks share bytes."""
    chunks = [chunk.data for tensor in tensors for chunk in tensor.chunks if chunk.data.length]
    ordered = sorted(chunks, key=lambda data: (str(data.path), data.start))
    for one, other in itertools.pairwise(ordered):
        if one.path == other.path and other.start < one.start + one.length:
            raise DataError("has two chunks in the same place", path=one.label, hint=_HINT)


def _kind(value: object) -> str:
    return value.kind.rpartition(".")[2] if isinstance(value, PickledObject) else ""


def _state(value: object, kind: str) -> Mapping[str, object]:
    if not isinstance(value, PickledObject) or _kind(value) != kind or not value.kind.startswith("torch."):
        raise ValueError(f"there is no {kind}")
    state = value.state
    if isinstance(state, tuple) and len(state) == 2:  # of a class with slots
        state = state[1] or state[0]
    return {str(key): each for key, each in _dict(state).items()}


def _dict(value: object) -> dict[object, object]:
    if not isinstance(value, dict):
        raise ValueError("something other than a dict")
    return value


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0
