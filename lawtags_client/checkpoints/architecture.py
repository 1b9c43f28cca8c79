"""What a decoder looks like, as far as the layout of its weights depends on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lawtags_client.checkpoints.extents import Extent
from lawtags_client.errors import DataError
from lawtags_client.json_value import JsonValue

Family = Literal["llama", "gemma2"]
_HINT = "Llama and Gemma 2 without biases can be converted."
_LARGEST_CONFIG = 4 << 20
_MOST_LAYERS, _LARGEST_SIDE = 2048, 1 << 24
_TORCH_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """How Llama 3.1 stretches its positions.

    Args:
        factor: by how much.
        low_frequency: the factor below which all is stretched.
        high_frequency: the factor above which nothing is.
        original_positions: the length that it was trained with.
    """

    factor: float
    low_frequency: float
    high_frequency: float
    original_positions: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """A decoder.

    Args:
        family: ``"llama"`` or ``"gemma2"``.
        layers: how many layers.
        hidden: numbers per position between layers.
        feed_forward: numbers per position within an MLP.
        heads: attention heads.
        groups: key and value heads.
        head_size: numbers per head.
        vocabulary: tokens, without padding.
        tied: whether the output layer is the embedding.
        epsilon: of the norms.
        rotary_base: of the positions.
        positions: the longest sequence.
        initializer: standard deviation of the initial weights.
        dtype: of the weights, as safetensors writes it.
        rope: how positions are stretched.
        query_scalar: Gemma 2: what queries are scaled by.
        attention_cap: Gemma 2: soft cap of the attention.
        output_cap: Gemma 2: soft cap of the logits.
        window: Gemma 2: positions that every second layer sees.
    """

    family: Family
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    groups: int
    head_size: int
    vocabulary: int
    tied: bool
    epsilon: float
    rotary_base: float
    positions: int
    initializer: float
    dtype: str
    rope: RopeScaling | None = None
    query_scalar: float | None = None
    attention_cap: float | None = None
    output_cap: float | None = None
    window: int | None = None

    @property
    def query_rows(self) -> int:
        """Rows of the query weights."""
        return self.heads * self.head_size

    @property
    def group_rows(self) -> int:
        """Rows of the key weights, and of the value weights."""
        return self.groups * self.head_size


class Fields:
    """A JSON object or a YAML mapping whose fields are checked as they are read.

    Args:
        values: the object.
        label: its file, for error messages.
    """

    def __init__(self, values: object, label: str) -> None:
        if not isinstance(values, Mapping):
            raise DataError("is not an object", path=label, hint="Check the file.")
        self._values: Mapping[object, object] = values
        self.label = label

    def get(self, *names: str) -> object:
        """The first of the fields that is there and not null."""
        for name in names:
            value = self._values.get(name)
            if value is not None:
                return value
        return None

    def count(self, *names: str, default: int | None = None, most: int = _LARGEST_SIDE) -> int:
        """A positive whole number."""
        value = self.get(*names)
        value = default if value is None else value
        if type(value) is not int or not 0 < value <= most:
            raise self.error(names[0], f"{_shown(value)} is not a number from 1 to {most:,}")
        return value

    def number(self, *names: str, default: float | None = None) -> float:
        """A number; YAML reads ``1e-6`` as text, and NeMo writes it so."""
        value = self.get(*names)
        value = default if value is None else value
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                value = None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(names[0], f"{_shown(self.get(*names))} is not a number")
        return value

    def optional_number(self, *names: str) -> float | None:
        """A number, if there is one."""
        return None if self.get(*names) is None else self.number(*names)

    def flag(self, name: str, *, default: bool) -> bool:
        """A truth value."""
        value = self.get(name)
        return default if value is None else bool(value)

    def inner(self, name: str) -> Fields:
        """An object within."""
        value = self.get(name)
        return Fields(value if isinstance(value, Mapping) else {}, self.label)

    def error(self, name: str, what: str) -> DataError:
        """An error about one field."""
        return DataError(what, path=self.label, field=name, hint=_HINT)


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:60]


def read_json(extent: Extent) -> Fields:
    """A small JSON object.

    Raises:
        DataError: it is too long, or no JSON object.
    """
    try:
        value = json.loads(extent.read(_LARGEST_CONFIG))
    except (ValueError, RecursionError) as error:
        raise DataError(f"is not JSON: {error}", path=extent.label, hint="Download it again.") from error
    return Fields(value, extent.label)


def from_hugging_face(config: Fields) -> Architecture:
    """The decoder that a ``config.json`` describes.

    Raises:
        DataError: a field is missing or wrong, or the model is of another family.
    """
    family = config.get("model_type")
    if family not in ("llama", "gemma2"):
        raise config.error("model_type", f"{_shown(family)} cannot be converted")
    for bias in ("attention_bias", "mlp_bias"):
        if config.flag(bias, default=False):
            raise config.error(bias, "models with biases cannot be converted")
    if config.get("quantization_config") is not None:
        raise config.error("quantization_config", "quantized models cannot be converted")
    heads, hidden = config.count("num_attention_heads"), config.count("hidden_size")
    gemma = family == "gemma2"
    made = Architecture(
        family="gemma2" if gemma else "llama",
        layers=config.count("num_hidden_layers", most=_MOST_LAYERS),
        hidden=hidden,
        feed_forward=config.count("intermediate_size"),
        heads=heads,
        groups=config.count("num_key_value_heads", default=heads),
        head_size=config.count("head_dim", default=256 if gemma else hidden // heads),
        vocabulary=config.count("vocab_size"),
        tied=config.flag("tie_word_embeddings", default=gemma),
        epsilon=config.number("rms_norm_eps", default=1e-6),
        rotary_base=_rope_fields(config).number("rope_theta", default=10000.0),
        positions=config.count("max_position_embeddings", default=8192 if gemma else 2048, most=1 << 40),
        initializer=config.number("initializer_range", default=0.02),
        dtype=_TORCH_DTYPES.get(str(config.get("dtype", "torch_dtype")).removeprefix("torch."), "F32"),
        rope=_rope_scaling(config),
        query_scalar=config.number("query_pre_attn_scalar", default=256) if gemma else None,
        attention_cap=config.optional_number("attn_logit_softcapping") if gemma else None,
        output_cap=config.optional_number("final_logit_softcapping") if gemma else None,
        window=config.count("sliding_window", default=4096) if gemma else None,
    )
    check_heads(made, config)
    return made


def check_heads(made: Architecture, config: Fields) -> None:
    """See that heads can be dealt out to groups.

    Raises:
        DataError: they cannot.
    """
    if made.heads % made.groups:
        raise config.error("num_attention_heads", f"{made.heads} heads are no multiple of {made.groups}")


def _rope_fields(config: Fields) -> Fields:
    # Transformers 5 has one object where earlier versions had two fields.
    return config.inner("rope_parameters") if config.get("rope_parameters") is not None else config


def _rope_scaling(config: Fields) -> RopeScaling | None:
    name = "rope_parameters" if config.get("rope_parameters") is not None else "rope_scaling"
    scaling = config.inner(name)
    kind = scaling.get("rope_type", "type") or "default"
    if kind == "default":
        return None
    if kind != "llama3" or config.get("model_type") != "llama":
        raise config.error(name, f"positions of the type {_shown(kind)} cannot be converted")
    return RopeScaling(
        factor=scaling.number("factor", default=8.0),
        low_frequency=scaling.number("low_freq_factor", default=1.0),
        high_frequency=scaling.number("high_freq_factor", default=4.0),
        original_positions=scaling.count("original_max_position_embeddings", default=8192, most=1 << 40),
    )


def to_hugging_face(made: Architecture) -> dict[str, JsonValue]:
    """The ``config.json`` of a decoder, in the words of Transformers 4, which Transformers 5 reads too."""
    torch_dtypes = {dtype: name for name, dtype in _TORCH_DTYPES.items()}
    config: dict[str, JsonValue] = {
        "architectures": ["Gemma2ForCausalLM" if made.family == "gemma2" else "LlamaForCausalLM"],
        "model_type": made.family,
        "num_hidden_layers": made.layers,
        "hidden_size": made.hidden,
        "intermediate_size": made.feed_forward,
        "num_attention_heads": made.heads,
        "num_key_value_heads": made.groups,
        "head_dim": made.head_size,
        "vocab_size": made.vocabulary,
        "tie_word_embeddings": made.tied,
        "rms_norm_eps": made.epsilon,
        "rope_theta": made.rotary_base,
        "max_position_embeddings": made.positions,
        "initializer_range": made.initializer,
        "torch_dtype": torch_dtypes[made.dtype],
    }
    if made.rope is not None:
        config["rope_scaling"] = {
            "rope_type": "llama3",
            "factor": made.rope.factor,
            "low_freq_factor": made.rope.low_frequency,
            "high_freq_factor": made.rope.high_frequency,
            "original_max_position_embeddings": made.rope.original_positions,
        }
    if made.family == "gemma2":
        config |= {
            "hidden_activation": "gelu_pytorch_tanh",
            "query_pre_attn_scalar": made.query_scalar,
            "attn_logit_softcapping": made.attention_cap,
            "final_logit_softcapping": made.output_cap,
            "sliding_window": made.window,
        }
    return config
