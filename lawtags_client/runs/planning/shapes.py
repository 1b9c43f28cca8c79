"""The shapes of base models, from which memory and arithmetic follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from lawtags_client.errors import DataError, LawtagsError
from lawtags_client.model_config import read_model_config
from lawtags_client.runs.tokens import token_counter

__all__ = [
    "KNOWN",
    "ModelShape",
    "find_shape",
    "read_shape",
]

_FUSED: Mapping[str, tuple[str, ...]] = {
    "linear_qkv": ("q_proj", "k_proj", "v_proj"),
    "linear_proj": ("o_proj",),
    "linear_fc1": ("gate_proj", "up_proj"),
    "linear_fc2": ("down_proj",),
}


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The dimensions of a causal language model like Llama or Gemma.

    Args:
        layers: how many there are.
        hidden: width of the residual stream.
        heads: of attention.
        kv_heads: keys and values; fewer than heads if queries share them.
        head_dim: width of a head.
        ffn: width of the feed-forward layers.
        vocabulary: tokens.
        tied: whether input and output embeddings are the same weights.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int
    tied: bool = True

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of the linear modules of a layer."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q_proj": (self.hidden, query),
            "k_proj": (self.hidden, key),
            "v_proj": (self.hidden, key),
            "o_proj": (query, self.hidden),
            "gate_proj": (self.hidden, self.ffn),
            "up_proj": (self.hidden, self.ffn),
            "down_proj": (self.ffn, self.hidden),
        }

    @property
    def embeddings(self) -> int:
        """Weights of input and output embeddings."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All weights, up to the few of the norms."""
        matrices = sum(inputs * outputs for inputs, outputs in self.matrices.values())
        return self.layers * matrices + self.embeddings

    def adapter_parameters(
        self, rank: int, targets: Sequence[str] | None = None, *, fused: bool = False
    ) -> int:
        """Weights of an adapter.

        Args:
            rank: of the adapter.
            fused: whether modules with the same input share one, as in NeMo, where q, k and v are a module.
            targets: the modules that get one, as in a recipe; None for all.
        """
        chosen = self.matrices if targets is None else _chosen(self.matrices, targets)
        if not fused:
            return self.layers * sum(rank * (inputs + outputs) for inputs, outputs in chosen.values())
        modules = [[chosen[name] for name in names if name in chosen] for names in _FUSED.values()]
        return self.layers * sum(
            rank * (parts[0][0] + sum(outputs for _, outputs in parts)) for parts in modules if parts
        )


KNOWN: Mapping[str, ModelShape] = {
    "gemma-2-2b": ModelShape(26, 2304, 8, 4, 256, 9216, 256_000),
    "gemma-2-2b-it": ModelShape(26, 2304, 8, 4, 256, 9216, 256_000),
    "smollm2-135m": ModelShape(30, 576, 9, 3, 64, 1536, 49_152),
    "smollm2-135m-instruct": ModelShape(30, 576, 9, 3, 64, 1536, 49_152),
    "llama-3.2-1b": ModelShape(16, 2048, 32, 8, 64, 8192, 128_256),
    "llama-3.2-1b-instruct": ModelShape(16, 2048, 32, 8, 64, 8192, 128_256),
    "llama-3.1-8b": ModelShape(32, 4096, 32, 8, 128, 14_336, 128_256, tied=False),
    "llama-3.1-8b-instruct": ModelShape(32, 4096, 32, 8, 128, 14_336, 128_256, tied=False),
}
"""Published shapes, by the name of the model without its namespace."""


def find_shape(base_model: str, tokenizer: str | None) -> ModelShape | None:
    """The shape of a base model: from the ``config.json`` beside its tokenizer, or a known one.

    Args:
        base_model: its name on the platform.
        tokenizer: as in the recipe.
    """
    folder = _folder(tokenizer)
    found = read_shape(folder / "config.json") if folder is not None else None
    return found or KNOWN.get(base_model.rpartition("/")[2].partition("@")[0].lower())


def read_shape(path: Path) -> ModelShape | None:
    """The shape in a model's ``config.json``; None if there is none that can be read."""
    try:
        content = read_model_config(path)
    except DataError:
        return None
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")
    numbers = []
    for name in names:
        number = content.get(name)
        if isinstance(number, int) and 0 < number < 1 << 32:
            numbers.append(number)
    if len(numbers) < len(names):
        return None
    layers, hidden, heads, ffn, vocabulary = numbers
    kv_heads, head_dim = content.get("num_key_value_heads"), content.get("head_dim")
    tied = content.get("tie_word_embeddings")
    return ModelShape(
        layers,
        hidden,
        heads,
        kv_heads if isinstance(kv_heads, int) else heads,
        head_dim if isinstance(head_dim, int) else hidden // heads,
        ffn,
        vocabulary,
        tied if isinstance(tied, bool) else content.get("model_type") in ("gemma", "gemma2", "gemma3"),
    )


def _folder(tokenizer: str | None) -> Path | None:
    try:
        path = token_counter(tokenizer).path
    except LawtagsError:
        return None
    return path.parent if path is not None else None


def _chosen(matrices: Mapping[str, tuple[int, int]], targets: Sequence[str]) -> dict[str, tuple[int, int]]:
    names = [target.rpartition(".")[2] for target in targets]
    patterns = [pattern for name in names for pattern in _FUSED.get(name, (name,))]
    return {name: shape for name, shape in matrices.items() if any(fnmatchcase(name, p) for p in patterns)}
