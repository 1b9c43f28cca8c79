"""Ways of fine-tuning, as a caller names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lawtags_client.errors import ConfigurationError
from lawtags_client.types.hyperparameters import LoraParameters


@dataclass(frozen=True, slots=True)
class LoRA:
    """Train a low-rank adapter; any NIM of the base model serves it.

    Args:
        adapter_dim: rank; a power of two, 8 to 64 in practice.
        alpha: scale of the update; the platform's default (16) if omitted.
        adapter_dropout: dropout on the adapter's input.
        target_modules: which layers; the platform's default if omitted.
    """

    adapter_dim: int = 16
    alpha: int | None = None
    adapter_dropout: float | None = None
    target_modules: Sequence[str] | None = None

    @property
    def finetuning_type(self) -> str:
        """Its name in the API."""
        return "lora"

    def parameters(self) -> LoraParameters | None:
        """Its hyperparameters that are set."""
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
    """Train an adapter and merge it into the base model; the result needs a deployment."""

    @property
    def finetuning_type(self) -> str:
        """Its name in the API."""
        return "lora_merged"


@dataclass(frozen=True, slots=True)
class AllWeights:
    """Train all weights; the result needs a deployment."""

    @property
    def finetuning_type(self) -> str:
        """Its name in the API."""
        return "all_weights"

    def parameters(self) -> LoraParameters | None:
        """It has none."""
        return None


Method = LoRA | LoRAMerged | AllWeights


def checked_method(method: Method | None) -> Method:
    """A way of fine-tuning; LoRA by default.

    Raises:
        ConfigurationError: it is something else, such as a name or a class.
    """
    given: object = LoRA() if method is None else method
    if isinstance(given, Method):
        return given
    shown = f"the class {given.__name__}" if isinstance(given, type) else f"a {type(given).__name__}"
    raise ConfigurationError(
        f"method must be a way of fine-tuning, not {shown}", hint="Pass LoRA(), LoRAMerged() or AllWeights()."
    )
