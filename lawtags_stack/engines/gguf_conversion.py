"""Turning a GGUF file of a Llama model into a Hugging Face folder, with numpy alone.

Reading the tensors directly and dequantising them in numpy takes seconds and needs no torch, which is why
this does not go through the GGUF support of transformers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lawtags_client.errors import ConfigurationError, MissingExtraError
from lawtags_client.files import atomic_write_json, atomic_write_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CONTROL_TOKEN = 3  # token types of GGUF: 1 is a normal token, 3 a control token

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


def convert_llama_gguf(source: Path, folder: Path) -> None:
    """Write a Llama model of a GGUF file as config, safetensors (fp16), tokenizer and chat template.

    Weights that GGUF stores in four bits come out as the values those bits stand for: a faithful copy of
    the file, not of the model it was once quantised from.

    Args:
        source: the GGUF file; architecture ``llama``, byte-level BPE of the ``smollm`` kind.
        folder: an existing folder that receives the files.

    Raises:
        MissingExtraError: gguf, safetensors or tokenizers is not installed.
        ConfigurationError: the file holds another architecture or tokenizer.
    """
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise MissingExtraError("gguf", "local", "Converting the default base model") from error
    reader = GGUFReader(source)
    fields = dict(reader.fields.items())
    config = _config(fields)
    _write_weights(reader.tensors, config, folder / "model.safetensors")
    _write_tokenizer(fields, folder)
    atomic_write_json(folder / "config.json", config)


def hugging_face_name(name: str) -> str:
    """The Hugging Face name of a Llama tensor, e.g. ``blk.0.attn_q.weight`` of GGUF."""
    parts = name.removesuffix(".weight").split(".")
    if len(parts) == 1 and parts[0] in _TOP_NAMES:
        return f"{_TOP_NAMES[parts[0]]}.weight"
    if len(parts) == 3 and parts[0] == "blk" and parts[2] in _LAYER_NAMES:
        return f"model.layers.{parts[1]}.{_LAYER_NAMES[parts[2]]}.weight"
    raise ConfigurationError(f"the GGUF file contains a tensor that no Llama model has: {name}")


def interleave_halves(weight: NDArray[Any], heads: int) -> NDArray[Any]:
    """Undo the row order of query and key weights in GGUF.

    GGUF keeps the two rows that a rotary embedding turns together side by side; Hugging Face keeps them
    half a head apart.
    """
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


def _config(fields: dict[str, Any]) -> dict[str, Any]:
    architecture = _value(fields, "general.architecture")
    if architecture != "llama":
        raise ConfigurationError(
            f"the GGUF file contains a {architecture} model; only llama can be converted"
        )
    heads = int(_value(fields, "llama.attention.head_count"))
    hidden = int(_value(fields, "llama.embedding_length"))
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(fields["tokenizer.ggml.tokens"].data),
        "hidden_size": hidden,
        "intermediate_size": int(_value(fields, "llama.feed_forward_length")),
        "num_hidden_layers": int(_value(fields, "llama.block_count")),
        "num_attention_heads": heads,
        "num_key_value_heads": int(_value(fields, "llama.attention.head_count_kv")),
        "head_dim": hidden // heads,
        "max_position_embeddings": int(_value(fields, "llama.context_length")),
        "rms_norm_eps": round(float(_value(fields, "llama.attention.layer_norm_rms_epsilon")), 12),
        "rope_theta": float(_value(fields, "llama.rope.freq_base")),
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": int(_value(fields, "tokenizer.ggml.bos_token_id")),
        "eos_token_id": int(_value(fields, "tokenizer.ggml.eos_token_id")),
        "pad_token_id": int(_value(fields, "tokenizer.ggml.padding_token_id")),
        "dtype": "float16",
    }


def _write_weights(tensors: list[Any], config: dict[str, Any], path: Path) -> None:
    try:
        import numpy as np
        from gguf.quants import dequantize
        from safetensors.numpy import save_file
    except ImportError as error:
        raise MissingExtraError("safetensors", "local", "Converting the default base model") from error
    weights: dict[str, NDArray[np.float16]] = {}
    for tensor in tensors:
        name = hugging_face_name(tensor.name)
        weight = dequantize(tensor.data, tensor.tensor_type)
        if ".q_proj." in name:
            weight = interleave_halves(weight, config["num_attention_heads"])
        elif ".k_proj." in name:
            weight = interleave_halves(weight, config["num_key_value_heads"])
        # fp16 holds these values more exactly than bf16: none is near its limits, and it has three more bits.
        weights[name] = np.ascontiguousarray(weight, dtype=np.float16)
    config["tie_word_embeddings"] = "lm_head.weight" not in weights
    save_file(weights, path, metadata={"format": "pt"})


def _write_tokenizer(fields: dict[str, Any], folder: Path) -> None:
    kind = (_value(fields, "tokenizer.ggml.model"), _value(fields, "tokenizer.ggml.pre"))
    if kind != ("gpt2", "smollm"):
        raise ConfigurationError(f"the GGUF file has an unsupported tokenizer: {kind}")
    try:
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    except ImportError as error:
        raise MissingExtraError("tokenizers", "local", "Converting the default base model") from error
    tokens: list[str] = _value(fields, "tokenizer.ggml.tokens")
    types: list[int] = _value(fields, "tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ", 1)) for merge in _value(fields, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    # Digits stand alone, then the byte-level words of GPT-2: what "smollm" names in GGUF.
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
    chat_template = _value(fields, "tokenizer.chat_template")
    atomic_write_text(folder / "chat_template.jinja", chat_template)
    atomic_write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": tokens[int(_value(fields, "tokenizer.ggml.bos_token_id"))],
            "eos_token": tokens[int(_value(fields, "tokenizer.ggml.eos_token_id"))],
            "pad_token": tokens[int(_value(fields, "tokenizer.ggml.padding_token_id"))],
            "unk_token": tokens[int(_value(fields, "tokenizer.ggml.unknown_token_id"))],
            "add_bos_token": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": int(_value(fields, "llama.context_length")),
        },
    )


def _value(fields: dict[str, Any], name: str) -> Any:
    if name not in fields:
        raise ConfigurationError(f"the GGUF file lacks the field {name}")
    return fields[name].contents()
