"""LoRA adapters on top of one set of base weights, chosen per row within a batch.

Each linear layer has the base weight and the low-rank factors of all adapters. A batch groups its tokens by
adapter, so an adapter costs two small products on its own slice and nothing elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.products import packed, product
from lawtags_client.weights import tensors
from lawtags_stack.engines.generation.adapter_config import AdapterConfig, read_adapter_config

if TYPE_CHECKING:
    from torch import Tensor

    from lawtags_stack.engines.device import Compute

_KEY = re.compile(r"^(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>[AB])(?:\.[^.]+)?\.weight$")


class PackedHead(nn.Module):
    """The language-model head.

    Args:
        base: the layer that it replaces; a weight shared with the embedding is not moved.
        compute: device and precision of the product.
    """

    def __init__(self, base: nn.Linear, compute: Compute) -> None:
        super().__init__()
        self._product = packed(base.weight, base.bias, compute.precision, compute.device)

    def forward(self, hidden: Tensor) -> Tensor:
        """Compute the logits."""
        return self._product(hidden)


@dataclass(slots=True)
class Routing:
    """Maps each adapter to its slice of the current batch's tokens."""

    segments: list[tuple[str, int, int]] = field(default_factory=list)


class RoutedLinear(nn.Module):
    """A linear layer with the low-rank factors of any number of adapters.

    Args:
        base: the layer that it replaces.
        routing: shared by all layers of a model; set before each forward.
        compute: device and precision of the base product; the adapters' products are fp32.
    """

    def __init__(self, base: nn.Linear, routing: Routing, compute: Compute) -> None:
        super().__init__()
        self.in_features, self.out_features = base.in_features, base.out_features
        self._product = packed(base.weight, base.bias, compute.precision, compute.device)
        self._routing = routing
        self._device = compute.device
        self.factors: dict[str, tuple[Tensor, Tensor]] = {}

    def forward(self, hidden: Tensor) -> Tensor:
        """Compute the base product, and add each adapter's product on its slice of the tokens."""
        out = self._product(hidden)
        for name, start, end in self._routing.segments:
            pair = self.factors.get(name)
            if pair is not None:
                down, up = pair
                out[0, start:end].addmm_(product(hidden[0, start:end], down), up)
        return out

    def attach(self, name: str, down: Tensor, up: Tensor) -> None:
        """Add an adapter's factors."""
        self.factors[name] = down.to(self._device), up.to(self._device)


def route_linears(model: nn.Module, routing: Routing, compute: Compute) -> dict[str, RoutedLinear]:
    """Replace the decoder's linear layers with routed ones, and the head with a packed one.

    Args:
        model: a Hugging Face causal language model in fp32.
        routing: the routing that the layers share.
        compute: device and precision of their products.

    Returns:
        The decoder's layers by their full module names.
    """
    head = model.get_output_embeddings()  # type: ignore[operator]
    found = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    routed = {}
    # One layer at a time, so that at most one is in memory twice.
    while found:
        name, module = found.popitem()
        new: nn.Module = (
            PackedHead(module, compute) if module is head else RoutedLinear(module, routing, compute)
        )
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, new)
        if isinstance(new, RoutedLinear):
            routed[name] = new
        del module
    return routed


@dataclass(frozen=True, slots=True)
class Adapter:
    """The factors of one adapter by module name: (rank, in) and (rank, out); the second is scaled."""

    factors: dict[str, tuple[Tensor, Tensor]]


def load_adapter(config_path: Path, weights_path: Path, modules: Iterable[str]) -> Adapter:
    """Load an adapter in the PEFT format.

    Args:
        config_path: ``adapter_config.json``.
        weights_path: ``adapter_model.safetensors``.
        modules: names of the layers that support an adapter.

    Raises:
        ConfigurationError: it is not a LoRA adapter, uses an unsupported variant, or its config, weights and
            base model do not match.
        DataError: the file is corrupt.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = _read_config(config_path)
    tensors(weights_path)
    try:
        loaded = load_file(weights_path)
    except (SafetensorError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"cannot be loaded: {error}", path=weights_path, hint="Download it again.") from error
    sides: dict[str, dict[str, Tensor]] = {}
    for key, tensor in loaded.items():
        match = _KEY.match(key)
        if match is None:
            raise ConfigurationError(
                f"the adapter contains a weight that is not a LoRA factor: {key}",
                hint="Serve it as a merged model through a deployment.",
            )
        sides.setdefault(match["module"], {})[match["side"]] = tensor
    known, factors = set(modules), {}
    for module, pair in sides.items():
        if module not in known or set(pair) != {"A", "B"}:
            raise ConfigurationError(
                f"the adapter does not fit the base model at {module}",
                hint="Check that it was trained on this base model.",
            )
        factors[module] = _factors(module, pair["A"], pair["B"], config)
    config.check_targets(factors.keys(), known)
    return Adapter(factors)


def _factors(module: str, down: Tensor, up: Tensor, config: AdapterConfig) -> tuple[Tensor, Tensor]:
    if down.dim() != 2 or up.dim() != 2 or not down.shape[0] or down.shape[0] != up.shape[1]:
        shapes = f"{list(down.shape)} and {list(up.shape)}"
        raise ConfigurationError(f"the ranks of the adapter's weights at {module} differ: {shapes}")
    if down.is_complex() or up.is_complex():
        raise ConfigurationError(f"the adapter's weights at {module} are complex numbers")
    config.check_rank(module, rank=down.shape[0])
    scale = config.scale(module, rank=down.shape[0])
    pair = down.to(torch.float32).contiguous(), (up.to(torch.float32) * scale).T.contiguous()
    if not all(bool(factor.isfinite().all()) for factor in pair):
        raise ConfigurationError(
            f"the adapter's weights at {module} are not all finite numbers",
            hint="Its training may have diverged; train it with a lower learning rate.",
        )
    return pair


def _read_config(path: Path) -> AdapterConfig:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"the adapter's {path.name} cannot be read: {error}") from error
    return read_adapter_config(found)


def check_shapes(adapter: Adapter, layers: dict[str, RoutedLinear]) -> None:
    """Check that an adapter's factors have the shapes of the layers.

    Raises:
        ConfigurationError: a shape differs.
    """
    for module, (down, up) in adapter.factors.items():
        layer = layers[module]
        if down.shape[1] != layer.in_features or up.shape[1] != layer.out_features:
            raise ConfigurationError(
                f"the adapter's weights at {module} have the wrong shape for the base model",
                hint="Check that it was trained on this base model.",
            )


def attach(name: str, adapter: Adapter, layers: dict[str, RoutedLinear]) -> None:
    """Attach an adapter to the layers; its shapes must have been checked."""
    for module, pair in adapter.factors.items():
        layers[module].attach(name, *pair)


def detach(name: str, layers: dict[str, RoutedLinear]) -> None:
    """Remove an adapter from the layers; unknown names are ignored."""
    for layer in layers.values():
        layer.factors.pop(name, None)
