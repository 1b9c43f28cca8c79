"""Files made to run code, fill memory or leave their folder: each is refused by name, and nothing happens."""

from __future__ import annotations

import gc
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lawtags_client.checkpoints.archives import checkpoint_files
from lawtags_client.checkpoints.detection import open_checkpoint
from lawtags_client.checkpoints.distributed import Chunk, ChunkedTensor, read_distributed
from lawtags_client.checkpoints.extents import Extent
from lawtags_client.checkpoints.inspection import inspect_checkpoint
from lawtags_client.checkpoints.pickle_writing import write_pickle
from lawtags_client.checkpoints.pickles import PickledGlobal, PickledObject, PickledReference, read_pickle
from lawtags_client.checkpoints.torch_files import pickled_tensor, read_state_dict, write_state_dict
from lawtags_client.checkpoints.zip_files import ZipStream, zip_entries
from lawtags_client.errors import DataError
from lawtags_client.weights import placed_tensors

CONFIG = {"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
CONFIG |= {"intermediate_size": 16, "vocab_size": 11}


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def extent(path: Path) -> Extent:
    return Extent(path, 0, path.stat().st_size)


def zipped(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Extent:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return extent(path)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_read_and_not_run(protocol: int, tmp_path: Path) -> None:
    made = tmp_path / "made"
    data = pickle.dumps({"weight": Bomb(made)}, protocol=protocol)
    found: Any = read_pickle(data, "file")
    assert found["weight"].kind == "posix.mkdir" and not made.exists()
    path = zipped(tmp_path / "a.ckpt", {"archive/data.pkl": data})
    with pytest.raises(DataError) as caught:
        inspect_checkpoint(nemo_1_with(tmp_path, path.path.read_bytes()))
    assert "is missing" in str(caught.value)
    assert not made.exists()


def nemo_1_with(folder: Path, weights: bytes) -> Path:
    target = folder / "unpacked"
    target.mkdir()
    (target / "model_config.yaml").write_text(
        "hidden_size: 8\nnum_layers: 1\nnum_attention_heads: 2\nffn_hidden_size: 16\nvocab_size: 11\n"
        "activation: fast-swiglu\nbias: false\n"
    )
    (target / "model_weights.ckpt").write_bytes(weights)
    return target


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is not a pickle"),
        (b"\x80\x02]", "is not a pickle"),
        (b"\x80\x02i__builtin__\neval\n.", "opcode INST is not allowed"),
        (b"\x80\x02(cbuiltins\neval\no.", "opcode OBJ is not allowed"),
        (b"\x80\x02\x82\x01.", "opcode EXT1 is not allowed"),
        (b"\x80\x02" + b"X" + struct.pack("<I", 1 << 31) + b"short.", "is not a pickle"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"short.", "is not a pickle"),
        (b"\x80\x02)R.", "the stack is empty"),
        (b"\x80\x02))R.", "something other than a named class"),
        (b"\x80\x02h\x07.", "is not a pickle"),
        (b"\x80\x02}" + b"(" * 3 + b")" * 1 + b"N" + b"s.", "is not a pickle|key of a dict"),
        (b"\x80\x02}(" + b")" + b"\x85" * 100_000 + b"Nu.", "a tuple is the key of a dict"),
    ],
)
def test_damaged_pickles_are_named(data: bytes, what: str) -> None:
    with pytest.raises(DataError, match=rf"file: .*({what})"):
        read_pickle(data, "file")


def test_a_place_in_the_memo_costs_no_memory() -> None:
    # The C library would make room for four billion entries.
    assert read_pickle(b"\x80\x02Nr\xff\xff\xff\xff.", "file") is None


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_named_error(data: bytes) -> None:
    try:
        read_pickle(b"\x80\x02" + data, "file")
    except DataError as error:
        assert str(error).startswith("file: ")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(plain)
def test_what_is_written_is_what_python_reads(value: Any) -> None:
    data = write_pickle(value)
    assert pickle.loads(data) == value
    assert read_pickle(data, "file") == value
    assert read_pickle(pickle.dumps(value), "file") == value


