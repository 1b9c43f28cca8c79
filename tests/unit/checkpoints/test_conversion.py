"""Models through NeMo and back: every bit survives, and PyTorch reads what is written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.distributed import checkpoint as dcp

from lawtags_client.checkpoints.conversion import convert
from lawtags_client.checkpoints.inspection import inspect_checkpoint
from lawtags_client.errors import BusyError, ConfigurationError, DataError
from lawtags_client.locks import FolderLock

QUESTION = torch.tensor([[5, 17, 301, 44, 8, 250]])


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for path in folder.glob("*.safetensors"):
        found |= load_file(path)
    return found


def assert_same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype
        assert torch.equal(tensor.view(torch.uint8), other[name].view(torch.uint8)), name


def logits(folder: Path) -> torch.Tensor:
    from transformers import AutoModelForCausalLM

    with torch.no_grad():
        found: torch.Tensor = AutoModelForCausalLM.from_pretrained(folder)(QUESTION).logits
    return found


def distributed(folder: Path) -> dict[str, Any]:
    """The tensors of a distributed checkpoint, read by PyTorch itself."""
    reader = dcp.FileSystemReader(folder)
    described = reader.read_metadata().state_dict_metadata
    found = {
        name: torch.empty(each.size, dtype=each.properties.dtype)
        for name, each in described.items()
        if hasattr(each, "size")
    }
    with pytest.warns(UserWarning, match="single process"):
        dcp.load(found, storage_reader=reader, no_dist=True)
    return found


@pytest.mark.parametrize("order", [("nemo1",), ("nemo2",), ("nemo2", "nemo1"), ("nemo1", "nemo2")])
def test_a_model_comes_back_bit_by_bit(hugging_face: Path, order: Any, tmp_path: Path) -> None:
    place = hugging_face
    for number, kind in enumerate(order):
        target = tmp_path / f"{number}.nemo"
        convert(place, target, kind, multiple=128)
        place = target
    back = tmp_path / "back"
    done = convert(place, back, "hf", shard_bytes=20_000)
    assert len(list(back.glob("*.safetensors"))) > 1
    assert_same_bits(weights(hugging_face), weights(back))
    assert done.numbers == sum(tensor.numel() for tensor in weights(hugging_face).values())
    assert torch.equal(logits(back), logits(hugging_face))
    assert (back / "tokenizer.json").read_bytes() == (hugging_face / "tokenizer.json").read_bytes()
    assert (back / "config.json").read_bytes() == (hugging_face / "config.json").read_bytes()


def test_a_model_without_its_hugging_face_files_gets_a_configuration_that_means_the_same(
    hugging_face: Path, tmp_path: Path
) -> None:
    convert(hugging_face, tmp_path / "nemo2", "nemo2")
    for path in (tmp_path / "nemo2" / "context" / "nemo_tokenizer").iterdir():
        path.unlink()
    convert(tmp_path / "nemo2", tmp_path / "back", "hf")
    assert torch.equal(logits(tmp_path / "back"), logits(hugging_face))


def test_pytorch_reads_a_nemo_2_folder(hugging_face: Path, tmp_path: Path) -> None:
    convert(hugging_face, tmp_path / "made", "nemo2", multiple=128)
    found, given = distributed(tmp_path / "made" / "weights"), weights(hugging_face)
    fused = found["module.decoder.layers.self_attention.linear_qkv.weight"]
    queries, keys, values = (given[f"model.layers.1.self_attn.{part}_proj.weight"] for part in "qkv")
    # Four heads of eight rows in two groups: two of queries, one of keys, one of values, twice.
    expected = [queries[:16], keys[:8], values[:8], queries[16:], keys[8:], values[8:]]
    assert torch.equal(fused[1], torch.cat(expected))
    gate, up = (given[f"model.layers.0.mlp.{part}_proj.weight"] for part in ("gate", "up"))
    assert torch.equal(found["module.decoder.layers.mlp.linear_fc1.weight"][0], torch.cat([gate, up]))
    embedding, plain = found["module.embedding.word_embeddings.weight"], given["model.embed_tokens.weight"]
    assert embedding.shape[0] % 128 == 0
    assert torch.equal(embedding[: len(plain)], plain) and not embedding[len(plain) :].any()
    norm = found["module.decoder.layers.self_attention.linear_qkv.layer_norm_weight"]
    assert torch.equal(norm[0], given["model.layers.0.input_layernorm.weight"])


def test_states_of_transformer_engine_are_empty_tensors(hugging_face: Path, tmp_path: Path) -> None:
    convert(hugging_face, tmp_path / "made", "nemo2")
    reader = dcp.FileSystemReader(tmp_path / "made" / "weights")
    metadata = reader.read_metadata()
    names = {each.fqn for each in metadata.storage_data if "_extra_state" in each.fqn}
    assert "module.decoder.layers.self_attention.linear_qkv._extra_state/shard_1_2" in names
    for index, place in metadata.storage_data.items():
        if "_extra_state" in index.fqn:
            with (tmp_path / "made" / "weights" / place.relative_path).open("rb") as stream:
                stream.seek(place.offset)
                data = stream.read(place.length)
            (tmp_path / "state").write_bytes(data)
            (state,) = torch.load(tmp_path / "state")
            assert state.dtype == torch.uint8 and state.numel() == 0


def test_reads_what_pytorch_writes_in_pieces(hugging_face: Path, tmp_path: Path) -> None:
    """Another layout of the same numbers: each layer under its own name, gate and up apart."""
    convert(hugging_face, tmp_path / "made", "nemo2")
    found: dict[str, Any] = {}
    for name, tensor in distributed(tmp_path / "made" / "weights").items():
        parts = [(name, tensor)]
        if "layers." in name:
            parts = [(name.replace("layers.", f"layers.{at}."), tensor[at].clone()) for at in range(2)]
        for plain, part in parts:
            if plain.endswith("linear_fc1.weight"):
                found[f"{plain}_w"], found[f"{plain}_v"] = (half.clone() for half in part.chunk(2))
            else:
                found[plain] = part
    saved = tmp_path / "made" / "weights"
    for path in saved.iterdir():
        if path.name != "metadata.json":
            path.unlink()
    with pytest.warns(UserWarning, match="single process"):
        dcp.save(found, checkpoint_id=saved, no_dist=True)
    convert(tmp_path / "made", tmp_path / "back", "hf")
    assert_same_bits(weights(hugging_face), weights(tmp_path / "back"))


def test_reads_a_state_dict_in_an_unpacked_nemo_1_folder(hugging_face: Path, tmp_path: Path) -> None:
    convert(hugging_face, tmp_path / "m.nemo", "nemo1")
    folder = tmp_path / "folder"
    subprocess.run(["tar", "-xf", tmp_path / "m.nemo", "--one-top-level=folder"], cwd=tmp_path, check=True)
    state = {}
    for name, tensor in distributed(folder / "model_weights").items():
        for at in range(2) if "layers." in name else [0]:
            plain = name.replace("layers.", f"layers.{at}.") if "layers." in name else name
            state[plain] = tensor[at].clone() if "layers." in name else tensor
    for path in (folder / "model_weights").iterdir():
        path.unlink()
    torch.save(state, folder / "model_weights.ckpt")
    convert(folder, tmp_path / "back", "hf")
    assert_same_bits(weights(hugging_face), weights(tmp_path / "back"))


def test_inspection_tells_the_same_of_each_kind(hugging_face: Path, tmp_path: Path) -> None:
    convert(hugging_face, tmp_path / "two", "nemo2")
    convert(hugging_face, tmp_path / "one.nemo", "nemo1")
    first = inspect_checkpoint(hugging_face)
    for place in (tmp_path / "two", tmp_path / "one.nemo"):
        found = inspect_checkpoint(place)
        assert (found.made, found.numbers) == (first.made, first.numbers)
        assert list(found.tensors) == list(first.tensors)


def test_nothing_is_overwritten(hugging_face: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    for kind in ("nemo1", "nemo2"):
        with pytest.raises(DataError, match="exists already"):
            convert(hugging_face, taken, kind)  # type: ignore[arg-type]
    assert taken.read_text() == "mine" and list(tmp_path.iterdir()) == [taken]


def test_a_target_inside_the_source_is_refused(hugging_face: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(hugging_face)
    before = sorted(hugging_face.iterdir())
    for source, target in ((hugging_face, link / "sub" / "new"), (link, hugging_face / "new.nemo")):
        with pytest.raises(DataError, match="is inside the source") as caught:
            convert(source, target, "nemo1")
        assert caught.value.wrong_path
    assert sorted(hugging_face.iterdir()) == before
    # A folder beside it with a longer name is another folder.
    beside = hugging_face.with_name(f"{hugging_face.name}-converted.nemo")
    convert(hugging_face, beside, "nemo1")
    beside.unlink()


def test_one_process_at_a_time_writes_a_target(hugging_face: Path, tmp_path: Path) -> None:
    with (
        FolderLock(tmp_path / ".made.partial", lambda _: BusyError("busy"), remove=True),
        pytest.raises(BusyError, match="is being written"),
    ):
        convert(hugging_face, tmp_path / "made", "nemo2")
    convert(hugging_face, tmp_path / "made", "nemo2")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_the_same_kind_is_refused(hugging_face: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a Hugging Face model already"):
        convert(hugging_face, tmp_path / "made", "hf")


@pytest.mark.parametrize("kind", ["nemo1", "nemo2"])
@pytest.mark.parametrize(
    "name", ["layers.1.mlp.down_proj", "layers.0.self_attn.k_proj", "layers.1.mlp.up_proj"]
)
def test_parts_of_one_weight_of_several_types_are_refused(
    hugging_face: Path, kind: Any, name: str, tmp_path: Path
) -> None:
    shutil.copytree(hugging_face, tmp_path / "mixed")
    found = load_file(tmp_path / "mixed" / "model.safetensors")
    found[f"model.{name}.weight"] = found[f"model.{name}.weight"].float()
    save_file(found, tmp_path / "mixed" / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=f"{name}.weight is F32"):
        convert(tmp_path / "mixed", tmp_path / "made", kind)
    assert not (tmp_path / "made").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from lawtags_client.checkpoints import conversion, distributed_writing
written = distributed_writing.write_torch_file
def killed(stream, value, storages=()):
    if stream.tell() > 20_000:
        os.kill(os.getpid(), signal.SIGKILL)
    return written(stream, value, storages)
distributed_writing.write_torch_file = killed
conversion.convert(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
"""


