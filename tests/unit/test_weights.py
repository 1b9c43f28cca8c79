"""A header of safetensors is believed where the file bears it out, and nowhere else."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import DataError
from lawtags_client.weights import Tensor, tensors

# From the format's own list of types, written down here a second time on purpose.
BITS = {
    **dict.fromkeys(["BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"], 8),
    **dict.fromkeys(["U16", "I16", "F16", "BF16"], 16),
    **dict.fromkeys(["U32", "I32", "F32"], 32),
    **dict.fromkeys(["U64", "I64", "F64", "C64"], 64),
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}
FOUR = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


def read(folder: Path, header: Any, data: int = 16, *, length: int | None = None) -> list[Tensor]:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + bytes(data))
    return tensors(path)


@pytest.mark.parametrize("dtype", BITS)
def test_type_times_shape_must_be_the_bytes(dtype: str, tmp_path: Path) -> None:
    numbers = 24
    data = numbers * BITS[dtype] // 8
    for shape in ([24], [4, 6], [2, 3, 4], [1, 24, 1]):
        whole = {"w": {"dtype": dtype, "shape": shape, "data_offsets": [0, data]}}
        assert read(tmp_path, whole, data) == [Tensor("w", dtype, numbers)]
    for shape in ([25], [23], [4, 7], [], [0], [24, 2], [24, 0]):
        with pytest.raises(DataError, match="does not fit"):
            read(tmp_path, {"w": {"dtype": dtype, "shape": shape, "data_offsets": [0, data]}}, data)
    for wrong in (data - 1, data + 1, 2 * data):
        with pytest.raises(DataError, match="does not fit"):
            read(tmp_path, {"w": {"dtype": dtype, "shape": [24], "data_offsets": [0, wrong]}}, wrong)


def test_agrees_with_the_library_that_loads_it(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    types = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16)
    types += (torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2)
    made = {f"w{place}": torch.zeros(place + 1, 3).to(kind) for place, kind in enumerate(types)}
    made |= {"scalar": torch.tensor(1.0), "empty": torch.zeros(0, 5)}
    save_file(made, tmp_path / "model.safetensors", metadata={"format": "pt"})
    found = {tensor.name: tensor.size for tensor in tensors(tmp_path / "model.safetensors")}
    assert found == {name: tensor.numel() for name, tensor in made.items()}


@pytest.mark.parametrize(
    "header",
    [
        {"w": {**FOUR, "data_offsets": [0, 17]}},
        {"w": {**FOUR, "data_offsets": [16, 0]}},
        {"w": {**FOUR, "data_offsets": [-16, 0]}},
        {"w": {**FOUR, "data_offsets": [0, 16, 16]}},
        {"w": {**FOUR, "data_offsets": [0.0, 16.0]}},
        {"w": {**FOUR, "data_offsets": [False, 16]}},
        {"w": {**FOUR, "shape": [-2, -2]}},
        {"w": {**FOUR, "shape": [2.0, 2]}},
        {"w": {**FOUR, "shape": [True, 4]}},
        {"w": {**FOUR, "shape": 4}},
        {"w": {**FOUR, "dtype": ["F32"]}},
        {"w": FOUR, "twice": FOUR},
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}},
        {"w": {"dtype": "F32", "shape": [1 << 20, 1 << 20], "data_offsets": [0, 1 << 42]}},
        {"w": {"dtype": "of tomorrow", "shape": [129], "data_offsets": [0, 16]}},
    ],
)
def test_tensor_that_the_file_does_not_hold_is_refused(header: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a safetensors file"):
        read(tmp_path, header)


@pytest.mark.parametrize(
    "header",
    [
        '{"w": HALF, "w": FOUR}',  # readers take the first, the last, or both
        '{"w": FOUR, "w": FOUR}',
        '{"w": {"dtype": "U8", "dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}',
        '{"__metadata__": {"format": "pt", "format": "np"}, "w": FOUR}',
    ],
)
def test_key_that_is_there_twice_is_refused(header: str, tmp_path: Path) -> None:
    half = {"dtype": "F16", "shape": [2, 4], "data_offsets": [0, 16]}
    text = header.replace("FOUR", json.dumps(FOUR)).replace("HALF", json.dumps(half))
    with pytest.raises(DataError, match=r"its header has '\w+' twice"):
        read(tmp_path, text.encode())


def test_type_that_is_not_known_is_read_within_its_bytes(tmp_path: Path) -> None:
    header = {"w": {"dtype": "of tomorrow", "shape": [128], "data_offsets": [0, 16]}}
    assert read(tmp_path, header) == [Tensor("w", "of tomorrow", 128)]


def test_sides_are_not_multiplied_out_beyond_what_the_file_can_hold(tmp_path: Path) -> None:
    sides = [10**1000] * 5_000
    with pytest.raises(DataError, match="does not fit"):
        read(tmp_path, {"w": {**FOUR, "shape": sides}})


@pytest.mark.parametrize("length", [0, 1, 100_000_001, 1 << 63])
def test_header_of_another_length_than_said_is_refused(length: int, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a safetensors file"):
        read(tmp_path, {"w": FOUR}, length=length)


def test_header_that_takes_the_whole_file_and_one_that_is_a_byte_longer(tmp_path: Path) -> None:
    empty = json.dumps({"w": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}).encode()
    assert read(tmp_path, empty, 0) == [Tensor("w", "F32", 0)]
    with pytest.raises(DataError, match=f"a header of {len(empty) + 1} bytes in a file of {len(empty) + 8}"):
        read(tmp_path, empty, 0, length=len(empty) + 1)


def test_header_beyond_the_limit_of_the_format_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", 100_000_001) + b"{")
        stream.truncate(100_000_100)
    with pytest.raises(DataError, match=re.escape("a header of 100000001 bytes")):
        tensors(path)


def test_long_names_are_cut_and_files_without_tensors_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, {"w" * 10_000: {**FOUR, "shape": [5]}})
    assert len(str(caught.value)) < 500
    with pytest.raises(DataError, match="without tensors"):
        read(tmp_path, {"__metadata__": {"format": "pt"}}, 0)


@given(
    dtype=st.sampled_from(sorted(BITS)),
    shape=st.lists(st.integers(0, 9), max_size=4),
    start=st.integers(0, 3),
    end=st.integers(0, 300),
    data=st.integers(0, 300),
)
def test_what_is_believed_is_borne_out(
    dtype: str, shape: list[int], start: int, end: int, data: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    header = {"w": {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}}
    size = 1
    for side in shape:
        size *= side
    sound = start == 0 and end == data and size * BITS[dtype] == data * 8
    try:
        found = read(tmp_path_factory.getbasetemp(), header, data)
    except DataError:
        assert not sound
    else:
        assert sound and found == [Tensor("w", dtype, size)]