def test_zip_bombs_and_overlapping_entries_are_refused(tmp_path: Path) -> None:
    bomb = zipped(tmp_path / "bomb", {"archive/data.pkl": bytes(10_000_000)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match=r"bomb: the entry 'archive/data.pkl' is compressed"):
        zip_entries(bomb)
    pair = zipped(tmp_path / "pair", {"a/data.pkl": b"x" * 100, "a/data/0": b"y" * 100})
    data = bytearray(pair.path.read_bytes())
    second = data.rindex(b"PK\x01\x02")
    first_header = data.index(b"PK\x01\x02")
    data[second + 42 : second + 46] = data[first_header + 42 : first_header + 46]
    pair.path.write_bytes(data)
    with pytest.raises(DataError, match="overlaps another one"):
        zip_entries(pair)
    with pytest.raises(DataError, match="is not a zip file of PyTorch"):
        zip_entries(extent(tmp_path / ".." / tmp_path.name / "pair").part(0, 50))


def state_dict(path: Path, value: Any, storage: bytes = bytes(64)) -> Extent:
    return zipped(path, {"archive/data.pkl": write_pickle(value), "archive/data/0": storage})


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"size": (5, 4)}, "ends before byte 80"),
        ({"size": (1 << 39, 1 << 39)}, "not in row-major order"),
        ({"size": (-1, 4)}, "its shape is invalid"),
        ({"size": "4"}, "its shape is invalid"),
        ({"offset": 1}, "ends before byte 68"),
        ({"offset": -4}, "its position is invalid"),
        ({"stride": (1, 4)}, "not in row-major order"),
        ({"stride": (0, 0)}, "not in row-major order"),
        ({"kind": "torch.QInt8Storage"}, "type torch.QInt8Storage is not supported"),
        ({"key": "../../etc/passwd"}, "cannot be read"),
    ],
)
def test_wrong_tensors_are_named(change: dict[str, Any], what: str, tmp_path: Path) -> None:
    good = {"kind": "torch.FloatStorage", "key": "0", "offset": 0, "size": (4, 4), "stride": (4, 1)} | change
    storage = PickledReference(("storage", PickledGlobal(good["kind"]), good["key"], "cpu", 16))
    arguments = (storage, good["offset"], good["size"], good["stride"], False)
    value = {"w": PickledObject("torch._utils._rebuild_tensor_v2", arguments)}
    with pytest.raises(DataError, match=what):
        read_state_dict(state_dict(tmp_path / "a.ckpt", value))


def test_overlapping_tensors_are_refused_and_tied_ones_are_not(tmp_path: Path) -> None:
    import torch

    shared = torch.arange(20.0)
    torch.save(OrderedDict(a=shared[:16], b=shared[8:], c=torch.ones(3)), tmp_path / "overlapping")
    with pytest.raises(DataError, match="the tensors 'a' and 'b' overlap"):
        read_state_dict(extent(tmp_path / "overlapping"))
    torch.save({"a": shared, "b": shared, "note": "x", "step": 3}, tmp_path / "tied")
    assert sorted(read_state_dict(extent(tmp_path / "tied"))) == ["a", "b"]


def test_a_state_dict_is_read_by_torch(tmp_path: Path) -> None:
    import torch

    torch.save({"a": torch.arange(6.0).reshape(2, 3).bfloat16(), "b": torch.tensor(2.5)}, tmp_path / "given")
    found = read_state_dict(extent(tmp_path / "given"))
    with (tmp_path / "written").open("wb") as stream:
        write_state_dict(stream, found)
    read = torch.load(tmp_path / "written", weights_only=True)
    assert torch.equal(read["a"], torch.arange(6.0).reshape(2, 3).bfloat16()) and read["b"].item() == 2.5


def member(name: str, **values: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(made, key, value)
    return made


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ([member("../evil")], "'../evil' leads out"),
        ([member("/etc/passwd")], "'/etc/passwd' leads out"),
        ([member("a/../../b")], "leads out"),
        ([member("a", type=tarfile.SYMTYPE, linkname="/etc/passwd")], "is a link"),
        ([member("a", type=tarfile.LNKTYPE, linkname="/etc/passwd")], "is a link"),
        ([member("a", type=tarfile.CHRTYPE)], "a device"),
        ([member("a"), member("./a")], "occurs twice"),
        ([member("a", size=0), member("b", size=1 << 50)], "ends before byte|not a .nemo file"),
    ],
)
def test_hostile_archives_are_refused(members: list[tarfile.TarInfo], what: str, tmp_path: Path) -> None:
    path = tmp_path / "m.nemo"
    path.write_bytes(b"".join(each.tobuf(tarfile.GNU_FORMAT) for each in members) + bytes(1024))
    with pytest.raises(DataError, match=rf"m\.nemo.*({what})"):
        checkpoint_files(path)
    assert [each.name for each in tmp_path.iterdir()] == ["m.nemo"]


