"""Safetensors files of a Hugging Face folder: found by its index, and written shard by shard."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence

from lawtags_client.checkpoints.architecture import read_json
from lawtags_client.checkpoints.extents import Extent
from lawtags_client.checkpoints.output import Output
from lawtags_client.checkpoints.tensors import ITEM_BYTES, PlannedTensor, StoredTensor
from lawtags_client.errors import DataError
from lawtags_client.weights import placed_tensors

INDEX, SINGLE, ADAPTER = "model.safetensors.index.json", "model.safetensors", "adapter_model.safetensors"
_HINT = "Download the model again."


def read_weights(files: Mapping[str, Extent], label: str) -> dict[str, StoredTensor]:
    """The tensors of the safetensors files of a folder.

    Args:
        files: the files of the folder, by name.
        label: the folder's name for error messages.

    Raises:
        DataError: a file is missing or damaged, or two files have a tensor of the same name.
    """
    found: dict[str, StoredTensor] = {}
    for name in weight_files(files, label):
        for tensor_name, tensor in read_safetensors(files[name]).items():
            if tensor_name in found:
                raise DataError(
                    f"the tensor {tensor_name[:120]!r} is in two files", path=files[name].label, hint=_HINT
                )
            found[tensor_name] = tensor
    return found


def weight_files(files: Mapping[str, Extent], label: str) -> list[str]:
    """The names of the safetensors files of a folder: those of its index, or all of them.

    Args:
        files: the files of the folder, by name.
        label: the folder's name for error messages.

    Raises:
        DataError: there are none, the index is damaged, or a file that it names is missing.
    """
    if INDEX in files:
        index = read_json(files[INDEX])
        listed = index.get("weight_map")
        if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
            raise index.error("weight_map", "is not an object of file names")
        names = sorted(set(listed.values()))
    else:
        names = sorted(name for name in files if "/" not in name and name.endswith(".safetensors"))
    missing = [name for name in names if name not in files]
    if missing or not names:
        what = repr(missing[0][:120]) if missing else "model.safetensors"
        raise DataError(f"the file {what} is missing", path=label, hint=_HINT)
    return names


def read_safetensors(extent: Extent) -> dict[str, StoredTensor]:
    """The tensors of one file.

    Args:
        extent: the whole file.

    Raises:
        DataError: it is damaged, or has tensors of a type that cannot be converted.
    """
    found = {}
    for name, place in placed_tensors(extent.path).items():
        if place.dtype not in ITEM_BYTES:
            raise DataError(
                f"the tensor {name[:120]!r} has the type {place.dtype[:20]!r}, which cannot be converted",
                path=extent.label,
                hint="Quantized models are not supported. Use the original in BF16, F16 or F32.",
            )
        data = extent.part(place.start, place.length)
        found[name] = StoredTensor(place.dtype, place.shape, (data,))
    return found


def write_weights(output: Output, tensors: Sequence[PlannedTensor], *, shard_bytes: int) -> None:
    """Write tensors as the weights of a Hugging Face folder.

    Args:
        output: where to.
        tensors: the weights.
        shard_bytes: begin another file before one would become longer.
    """
    shards: list[list[PlannedTensor]] = [[]]
    reached = 0
    for tensor in tensors:
        if shards[-1] and reached + tensor.length > shard_bytes:
            shards.append([])
            reached = 0
        shards[-1].append(tensor)
        reached += tensor.length
    if len(shards) == 1:
        write_safetensors(output, SINGLE, shards[0])
        return
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_safetensors(output, name, shard)
        places |= {tensor.name: name for tensor in shard}
    index = {"metadata": {"total_size": sum(each.length for each in tensors)}, "weight_map": places}
    output.write(INDEX, json.dumps(index, indent=2, sort_keys=True).encode())


def write_safetensors(output: Output, name: str, tensors: Iterable[PlannedTensor]) -> None:
    """Write one safetensors file.

    Args:
        output: where to.
        name: the name of the file.
        tensors: what it holds.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    reached, ordered = 0, list(tensors)
    for tensor in ordered:
        offsets = [reached, reached + tensor.length]
        header[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": offsets}
        reached = offsets[1]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with output.file(name) as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for tensor in ordered:
            for block in tensor.make().blocks():
                stream.write(block)
