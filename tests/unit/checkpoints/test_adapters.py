"""Adapters through NeMo and back, and what cannot be converted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import make_adapter

from lawtags_client.checkpoints.conversion import convert
from lawtags_client.checkpoints.inspection import inspect_checkpoint
from lawtags_client.errors import ConfigurationError, DataError

ATTENTION = ["q_proj", "k_proj", "v_proj"]
ALL = [*ATTENTION, "o_proj", "gate_proj", "up_proj", "down_proj"]
QUESTION = torch.tensor([[5, 17, 301, 44, 8, 250]])


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def share_inner(folder: Path) -> None:
    """Give queries, keys and values one first side, and gate and up another, as NeMo trains them."""
    found = weights(folder)
    for name in found:
        for part, first in (("k", "q"), ("v", "q"), ("up", "gate")):
            if f".{part}_proj.lora_A" in name:
                found[name] = found[name.replace(f".{part}_proj.", f".{first}_proj.")].clone()
    save_file(found, folder / "adapter_model.safetensors", {"format": "pt"})


def adapted_logits(base: Path, folder: Path) -> torch.Tensor:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    with torch.no_grad():
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder)
        found: torch.Tensor = model(QUESTION).logits
    return found


@pytest.mark.parametrize("shared", [True, False])
def test_an_adapter_comes_back_bit_by_bit(hugging_face: Path, shared: bool, tmp_path: Path) -> None:
    targets = ALL if "llama" in hugging_face.name else [*ATTENTION, "gate_proj", "up_proj"]
    given = make_adapter(tmp_path / "given", hugging_face, target_modules=targets, lora_alpha=16)
    if shared:
        share_inner(given)
    convert(given, tmp_path / "two", "nemo2", base=hugging_face)
    convert(tmp_path / "two", tmp_path / "one.nemo", "nemo1")
    convert(tmp_path / "one.nemo", tmp_path / "back", "peft")
    before, after = weights(given), weights(tmp_path / "back")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    written = (tmp_path / "two" / "context" / "model.yaml").read_text()
    assert ("LoRA.LoRA" in written or "lora.LoRA" in written) == shared
    assert ("CanonicalLoRA" in written) == (not shared)
    before_logits = adapted_logits(hugging_face, given)
    assert torch.equal(before_logits, adapted_logits(hugging_face, tmp_path / "back"))
    found = inspect_checkpoint(tmp_path / "two")
    assert found.rank == 4 and found.numbers == sum(tensor.numel() for tensor in before.values())


def test_some_of_queries_keys_and_values(hugging_face: Path, tmp_path: Path) -> None:
    given = make_adapter(tmp_path / "given", hugging_face, target_modules=["q_proj", "v_proj"])
    convert(given, tmp_path / "two", "nemo2", base=hugging_face / "config.json")
    convert(tmp_path / "two", tmp_path / "back", "peft")
    before, after = weights(given), weights(tmp_path / "back")
    assert all(torch.equal(before[name], after[name]) for name in before.keys() | after.keys())
    saved = json.loads((tmp_path / "back" / "adapter_config.json").read_text())
    assert (saved["r"], saved["lora_alpha"], saved["target_modules"]) == (4, 8, ["q_proj", "v_proj"])


def test_the_fused_side_is_that_of_the_interleaved_weight(hugging_face: Path, tmp_path: Path) -> None:
    """The product of NeMo's two sides is the interleaved sum of PEFT's three products."""
    given = make_adapter(tmp_path / "given", hugging_face, target_modules=ATTENTION)
    share_inner(given)
    convert(given, tmp_path / "one.nemo", "nemo1", base=hugging_face)
    import tarfile

    with tarfile.open(tmp_path / "one.nemo") as archive:
        archive.extract("./model_weights.ckpt", tmp_path, filter="data")
    state = torch.load(tmp_path / "model_weights.ckpt")
    prefix = "model.decoder.layers.1.self_attention.adapter_layer.lora_kqv_adapter."
    product = state[f"{prefix}linear_out.weight"] @ state[f"{prefix}linear_in.weight"]
    sides = weights(given)
    query, key, value = (
        sides[f"base_model.model.model.layers.1.self_attn.{part}.lora_B.weight"]
        @ sides[f"base_model.model.model.layers.1.self_attn.{part}.lora_A.weight"]
        for part in ATTENTION
    )
    expected = torch.cat([query[:16], key[:8], value[:8], query[16:], key[8:], value[8:]])
    assert torch.allclose(product, expected, atol=1e-5)


def test_weights_before_a_norm_of_gemma_2_are_refused(hugging_face: Path, tmp_path: Path) -> None:
    given = make_adapter(tmp_path / "given", hugging_face, target_modules=["o_proj"])
    if "llama" in hugging_face.name:
        convert(given, tmp_path / "two", "nemo2", base=hugging_face)
        return
    with pytest.raises(DataError, match="NeMo adds the adapter after the norm"):
        convert(given, tmp_path / "two", "nemo2", base=hugging_face)


def changed(folder: Path, **values: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_what_cannot_be_converted_is_named(hugging_face: Path, tmp_path: Path) -> None:
    given = make_adapter(tmp_path / "given", hugging_face, target_modules=ATTENTION)
    with pytest.raises(ConfigurationError, match="does not say what its model looks like"):
        convert(given, tmp_path / "made", "nemo2")
    with pytest.raises(ConfigurationError, match="holds an adapter"):
        convert(given, tmp_path / "made", "hf", base=hugging_face)
    with pytest.raises(ConfigurationError, match="holds a model"):
        convert(hugging_face, tmp_path / "made", "peft")
    for field, value in (("use_dora", True), ("rank_pattern", {"q_proj": 2}), ("bias", "all")):
        before = json.loads((given / "adapter_config.json").read_text())
        changed(given, **{field: value})
        with pytest.raises(DataError, match=f"adapter_config.json: field '{field}'"):
            convert(given, tmp_path / "made", "nemo2", base=hugging_face)
        (given / "adapter_config.json").write_text(json.dumps(before))
    whole = weights(given)
    name = "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight"
    save_file(whole | {name: whole[name].half()}, given / "adapter_model.safetensors")
    for kind in ("nemo1", "nemo2"):
        with pytest.raises(DataError, match="NeMo stores them as one weight"):
            convert(given, tmp_path / "made", kind, base=hugging_face)
    found = whole
    del found[name]
    save_file(found, given / "adapter_model.safetensors")
    with pytest.raises(DataError, match=r"layers\.1\.self_attn\.q_proj\.lora_B\.weight is missing"):
        convert(given, tmp_path / "made", "nemo2", base=hugging_face)
    for name in list(found):
        if ".layers.1." in name:
            del found[name]
    save_file(found, given / "adapter_model.safetensors")
    with pytest.raises(DataError, match="in 1 of 2 layers"):
        convert(given, tmp_path / "made", "nemo2", base=hugging_face)
    assert not (tmp_path / "made").exists()
