"""Selects the modules for the adapter: maps NeMo's names and wildcards to those of Hugging Face."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from lawtags_client.errors import ConfigurationError

# NeMo fuses modules that are separate in Hugging Face.
NEMO_MODULES = {
    "linear_qkv": ("q_proj", "k_proj", "v_proj"),
    "linear_proj": ("o_proj",),
    "linear_fc1": ("gate_proj", "up_proj"),
    "linear_fc2": ("down_proj",),
}


def adapter_modules(model: Any, wanted: Iterable[str] | None, excluded: Iterable[str] = ()) -> list[str]:
    """Names of the linear layers that get an adapter.

    Args:
        model: a Hugging Face causal language model.
        wanted: names or wildcards, e.g. ``linear_qkv``, ``*_proj`` or ``*.layers.0.*.linear_qkv``; None for
            all linear layers except the head.
        excluded: names or wildcards of those that get none.

    Raises:
        ConfigurationError: a name matches no module of the model, or no module is left.
    """
    names = linear_layers(model)
    without = {name for name in names for pattern in excluded if _fits(name, pattern)}
    if wanted is None:
        return _leaves(names, _left(names, without))
    chosen: set[str] = set()
    for pattern in wanted:
        found = {name for name in names for way in _spellings(pattern) if _fits(name, way)}
        if not found:
            raise ConfigurationError(
                f"target_modules: {pattern!r} matches no module of the base model",
                hint=f"Available: {', '.join(sorted({name.rsplit('.', 1)[-1] for name in names}))}",
            )
        chosen |= found
    return _leaves(names, _left(sorted(chosen, key=names.index), without))


def linear_layers(model: Any) -> list[str]:
    """The full names of all linear layers of a model except its head."""
    import torch

    head = model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    ]


def _left(names: list[str], without: set[str]) -> list[str]:
    found = [name for name in names if name not in without]
    if not found:
        raise ConfigurationError("exclude_modules excludes every module that would get an adapter")
    return found


def _spellings(pattern: str) -> list[str]:
    before, dot, last = pattern.rpartition(".")
    fused = [parts for name, parts in NEMO_MODULES.items() if fnmatchcase(name, last)]
    return [pattern, *(f"{before}{dot}{name}" for parts in fused for name in parts)]


def _fits(name: str, pattern: str) -> bool:
    last = name.rsplit(".", 1)[-1]
    return fnmatchcase(name, pattern) or fnmatchcase(last, pattern)


def _leaves(names: list[str], chosen: list[str]) -> list[str]:
    # If a name is selected in every layer, use its short form, which keeps the adapter's config small.
    leaves = {name.rsplit(".", 1)[-1] for name in chosen}
    taken = set(chosen)
    if all(name in taken for name in names if name.rsplit(".", 1)[-1] in leaves):
        return sorted(leaves)
    return chosen
