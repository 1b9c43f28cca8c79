"""Distributed checkpoints of Megatron Core in the ``torch_dist`` format, written without torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from lawtags_client.checkpoints.distributed import CONFIG, METADATA
from lawtags_client.checkpoints.output import Output
from lawtags_client.checkpoints.pickle_writing import write_pickle
from lawtags_client.checkpoints.pickles import PickledGlobal, PickledObject
from lawtags_client.checkpoints.tensors import StoredTensor
from lawtags_client.checkpoints.torch_files import pickled_tensor, write_torch_file

_CLASSES = "torch.distributed.checkpoint.metadata"
_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
_DATA = "__0_0.distcp"


@dataclass(frozen=True, slots=True)
class ChunkToWrite:
    """A box of a tensor, made when it is written.

    Args:
        offsets: its first number along each axis.
        make: returns its bytes; their shape is that of the box.
    """

    offsets: tuple[int, ...]
    make: Callable[[], StoredTensor]


@dataclass(frozen=True, slots=True)
class TensorToWrite:
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
    chunks: tuple[ChunkToWrite, ...]


def write_distributed(
    output: Output,
    folder: str,
    tensors: Iterable[TensorToWrite],
    *,
    empty_states: Iterable[str] = (),
    common: Mapping[str, object],
) -> None:
    """Write a distributed checkpoint, tensor by tensor.

    Args:
        output: where to.
        folder: its folder there.
        tensors: what it holds.
        empty_states: keys of the states of Transformer Engine, which are empty without FP8.
        common: what the file ``common.pt`` holds.
    """
    described: dict[object, object] = {}
    places: dict[object, object] = {}
    planned: dict[object, object] = {}
    with output.file(f"{folder}/{_DATA}") as stream:
        start = stream.tell()
        for tensor in tensors:
            chunks: list[object] = []
            for number, chunk in enumerate(tensor.chunks):
                made, at = chunk.make(), stream.tell() - start
                length = write_torch_file(stream, pickled_tensor(made.dtype, made.shape, "0"), [("0", made)])
                places[_index(tensor.name, chunk.offsets, number)] = _place(at, length)
                chunks.append(
                    _object("ChunkStorageMetadata", offsets=_size(chunk.offsets), sizes=_size(made.shape))
                )
            described[tensor.name] = _object(
                "TensorStorageMetadata",
                properties=_properties(tensor.dtype),
                size=_size(tensor.shape),
                chunks=chunks,
            )
            planned[tensor.name] = (tensor.name,)
        for name in empty_states:
            at = stream.tell() - start
            empty = StoredTensor("U8", (0,), ())
            length = write_torch_file(stream, [pickled_tensor("U8", (0,), "0")], [("0", empty)])
            places[_index(name, None, None)] = _place(at, length)
            described[name] = PickledObject(f"{_CLASSES}.BytesStorageMetadata", (), state={})
            planned[name] = (name,)
    metadata = _object(
        "Metadata",
        state_dict_metadata=described,
        planner_data=planned,
        storage_data=places,
        storage_meta=None,
        version="1.0.0",
    )
    output.write(f"{folder}/{METADATA}", write_pickle(metadata))
    with output.file(f"{folder}/common.pt") as stream:
        write_torch_file(stream, dict(common))
    config = {"sharded_backend": "torch_dist", "sharded_backend_version": 1}
    config |= {"common_backend": "torch", "common_backend_version": 1}
    # Last, as Megatron Core does: without it the folder is no checkpoint.
    output.write(f"{folder}/{CONFIG}", json.dumps(config).encode())


def _object(kind: str, **state: object) -> PickledObject:
    return PickledObject(f"{_CLASSES}.{kind}", (), state=dict(state))


def _index(name: str, offsets: tuple[int, ...] | None, number: int | None) -> PickledObject:
    if offsets is None:
        return _object("MetadataIndex", fqn=name, index=None)
    return _object("MetadataIndex", fqn=name, index=number, offset=_size(offsets))


def _place(offset: int, length: int) -> PickledObject:
    state: dict[str, object] = {"relative_path": _DATA, "offset": offset, "length": length}
    return PickledObject("torch.distributed.checkpoint.filesystem._StorageInfo", (), state=state)


def _size(sides: tuple[int, ...]) -> PickledObject:
    return PickledObject("torch.Size", (tuple(sides),))


def _properties(dtype: str) -> PickledObject:
    layout = PickledObject("torch.serialization._get_layout", ("torch.strided",))
    memory = PickledObject(f"{_CLASSES}._MEM_FORMAT_ENCODING", (0,))
    state = (PickledGlobal(f"torch.{_DTYPES[dtype]}"), layout, False, memory, False)
    return PickledObject(f"{_CLASSES}.TensorProperties", (), state=state)
