"""Which weights of Hugging Face become which weights of Megatron Core, and how they are rearranged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lawtags_client.checkpoints.architecture import Architecture
from lawtags_client.checkpoints.tensors import StoredTensor, joined

Join = Callable[[Architecture, Sequence[StoredTensor]], StoredTensor]
Split = Callable[[Architecture, StoredTensor], tuple[StoredTensor, ...]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One weight of Megatron Core.

    Args:
        megatron: its name there; ``layers.*`` stands for each layer.
        hugging_face: the names that it is made of; ``layers.*`` as above.
        shapes: returns the shape of each of these.
        join: makes the weight.
        split: takes it apart again.
        vocabulary: whether its rows are tokens, so that it may be padded.
        gated: whether its first half and its second are stored apart.
    """

    megatron: str
    hugging_face: tuple[str, ...]
    shapes: Callable[[Architecture], tuple[tuple[int, ...], ...]]
    join: Join
    split: Split
    vocabulary: bool = False
    gated: bool = False

    @property
    def layered(self) -> bool:
        """Whether each layer has one."""
        return "*" in self.megatron

    def megatron_shape(self, made: Architecture) -> tuple[int, ...]:
        """The shape of the weight of one layer, without padding."""
        shapes = self.shapes(made)
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def interleave(made: Architecture, parts: Sequence[StoredTensor]) -> StoredTensor:
    """Queries, keys and values, group by group: the queries of a group, its key, its value."""
    query, key, value = parts
    size = made.head_size
    width = made.heads // made.groups * size
    rows: list[StoredTensor] = []
    for group in range(made.groups):
        rows += [
            query.rows(group * width, width),
            key.rows(group * size, size),
            value.rows(group * size, size),
        ]
    return joined(rows)


def deinterleave(made: Architecture, fused: StoredTensor) -> tuple[StoredTensor, ...]:
    """Queries, keys and values of a weight that ``interleave`` made."""
    size = made.head_size
    width = made.heads // made.groups * size
    step = width + 2 * size
    starts = range(0, made.groups * step, step)
    return (
        joined([fused.rows(start, width) for start in starts]),
        joined([fused.rows(start + width, size) for start in starts]),
        joined([fused.rows(start + width + size, size) for start in starts]),
    )


def stack(_: Architecture, parts: Sequence[StoredTensor]) -> StoredTensor:
    """Parts below each other."""
    return joined(parts)


def halves(_: Architecture, whole: StoredTensor) -> tuple[StoredTensor, ...]:
    """The upper half and the lower half."""
    rows = whole.shape[0] // 2
    return whole.rows(0, rows), whole.rows(rows, rows)


def _same(_: Architecture, whole: StoredTensor) -> tuple[StoredTensor, ...]:
    return (whole,)


def _plain(
    megatron: str,
    hugging_face: str,
    shape: Callable[[Architecture], tuple[int, ...]],
    *,
    vocabulary: bool = False,
) -> Rule:
    return Rule(megatron, (hugging_face,), lambda made: (shape(made),), stack, _same, vocabulary=vocabulary)


def _hidden(made: Architecture) -> tuple[int, ...]:
    return (made.hidden,)


def _embedding(made: Architecture) -> tuple[int, ...]:
    return made.vocabulary, made.hidden


_LAYER, _HF = "decoder.layers.*.", "model.layers.*."

_COMMON = (
    _plain("embedding.word_embeddings.weight", "model.embed_tokens.weight", _embedding, vocabulary=True),
    _plain(f"{_LAYER}self_attention.linear_qkv.layer_norm_weight", f"{_HF}input_layernorm.weight", _hidden),
    Rule(
        f"{_LAYER}self_attention.linear_qkv.weight",
        tuple(f"{_HF}self_attn.{part}_proj.weight" for part in "qkv"),
        lambda made: (
            (made.query_rows, made.hidden),
            (made.group_rows, made.hidden),
            (made.group_rows, made.hidden),
        ),
        interleave,
        deinterleave,
    ),
    _plain(
        f"{_LAYER}self_attention.linear_proj.weight",
        f"{_HF}self_attn.o_proj.weight",
        lambda made: (made.hidden, made.query_rows),
    ),
    Rule(
        f"{_LAYER}mlp.linear_fc1.weight",
        (f"{_HF}mlp.gate_proj.weight", f"{_HF}mlp.up_proj.weight"),
        lambda made: ((made.feed_forward, made.hidden),) * 2,
        stack,
        halves,
        gated=True,
    ),
    _plain(
        f"{_LAYER}mlp.linear_fc2.weight",
        f"{_HF}mlp.down_proj.weight",
        lambda made: (made.hidden, made.feed_forward),
    ),
)
_LLAMA = (
    _plain(f"{_LAYER}mlp.linear_fc1.layer_norm_weight", f"{_HF}post_attention_layernorm.weight", _hidden),
)
# Both sides store the weight of these norms less one (layernorm_zero_centered_gamma), so nothing is added.
_GEMMA = (
    _plain(f"{_LAYER}mlp.linear_fc1.layer_norm_weight", f"{_HF}pre_feedforward_layernorm.weight", _hidden),
    _plain(
        f"{_LAYER}self_attention.linear_proj.post_layernorm.weight",
        f"{_HF}post_attention_layernorm.weight",
        _hidden,
    ),
    _plain(
        f"{_LAYER}mlp.linear_fc2.post_layernorm.weight", f"{_HF}post_feedforward_layernorm.weight", _hidden
    ),
)
_FINAL = _plain("decoder.final_layernorm.weight", "model.norm.weight", _hidden)
_OUTPUT = _plain("output_layer.weight", "lm_head.weight", _embedding, vocabulary=True)


def rules(made: Architecture) -> tuple[Rule, ...]:
    """The weights of a decoder, in the order in which they are written."""
    family = _GEMMA if made.family == "gemma2" else _LLAMA
    return (*_COMMON, *family, _FINAL, *(() if made.tied else (_OUTPUT,)))


def empty_states(made: Architecture) -> tuple[str, ...]:
    """Names of the modules of Transformer Engine that keep a state, which is empty without FP8."""
    modules = ["self_attention.linear_qkv", "self_attention.linear_proj", "mlp.linear_fc1", "mlp.linear_fc2"]
    if made.family == "gemma2":
        modules += ["self_attention.linear_proj.post_layernorm", "mlp.linear_fc2.post_layernorm"]
    else:
        modules += ["self_attention.core_attention"]
    return tuple(f"decoder.layers.{module}._extra_state" for module in modules)


def in_layer(name: str, layer: int) -> str:
    """A name with the number of a layer."""
    return name.replace("*", str(layer))
