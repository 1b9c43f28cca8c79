"""What an ``adapter_config.json`` says, as far as serving needs it; nothing in it is trusted."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lawtags_client.errors import ConfigurationError

_UNSUPPORTED = ("use_dora", "modules_to_save", "lora_bias", "trainable_token_indices", "use_qalora")
_PATTERN_SECONDS = 2.0  # for all patterns and modules of an adapter; as a rule it takes milliseconds


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """How a LoRA adapter scales its weights.

    Args:
        alpha: the numerator of the scale.
        alphas: other numerators, by a pattern for the ends of modules' names.
        by_root: whether the scale has the root of the rank below.
        until: when matching patterns has to be over, by the monotonic clock.
    """

    alpha: float
    alphas: Mapping[str, float]
    by_root: bool
    until: float

    def scale(self, module: str, rank: int) -> float:
        """The scale of the weights at a module.

        Raises:
            ConfigurationError: a pattern is broken or takes too long.
        """
        alpha = next((value for each, value in self.alphas.items() if self._fits(each, module)), self.alpha)
        return alpha / (math.sqrt(rank) if self.by_root else rank)

    def _fits(self, pattern: str, module: str) -> bool:
        import regex  # re cannot be given a limit of time

        try:
            left = max(0.001, self.until - time.monotonic())
            return regex.match(rf"(?:.*\.)?(?:{pattern})$", module, timeout=left) is not None
        except TimeoutError:
            reason = f"takes more than {_PATTERN_SECONDS:g} s"
        except (regex.error, RecursionError, OverflowError) as error:
            reason = f"is not a regular expression: {error}"
        raise ConfigurationError(f"the pattern {pattern[:200]!r} in alpha_pattern {reason}")


def read_adapter_config(found: Any) -> AdapterConfig:
    """Read the content of an ``adapter_config.json``.

    Raises:
        ConfigurationError: it is not the config of a LoRA adapter that can be served beside others.
    """
    if not isinstance(found, dict):
        raise ConfigurationError(f"the adapter's config is a JSON {type(found).__name__}, not an object")
    _check_variant(found)
    patterns = found.get("alpha_pattern") or {}
    if not isinstance(patterns, dict):
        raise ConfigurationError("alpha_pattern in the adapter's config is not an object")
    return AdapterConfig(
        alpha=_number("lora_alpha", found.get("lora_alpha", 8)),
        alphas={pattern: _number("alpha_pattern", value) for pattern, value in patterns.items()},
        by_root=bool(found.get("use_rslora")),
        until=time.monotonic() + _PATTERN_SECONDS,
    )


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise ConfigurationError(
            f"{name} in the adapter's config is {str(value)[:80]!r}, not a usable number"
        )
    return float(value)


def _check_variant(config: Mapping[str, Any]) -> None:
    if config.get("peft_type") != "LORA":
        raise ConfigurationError(
            f"adapters of type {str(config.get('peft_type'))[:80]!r} are not served",
            hint="Only LoRA adapters are.",
        )
    used = [name for name in _UNSUPPORTED if config.get(name)]
    if config.get("bias", "none") != "none":
        used.append("bias")
    if used:
        raise ConfigurationError(
            f"the adapter uses {', '.join(used)}, which cannot be served beside other adapters",
            hint="Merge it into its base model and serve the result through a deployment.",
        )