def test_a_huge_header_of_an_archive_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "m.nemo"
    header = member("x", type=tarfile.XHDTYPE, size=1 << 32).tobuf(tarfile.USTAR_FORMAT)
    with path.open("wb") as stream:
        stream.write(header)
        stream.truncate((1 << 32) + 2048)
    with pytest.raises(DataError, match="a header of 4,294,967,296 bytes"):
        checkpoint_files(path)


def test_a_compressed_archive_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "m.nemo"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(member("model_config.yaml", size=3), io.BytesIO(b"a: "))
    with pytest.raises(DataError, match="run gunzip on it first"):
        checkpoint_files(path)


def test_links_that_leave_a_folder_are_refused_and_the_hub_cache_is_not(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("{}")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").symlink_to(secret)
    with pytest.raises(DataError, match=r"config\.json: is a link that leads out"):
        checkpoint_files(folder)
    snapshot = tmp_path / "models--a" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    blob = tmp_path / "models--a" / "blobs" / "x"
    blob.parent.mkdir()
    blob.write_text("{}")
    (snapshot / "config.json").symlink_to(blob)
    assert list(checkpoint_files(snapshot)) == ["config.json"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"model_type": "qwen2"}, "field 'model_type': 'qwen2' cannot be converted"),
        ({"hidden_size": "8"}, "field 'hidden_size': '8' is not a number"),
        ({"hidden_size": 1 << 60}, "field 'hidden_size'"),
        ({"num_hidden_layers": 10**9}, "field 'num_hidden_layers'"),
        ({"num_key_value_heads": 3}, "no multiple of 3"),
        ({"attention_bias": True}, "field 'attention_bias'"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "field 'rope_scaling'"),
        ({"quantization_config": {}}, "field 'quantization_config'"),
    ],
)
def test_a_wrong_configuration_names_its_field(change: dict[str, Any], what: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | change))
    with pytest.raises(DataError, match=rf"config\.json.*{what}"):
        inspect_checkpoint(tmp_path)


def test_an_index_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    index = {"weight_map": {"w": "../../secret.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"'\.\./\.\./secret\.safetensors' is missing"):
        inspect_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: &a [x]\nb: {<<: *a}\n", "is not YAML"),
        ("a: &a {x: 1}\nb: {<<: [*a, *a]}\n", "is not YAML"),
        ("!!python/object/apply:os.mkdir [made]", "is not YAML"),
        ("[" * 500, "is not YAML"),
        ("- 1", "is not an object"),
        ("name: 3\nhidden_size: many\n", "field"),
    ],
)
def test_hostile_yaml_is_refused(text: str, what: str, tmp_path: Path) -> None:
    import torch

    target = nemo_1_with(tmp_path, b"")
    torch.save({"model.embedding.word_embeddings.weight": torch.ones(3, 2)}, target / "model_weights.ckpt")
    (target / "model_config.yaml").write_text(text)
    with pytest.raises(DataError, match=rf"model_config\.yaml: .*{what}"):
        inspect_checkpoint(target)


def chunked(folder: Path, change: Callable[[dict[str, Any]], None]) -> dict[str, Extent]:
    """A distributed checkpoint of two chunks, changed."""
    classes = "torch.distributed.checkpoint.metadata"
    boxes = [{"offsets": (0, 0), "sizes": (2, 4)}, {"offsets": (2, 0), "sizes": (2, 4)}]
    places = [{"relative_path": "data", "offset": 0}, {"relative_path": "data", "offset": 0}]
    data = b""
    for place in places:
        part = zipped(
            folder / "part",
            {
                "archive/data.pkl": write_pickle(pickled_tensor("F32", (2, 4), "0")),
                "archive/data/0": bytes(32),
            },
        )
        place |= {"offset": len(data), "length": part.length}
        data += part.path.read_bytes()
    known: dict[str, Any] = {"boxes": boxes, "places": places, "size": (4, 4), "backend": "torch_dist"}
    known |= {"data": data}
    change(known)
    state: dict[object, object] = {}
    for number, (box, place) in enumerate(zip(known["boxes"], known["places"], strict=True)):
        index = {"fqn": "w", "index": number, "offset": box["offsets"]}
        key = PickledObject(f"{classes}.MetadataIndex", (), state=index)
        state[key] = PickledObject("torch.distributed.checkpoint.filesystem._StorageInfo", (), state=place)
    chunks = [PickledObject(f"{classes}.ChunkStorageMetadata", (), state=box) for box in known["boxes"]]
    tensor = PickledObject(
        f"{classes}.TensorStorageMetadata", (), state={"size": known["size"], "chunks": chunks}
    )
    metadata = {"state_dict_metadata": {"w": tensor}, "storage_data": state}
    made = PickledObject(f"{classes}.Metadata", (), state=metadata)
    target = folder / "weights"
    target.mkdir()
    (target / ".metadata").write_bytes(write_pickle(made))
    (target / "metadata.json").write_text(json.dumps({"sharded_backend": known["backend"]}))
    (target / "data").write_bytes(known["data"])
    return checkpoint_files(target)


