"""Configurations of NeMo: ``model_config.yaml`` of NeMo 1, and ``model.yaml`` of NeMo 2."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from lawtags_client.checkpoints.architecture import Architecture, Family, Fields, RopeScaling, check_heads
from lawtags_client.checkpoints.extents import Extent
from lawtags_client.errors import DataError
from lawtags_client.json_value import JsonValue

_LARGEST_YAML = 1 << 20
_MODELS = "nemo.collections.llm.gpt.model."
_TORCH_DTYPES = {"BF16": "torch.bfloat16", "F16": "torch.float16", "F32": "torch.float32"}
_PRECISIONS: Mapping[str, JsonValue] = {"BF16": "bf16", "F16": 16, "F32": 32}


class _Loader(yaml.SafeLoader):
    """A loader without merge keys, whose expansion has no limit."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, "merge keys are not allowed", node.start_mark)


def read_yaml(extent: Extent) -> Fields:
    """A small YAML mapping.

    Raises:
        DataError: it is too long, or no mapping.
    """
    try:
        value = yaml.load(extent.read(_LARGEST_YAML), Loader=_Loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        first = str(error).strip().partition("\n")[0][:200]
        raise DataError(f"is not YAML: {first}", path=extent.label, hint="Download it again.") from error
    return Fields(value, extent.label)


def family_of(target: str) -> Family | None:
    """The family of a model class of NeMo 2; ``None`` where it is another one."""
    if target.endswith("gemma2.Gemma2Model"):
        return "gemma2"
    return "llama" if target.endswith("llama.LlamaModel") else None


def from_nemo_2(model: Fields, *, rows: int | None) -> Architecture:
    """The decoder that the ``model.yaml`` of NeMo 2 describes.

    Args:
        model: the file.
        rows: of the embedding, where the file does not say how many tokens there are.

    Raises:
        DataError: a field is missing or wrong, or the model is of another family.
    """
    family = family_of(str(model.get("_target_")))
    if family is None:
        raise model.error("_target_", f"{str(model.get('_target_'))[:80]} cannot be converted")
    config = model.inner("config")
    kind = str(config.get("_target_")).rpartition(".")[2]
    rope = None
    if kind.startswith(("Llama31", "Llama32")):
        rope = RopeScaling(
            config.number("scale_factor", default=8.0),
            config.number("low_freq_factor", default=1.0),
            config.number("high_freq_factor", default=4.0),
            config.count("old_context_len", default=8192, most=1 << 40),
        )
    return _decoder(config, family, rope, rows=rows, caps=config, length="seq_length")


def from_nemo_1(config: Fields, *, rows: int | None) -> Architecture:
    """The decoder that the ``model_config.yaml`` of NeMo 1 describes.

    Args:
        config: the file.
        rows: of the embedding.

    Raises:
        DataError: a field is missing or wrong, or the model is of another family.
    """
    name, activation = str(config.get("name") or ""), str(config.get("activation") or "")
    family: Family = "gemma2" if "gemma2" in name or config.get("mcore_customization_config") else "llama"
    if family == "llama" and ("swiglu" not in activation or config.flag("bias", default=True)):
        raise config.error("activation", f"{activation[:40]!r} with biases or without swiglu is not Llama")
    rope = None
    if config.flag("scale_positional_embedding", default=False):
        rope = RopeScaling(
            config.number("scale_factor", default=8.0),
            config.number("low_freq_factor", default=1.0),
            config.number("high_freq_factor", default=4.0),
            config.count("old_context_len", default=8192, most=1 << 40),
        )
    if config.get("seq_len_interpolation_factor") is not None:
        raise config.error("seq_len_interpolation_factor", "interpolated positions cannot be converted")
    caps = config.inner("mcore_customization_config")
    return _decoder(config, family, rope, rows=rows, caps=caps, length="encoder_seq_length")


def _decoder(
    config: Fields, family: Family, rope: RopeScaling | None, *, rows: int | None, caps: Fields, length: str
) -> Architecture:
    gemma = family == "gemma2"
    # Hugging Face's Gemma 2 adds one to the weights of its norms, and its Llama does not.
    if config.flag("layernorm_zero_centered_gamma", default=gemma) != gemma:
        raise config.error(
            "layernorm_zero_centered_gamma", f"must be {gemma} for {family}: else the norms' numbers differ"
        )
    for bias in ("add_bias_linear", "add_qkv_bias", "qkv_bias"):
        if config.flag(bias, default=False):
            raise config.error(bias, "models with biases cannot be converted")
    hidden, heads = config.count("hidden_size"), config.count("num_attention_heads")
    window = config.get("window_size")
    made = Architecture(
        family=family,
        layers=config.count("num_layers", most=2048),
        hidden=hidden,
        feed_forward=config.count("ffn_hidden_size"),
        heads=heads,
        groups=config.count("num_query_groups", default=heads),
        head_size=config.count("kv_channels", default=hidden // heads),
        vocabulary=config.count("vocab_size", "override_vocab_size", default=rows),
        tied=config.flag("share_embeddings_and_output_weights", default=gemma),
        epsilon=config.number("layernorm_epsilon", default=1e-6 if gemma else 1e-5),
        rotary_base=config.number("rotary_base", default=10000.0),
        positions=config.count(length, "max_position_embeddings", default=8192, most=1 << 40),
        initializer=config.number("init_method_std", default=0.02),
        dtype="BF16",
        rope=rope,
        query_scalar=caps.number("query_pre_attn_scalar", default=256) if gemma else None,
        attention_cap=caps.optional_number("attn_logit_softcapping") if gemma else None,
        output_cap=caps.optional_number("final_logit_softcapping") if gemma else None,
        window=int(window[0]) if gemma and isinstance(window, list) and window else 4096 if gemma else None,
    )
    check_heads(made, config)
    return made


def to_nemo_2(made: Architecture, *, multiple: int) -> dict[str, JsonValue]:
    """The field ``config`` of the ``model.yaml`` of NeMo 2.

    Args:
        made: the decoder.
        multiple: what the rows of the embedding are a multiple of.
    """
    config = _common(made, multiple=multiple)
    config |= {
        "_target_": config_class(made),
        "seq_length": made.positions,
        "vocab_size": made.vocabulary,
        "normalization": "RMSNorm",
        "gated_linear_unit": True,
        "add_bias_linear": False,
        "add_qkv_bias": False,
        "position_embedding_type": "rope",
        "rotary_percent": 1.0,
        "params_dtype": {"_target_": _TORCH_DTYPES[made.dtype], "_call_": False},
        "bf16": made.dtype == "BF16",
        "fp16": made.dtype == "F16",
        "activation_func": {"_target_": activation(made), "_call_": False},
    }
    if made.rope is not None:
        config |= _rope(made.rope)
    if made.family == "gemma2":
        config |= _gemma(made)
        config["window_size"] = [made.window, 0]
        config["layernorm_zero_centered_gamma"] = True
    return config


def config_class(made: Architecture) -> str:
    """The class of NeMo 2 for a decoder's configuration."""
    if made.family == "gemma2":
        return f"{_MODELS}gemma2.Gemma2Config"
    return f"{_MODELS}llama.{'Llama31Config' if made.rope is not None else 'LlamaConfig'}"


def model_class(made: Architecture) -> str:
    """The class of NeMo 2 for a decoder."""
    return f"{_MODELS}{'gemma2.Gemma2Model' if made.family == 'gemma2' else 'llama.LlamaModel'}"


def activation(made: Architecture) -> str:
    """The activation of a decoder's MLP, as a function that Python can import."""
    if made.family == "gemma2":
        return "nemo.collections.llm.fn.activation.openai_gelu"
    return "torch.nn.functional.silu"


def to_nemo_1(
    made: Architecture, *, multiple: int, tokenizer: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """The ``model_config.yaml`` of NeMo 1.

    Args:
        made: the decoder.
        multiple: what the rows of the embedding are a multiple of.
        tokenizer: its field of that name.
    """
    gemma = made.family == "gemma2"
    config = _common(made, multiple=multiple)
    config |= {
        "name": "megatron_gemma2" if gemma else "megatron_llama",
        "target": "nemo.collections.nlp.models.language_modeling.megatron_gpt_model.MegatronGPTModel",
        "mcore_gpt": True,
        "transformer_engine": True,
        "tensor_model_parallel_size": 1,
        "pipeline_model_parallel_size": 1,
        "micro_batch_size": 1,
        "global_batch_size": 1,
        "precision": _PRECISIONS[made.dtype],
        "megatron_amp_O2": False,
        "encoder_seq_length": made.positions,
        "max_position_embeddings": made.positions,
        "vocab_size": made.vocabulary,
        "normalization": "rmsnorm",
        "activation": "geglu" if gemma else "fast-swiglu",
        "openai_gelu": gemma,
        "bias": False,
        "position_embedding_type": "rope",
        "rotary_percentage": 1.0,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "ffn_dropout": 0.0,
        "apply_query_key_layer_scaling": False,
        "apply_embedding_scaling": gemma,
        "layernorm_zero_centered_gamma": gemma,
        "transformer_block_type": "pre_ln",
        "tokenizer": dict(tokenizer),
    }
    if made.rope is not None:
        config |= {"scale_positional_embedding": True, **_rope(made.rope)}
    if gemma:
        config["window_size"] = [made.window, 0]
        config["mcore_customization_config"] = _gemma(made)
    return config


def _common(made: Architecture, *, multiple: int) -> dict[str, JsonValue]:
    return {
        "num_layers": made.layers,
        "hidden_size": made.hidden,
        "ffn_hidden_size": made.feed_forward,
        "num_attention_heads": made.heads,
        "num_query_groups": made.groups,
        "kv_channels": made.head_size,
        "layernorm_epsilon": made.epsilon,
        "init_method_std": made.initializer,
        "rotary_base": made.rotary_base,
        "make_vocab_size_divisible_by": multiple,
        "share_embeddings_and_output_weights": made.tied,
    }


def _rope(rope: RopeScaling) -> dict[str, JsonValue]:
    return {
        "scale_factor": rope.factor,
        "low_freq_factor": rope.low_frequency,
        "high_freq_factor": rope.high_frequency,
        "old_context_len": rope.original_positions,
    }


def _gemma(made: Architecture) -> dict[str, JsonValue]:
    return {
        "query_pre_attn_scalar": made.query_scalar,
        "attn_logit_softcapping": made.attention_cap,
        "final_logit_softcapping": made.output_cap,
    }