@pytest.mark.parametrize("kind", ["nemo1", "nemo2"])
def test_a_killed_conversion_leaves_nothing_under_the_name(
    hugging_face: Path, kind: Any, tmp_path: Path
) -> None:
    target = tmp_path / "made"
    ended = subprocess.run([sys.executable, "-c", KILLED, hugging_face, target, kind], env=dict(os.environ))
    assert ended.returncode == -signal.SIGKILL
    assert not target.exists() and (tmp_path / ".made.partial").exists()
    convert(hugging_face, target, kind)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    convert(target, tmp_path / "back", "hf")
    assert_same_bits(weights(hugging_face), weights(tmp_path / "back"))


@pytest.mark.parametrize("taken", [False, True])
def test_an_archive_appears_where_a_file_system_has_no_hard_links(
    hugging_face: Path, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "made.nemo"

    def no_links(source: Path, link: Path) -> None:
        if taken:
            target.write_text("mine")
        raise PermissionError(errno.EPERM, "Operation not permitted", str(source), None, str(link))

    monkeypatch.setattr(os, "link", no_links)
    if taken:
        with pytest.raises(DataError, match="exists already"):
            convert(hugging_face, target, "nemo1")
        assert target.read_text() == "mine"
    else:
        convert(hugging_face, target, "nemo1")
        convert(target, tmp_path / "back", "hf")
        assert_same_bits(weights(hugging_face), weights(tmp_path / "back"))
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("kind", ["nemo1", "nemo2"])
def test_a_full_disk_is_named(hugging_face: Path, kind: Any, tmp_path: Path) -> None:
    # A limit for the size of files fails a write as a full disk does, without naming a file.
    limited = (
        "import resource, signal, sys\n"
        "from lawtags_client.cli.app import app\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000))\n"
        "app(sys.argv[1:])\n"
    )
    words = ["models", "convert", str(hugging_face), str(tmp_path / "made"), "--to", kind]
    if kind == "nemo1":
        words += ["--tokenizer", "law/base"]
    ended = subprocess.run([sys.executable, "-c", limited, *words], capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.startswith(f"Error: {tmp_path / '.made.partial'}: File too large\n")
    assert list(tmp_path.iterdir()) == []


def test_a_shard_is_found_by_the_index_alone(hugging_face: Path, tmp_path: Path) -> None:
    convert(hugging_face, tmp_path / "two", "nemo2")
    convert(tmp_path / "two", tmp_path / "hf", "hf", shard_bytes=20_000)
    index = json.loads((tmp_path / "hf" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(
        tensor.nbytes for tensor in weights(tmp_path / "hf").values()
    )
    first = sorted(set(index["weight_map"].values()))[0]
    (tmp_path / "hf" / first).unlink()
    with pytest.raises(DataError, match=f"{first}.* is missing"):
        inspect_checkpoint(tmp_path / "hf")