def put(where: str, number: int, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda known: known[where][number].update(values)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (put("boxes", 1, offsets=(1, 0)), "two chunks of 'w' overlap"),
        (put("boxes", 1, offsets=(3, 0)), "does not lie within"),
        (lambda known: known.update(size=(5, 4)), "leave a gap"),
        (put("boxes", 1, sizes=(2, 3)), r"has the shape \[2, 4\], not \[2, 3\]"),
        (put("places", 1, relative_path="../../secret"), "'../../secret' is missing"),
        (put("places", 1, length=1 << 50), "ends before byte"),
        (put("places", 1, offset=-1), "the place of a chunk is invalid"),
        (lambda known: known["places"][1].update(known["places"][0]), "two chunks in the same place"),
        (put("places", 0, transform_descriptors=["zstd"]), "its chunks are compressed"),
        (lambda known: known.update(backend="zarr"), "the format 'zarr' is not supported"),
        (lambda known: known.update(data=known["data"][:100]), "ends before byte"),
        (lambda known: known.update(boxes=[], places=[]), "has no chunks"),
    ],
)
def test_hostile_distributed_checkpoints_are_refused(
    change: Callable[[dict[str, Any]], None], what: str, tmp_path: Path
) -> None:
    files = chunked(tmp_path, change)
    with pytest.raises(DataError, match=what):
        read_distributed(files, "weights")


def test_a_distributed_checkpoint_that_is_sound_is_read(tmp_path: Path) -> None:
    found = read_distributed(chunked(tmp_path, lambda _: None), "weights")
    assert found["w"].shape == (4, 4) and b"".join(found["w"].whole().blocks()) == bytes(64)


def test_chunks_of_several_gpus_are_put_together(tmp_path: Path) -> None:
    """Layers on different GPUs (axis 0), columns on different GPUs (axis 2)."""
    import torch

    whole = torch.arange(2 * 3 * 4.0).reshape(2, 3, 4)
    chunks = []
    for number, (layer, column) in enumerate([(1, 2), (0, 0), (1, 0), (0, 2)]):
        part = whole[layer : layer + 1, :, column : column + 2].contiguous()
        path = tmp_path / str(number)
        path.write_bytes(part.numpy().tobytes())
        chunks.append(Chunk((layer, 0, column), (1, 3, 2), extent(path)))
    tensor = ChunkedTensor("w", "F32", (2, 3, 4), chunks)
    assert b"".join(tensor.whole().blocks()) == whole.numpy().tobytes()
    assert tensor.layer(1).shape == (3, 4)
    assert b"".join(tensor.layer(1).blocks()) == whole[1].contiguous().numpy().tobytes()
    rows = tensor.layer(1).rows(1, 2)
    assert b"".join(rows.blocks()) == whole[1, 1:].contiguous().numpy().tobytes()


def test_a_folder_that_is_no_checkpoint_is_not_walked(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(DataError, match="is no checkpoint"):
        open_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match="leads nowhere"):
        open_checkpoint(tmp_path)


def test_a_file_that_is_shorter_than_its_header_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"short")
    with pytest.raises(DataError, match="it has 5 bytes"):
        placed_tensors(tmp_path / "model.safetensors")


def test_a_zip_file_that_cannot_be_finished_says_so_once() -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() > 1000:
                raise OSError(28, "No space left on device")
            return super().write(data)

    stream = ZipStream(Full())
    with pytest.raises(OSError, match="No space left"):
        stream.add("data", 4096, [bytes(1024)] * 4)
    # A warning of the collector is an error in these tests.
    del stream
    gc.collect()
