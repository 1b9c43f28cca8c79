"""Ways of fine-tuning, as a caller names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lawtags_client.types.hyperparameters import LoraParameters


@dataclass(frozen=True, slots=True)
class LoRA:
    """Low-rank adapters beside the frozen base; served by any NIM of that base.

    Args:
        adapter_dim: rank; a power of two, 8 to 64 in practice.
        alpha: scale of the update; the platform's own value (16) where left out.
        adapter_dropout: dropout on the adapter's input.
        target_modules: which layers; the platform's own choice where left out.
    """

    adapter_dim: int = 16
    alpha: int | None = None
    adapter_dropout: float | None = None
    target_modules: Sequence[str] | None = None

    @property
    def finetuning_type(self) -> str:
        """What the wire calls it."""
        return "lora"

    def parameters(self) -> LoraParameters | None:
        """Its part of the hyperparameters: only what is set."""
        found = LoraParameters(adapter_dim=self.adapter_dim)
        if self.alpha is not None:
            found.alpha = self.alpha
        if self.adapter_dropout is not None:
            found.adapter_dropout = self.adapter_dropout
        if self.target_modules is not None:
            found.target_modules = list(self.target_modules)
        return found


@dataclass(frozen=True, slots=True)
class LoRAMerged(LoRA):
    """Adapters that are merged into the base at the end; the result needs a deployment of its own."""

    @property
    def finetuning_type(self) -> str:
        """What the wire calls it."""
        return "lora_merged"


@dataclass(frozen=True, slots=True)
class AllWeights:
    """Every weight is trained; the result needs a deployment of its own."""

    @property
    def finetuning_type(self) -> str:
        """What the wire calls it."""
        return "all_weights"

    def parameters(self) -> LoraParameters | None:
        """It has none of its own."""
        return None


Method = LoRA | LoRAMerged | AllWeights
