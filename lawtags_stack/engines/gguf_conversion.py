"""Converts a GGUF file of a Llama model to a Hugging Face folder, using only numpy.

Reading and dequantizing the tensors in numpy takes seconds and needs no torch, so this does not use the GGUF
support of transformers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, SupportsFloat, TypeAlias

from lawtags_client.errors import ConfigurationError, MissingExtraError
from lawtags_client.files import atomic_write_json, atomic_write_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CONTROL_TOKEN = 3  # GGUF token types: 1 is normal, 3 is control

_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TOP_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


class GgufField(Protocol):
    """A field of gguf's reader."""

    def contents(self) -> object:
        """Its value: a number, a text, or a list of either."""
        ...


class GgufTensor(Protocol):
    """A tensor of gguf's reader."""

    @property
    def name(self) -> str:
        """Its name in GGUF."""
        ...

    @property
    def data(self) -> NDArray[np.generic]:
        """Its quantized values."""
        ...

    @property
    def tensor_type(self) -> object:
        """How they are quantized."""
        ...


Fields: TypeAlias = Mapping[str, GgufField]


def convert_llama_gguf(source: Path, folder: Path) -> None:
    """Convert a Llama model from a GGUF file to config, safetensors (fp16), tokenizer and chat template.

    Weights that GGUF stores in four bits are dequantized: the result is exact relative to the file, not to
    the model before quantization.

    Args:
        source: the GGUF file; architecture ``llama``, byte-level BPE of the ``smollm`` kind.
        folder: an existing folder for the files.

    Raises:
        MissingExtraError: gguf, safetensors or tokenizers is not installed.
        ConfigurationError: the file has another architecture or tokenizer.
    """
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise MissingExtraError("gguf", "local", "Converting the default base model") from error
    reader = GGUFReader(source)
    fields: Fields = dict(reader.fields.items())
    config = _config(fields)
    names = _write_weights(reader.tensors, fields, folder / "model.safetensors")
    config["tie_word_embeddings"] = "lm_head.weight" not in names
    _write_tokenizer(fields, folder)
    atomic_write_json(folder / "config.json", config)


def hugging_face_name(name: str) -> str:
    """The Hugging Face name of a GGUF tensor of a Llama model, e.g. ``blk.0.attn_q.weight``."""
    parts = name.removesuffix(".weight").split(".")
    if len(parts) == 1 and parts[0] in _TOP_NAMES:
        return f"{_TOP_NAMES[parts[0]]}.weight"
    if len(parts) == 3 and parts[0] == "blk" and parts[2] in _LAYER_NAMES:
        return f"model.layers.{parts[1]}.{_LAYER_NAMES[parts[2]]}.weight"
    raise ConfigurationError(f"the GGUF file contains a tensor that no Llama model has: {name}")


def interleave_halves(weight: NDArray[np.generic], heads: int) -> NDArray[np.generic]:
    """Undo GGUF's row order of query and key weights.

    GGUF stores the two rows of a rotary pair side by side; Hugging Face stores them half a head apart.
    """
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


def _config(fields: Fields) -> dict[str, object]:
    architecture = _value(fields, "general.architecture")
    if architecture != "llama":
        raise ConfigurationError(
            f"the GGUF file contains a {architecture} model; only llama can be converted"
        )
    heads = _integer(fields, "llama.attention.head_count")
    hidden = _integer(fields, "llama.embedding_length")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(_list(fields, "tokenizer.ggml.tokens")),
        "hidden_size": hidden,
        "intermediate_size": _integer(fields, "llama.feed_forward_length"),
        "num_hidden_layers": _integer(fields, "llama.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": _integer(fields, "llama.attention.head_count_kv"),
        "head_dim": hidden // heads,
        "max_position_embeddings": _integer(fields, "llama.context_length"),
        "rms_norm_eps": round(_number(fields, "llama.attention.layer_norm_rms_epsilon"), 12),
        "rope_theta": _number(fields, "llama.rope.freq_base"),
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": _integer(fields, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": _integer(fields, "tokenizer.ggml.eos_token_id"),
        "pad_token_id": _integer(fields, "tokenizer.ggml.padding_token_id"),
        "dtype": "float16",
    }


def _write_weights(tensors: Iterable[GgufTensor], fields: Fields, path: Path) -> Iterable[str]:
    """Write the tensors under their Hugging Face names, and return the names."""
    try:
        import numpy as np
        from gguf.quants import dequantize
        from safetensors.numpy import save_file
    except ImportError as error:
        raise MissingExtraError("safetensors", "local", "Converting the default base model") from error
    heads = _integer(fields, "llama.attention.head_count")
    key_heads = _integer(fields, "llama.attention.head_count_kv")
    weights: dict[str, NDArray[np.float16]] = {}
    for tensor in tensors:
        name = hugging_face_name(tensor.name)
        weight = dequantize(tensor.data, tensor.tensor_type)
        if ".q_proj." in name:
            weight = interleave_halves(weight, heads)
        elif ".k_proj." in name:
            weight = interleave_halves(weight, key_heads)
        # fp16 represents these values better than bf16: none is near its limits, and it has three more bits.
        weights[name] = np.ascontiguousarray(weight, dtype=np.float16)
    save_file(weights, path, metadata={"format": "pt"})
    return weights.keys()


def _write_tokenizer(fields: Fields, folder: Path) -> None:
    kind = (_value(fields, "tokenizer.ggml.model"), _value(fields, "tokenizer.ggml.pre"))
    if kind != ("gpt2", "smollm"):
        raise ConfigurationError(f"the GGUF file has an unsupported tokenizer: {kind}")
    try:
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    except ImportError as error:
        raise MissingExtraError("tokenizers", "local", "Converting the default base model") from error
    tokens = [str(token) for token in _list(fields, "tokenizer.ggml.tokens")]
    types = _list(fields, "tokenizer.ggml.token_type")
    merges = [_pair(str(merge)) for merge in _list(fields, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    # Digits are separate tokens, followed by GPT-2's byte-level words: GGUF calls this "smollm".
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, types, strict=True) if kind == _CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    tokenizer.save(str(folder / "tokenizer.json"))
    chat_template = str(_value(fields, "tokenizer.chat_template"))
    atomic_write_text(folder / "chat_template.jinja", chat_template)
    atomic_write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": tokens[_integer(fields, "tokenizer.ggml.bos_token_id")],
            "eos_token": tokens[_integer(fields, "tokenizer.ggml.eos_token_id")],
            "pad_token": tokens[_integer(fields, "tokenizer.ggml.padding_token_id")],
            "unk_token": tokens[_integer(fields, "tokenizer.ggml.unknown_token_id")],
            "add_bos_token": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": _integer(fields, "llama.context_length"),
        },
    )


def _pair(merge: str) -> tuple[str, str]:
    first, _, second = merge.partition(" ")
    return first, second


def _integer(fields: Fields, name: str) -> int:
    return int(_number(fields, name))


def _number(fields: Fields, name: str) -> float:
    value = _value(fields, name)
    if not isinstance(value, SupportsFloat):
        raise ConfigurationError(f"the field {name} of the GGUF file is not a number")
    return float(value)


def _list(fields: Fields, name: str) -> list[object]:
    value = _value(fields, name)
    if not isinstance(value, list):
        raise ConfigurationError(f"the field {name} of the GGUF file is not a list")
    return value


def _value(fields: Fields, name: str) -> object:
    if name not in fields:
        raise ConfigurationError(f"the GGUF file has no field {name}")
    return fields[name].contents()
