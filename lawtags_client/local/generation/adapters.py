"""LoRA adapters beside one set of base weights, chosen row by row within a batch.

Each linear layer keeps the base weight and the low-rank factors of all adapters. In a batch the tokens of one
adapter stand together, so that an adapter costs two small products on its own slice and nothing elsewhere.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lawtags_client.errors import ConfigurationError
from lawtags_client.weights import tensors

if TYPE_CHECKING:
    from torch import Tensor

_KEY = re.compile(r"^(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>[AB])(?:\.[^.]+)?\.weight$")
_UNSUPPORTED = ("use_dora", "modules_to_save", "lora_bias", "trainable_token_indices", "use_qalora")


@dataclass(slots=True)
class Routing:
    """Which slice of the current batch's tokens belongs to which adapter."""

    segments: list[tuple[str, int, int]] = field(default_factory=list)


class RoutedLinear(nn.Module):
    """A linear layer with any number of low-rank additions.

    Args:
        base: the layer whose weights it takes over.
        routing: shared by all layers of a model; set before each forward.
    """

    def __init__(self, base: nn.Linear, routing: Routing) -> None:
        super().__init__()
        self.weight = base.weight
        self.bias = base.bias
        self.in_features, self.out_features = base.in_features, base.out_features
        self._routing = routing
        self.factors: dict[str, tuple[Tensor, Tensor]] = {}

    def forward(self, hidden: Tensor) -> Tensor:
        """Base product, plus each adapter's addition on its slice of the tokens."""
        out = nn.functional.linear(hidden, self.weight, self.bias)
        for name, start, end in self._routing.segments:
            pair = self.factors.get(name)
            if pair is not None:
                down, up = pair
                rows, result = hidden[0, start:end], out[0, start:end]
                result.addmm_(rows @ down, up)
        return out


def route_linears(model: nn.Module, routing: Routing) -> dict[str, RoutedLinear]:
    """Replace the linear layers inside the model's decoder by routed ones.

    Args:
        model: a Hugging Face causal language model; its output head is left alone.
        routing: the routing that the layers share.

    Returns:
        The layers by their full module name.
    """
    head = model.get_output_embeddings()  # type: ignore[operator]
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    }
    routed = {}
    for name, module in found.items():
        parent, _, leaf = name.rpartition(".")
        routed[name] = RoutedLinear(module, routing)
        setattr(model.get_submodule(parent), leaf, routed[name])
    return routed


@dataclass(frozen=True, slots=True)
class Adapter:
    """The factors of one adapter, by module name: (in, rank) and (rank, out), the scale in the second."""

    factors: dict[str, tuple[Tensor, Tensor]]


def load_adapter(config_path: Path, weights_path: Path, modules: Iterable[str]) -> Adapter:
    """Read an adapter in the PEFT format.

    Args:
        config_path: ``adapter_config.json``.
        weights_path: ``adapter_model.safetensors``.
        modules: names of the layers that can carry an adapter.

    Raises:
        ConfigurationError: it is no LoRA, uses a variant that is not served, or does not fit the model.
        DataError: its file is broken.
    """
    from safetensors.torch import load_file

    config = json.loads(config_path.read_text("utf-8"))
    _check_variant(config)
    tensors(weights_path)
    sides: dict[str, dict[str, Tensor]] = {}
    for key, tensor in load_file(weights_path).items():
        match = _KEY.match(key)
        if match is None:
            raise ConfigurationError(
                f"the adapter holds a weight that is no LoRA factor: {key}",
                hint="Serve it as a merged model through a deployment.",
            )
        sides.setdefault(match["module"], {})[match["side"]] = tensor.to(torch.float32)
    known = set(modules)
    factors = {}
    for module, pair in sides.items():
        if module not in known or set(pair) != {"A", "B"}:
            raise ConfigurationError(
                f"the adapter does not fit the base model at {module}",
                hint="Was it trained on another base model?",
            )
        scale = _scale(config, module, rank=pair["A"].shape[0])
        factors[module] = (pair["A"].T.contiguous(), (pair["B"] * scale).T.contiguous())
    return Adapter(factors)


def _check_variant(config: dict[str, Any]) -> None:
    if config.get("peft_type") != "LORA":
        raise ConfigurationError(
            f"adapters of type {config.get('peft_type')!r} are not served", hint="Only LoRA adapters are."
        )
    used = [name for name in _UNSUPPORTED if config.get(name)]
    if config.get("bias", "none") != "none":
        used.append("bias")
    if used:
        raise ConfigurationError(
            f"the adapter uses {', '.join(used)}, which is not served next to other adapters",
            hint="Merge it into its base model and serve the result through a deployment.",
        )


def _scale(config: dict[str, Any], module: str, rank: int) -> float:
    alpha = float(_by_pattern(config.get("alpha_pattern"), module, config.get("lora_alpha", 8)))
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _by_pattern(patterns: dict[str, Any] | None, module: str, default: Any) -> Any:
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(?:.*\.)?{pattern}$", module):
            return value
    return default


def attach(name: str, adapter: Adapter, layers: dict[str, RoutedLinear]) -> None:
    """Hang an adapter's factors into the layers under a name.

    Raises:
        ConfigurationError: a factor's shape is not the layer's.
    """
    for module, (down, up) in adapter.factors.items():
        layer = layers[module]
        if down.shape[0] != layer.in_features or up.shape[1] != layer.out_features:
            raise ConfigurationError(
                f"the adapter's weights at {module} have the wrong shape",
                hint="Was it trained on another base model?",
            )
    for module, (down, up) in adapter.factors.items():
        dtype = layers[module].weight.dtype
        layers[module].factors[name] = (down.to(dtype), up.to(dtype))


def detach(name: str, layers: dict[str, RoutedLinear]) -> None:
    """Forget the factors of an adapter; unknown names are ignored."""
    for layer in layers.values():
        layer.factors.pop(name, None)
