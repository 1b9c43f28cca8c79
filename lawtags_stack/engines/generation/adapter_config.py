"""Parses and validates ``adapter_config.json``, which is untrusted input."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from lawtags_client.errors import ConfigurationError
from lawtags_client.json_value import JsonObject, JsonValue

_UNSUPPORTED = ("use_dora", "modules_to_save", "lora_bias", "trainable_token_indices", "use_qalora")
_PATTERN_SECONDS = 2.0  # for all patterns and modules of an adapter; usually takes milliseconds
_MOST_MODULES = 10_000
_LAYER = re.compile(r"\.([0-9]{1,9})\.")
_OTHER_BASE = "Check that it was trained on this base model."
_DIFFERENT = "The config and the weights come from different adapters, or one was edited. Upload both again."


@dataclass(slots=True)
class _Patterns:
    """Matches untrusted patterns against module names, with one time limit for all of them."""

    left: float = _PATTERN_SECONDS

    def match(self, pattern: str, module: str, field: str) -> bool:
        import regex  # re has no timeout

        began = time.monotonic()
        try:
            return regex.match(rf"(?:{pattern})\Z", module, timeout=max(0.001, self.left)) is not None
        except TimeoutError:
            reason = f"takes more than {_PATTERN_SECONDS:g} s"
        except (regex.error, RecursionError, OverflowError) as error:
            reason = f"is not a regular expression: {error}"
        finally:
            self.left -= time.monotonic() - began
        raise ConfigurationError(f"the pattern {pattern[:200]!r} in {field} {reason}")

    def ends(self, pattern: str, module: str, field: str) -> bool:
        """Whether a pattern matches a module name, or its end after a dot."""
        return self.match(rf"(?:.*\.)?(?:{pattern})", module, field)


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """The settings of a LoRA adapter.

    Args:
        alpha: numerator of the scale.
        alphas: other numerators, by a pattern for the end of a module name.
        by_root: whether to divide the scale by the square root of the rank (rsLoRA).
        rank: rank of the weights; None if not stated.
        ranks: other ranks, by a pattern for the end of a module name.
        targets: modules with weights, as ends of their names or as a pattern for the whole name; None if not
            stated.
        excluded: modules without weights, although they are among the targets.
        layers: numbers of the layers with weights; None for all.
    """

    alpha: float
    alphas: Mapping[str, float]
    by_root: bool
    rank: int | None = None
    ranks: Mapping[str, int] = field(default_factory=dict)
    targets: str | tuple[str, ...] | None = None
    excluded: str | tuple[str, ...] = ()
    layers: frozenset[int] | None = None
    _patterns: _Patterns = field(default_factory=_Patterns, repr=False, compare=False)

    def scale(self, module: str, rank: int) -> float:
        """The scale of a module's weights.

        Raises:
            ConfigurationError: a pattern is invalid or takes too long.
        """
        fits = self._patterns.ends
        alpha = next(
            (alpha for each, alpha in self.alphas.items() if fits(each, module, "alpha_pattern")), None
        )
        return (self.alpha if alpha is None else alpha) / (math.sqrt(rank) if self.by_root else rank)

    def check_rank(self, module: str, rank: int) -> None:
        """Check the rank of a module's weights against the stated rank.

        Raises:
            ConfigurationError: they differ, or a pattern is invalid.
        """
        fits = self._patterns.ends
        special = (value for each, value in self.ranks.items() if fits(each, module, "rank_pattern"))
        stated = next(special, self.rank)
        if stated is not None and stated != rank:
            raise ConfigurationError(
                f"the adapter's config states rank {stated}, but its weights at {module} have rank {rank}",
                hint=_DIFFERENT,
            )

    def check_targets(self, found: Collection[str], known: Collection[str]) -> None:
        """Check the modules that have weights against the stated targets.

        Args:
            found: modules that have weights, a subset of ``known``.
            known: modules of the base model that support an adapter.

        Raises:
            ConfigurationError: they differ, or a pattern is invalid.
        """
        if self.targets is None:
            return
        stated = {module for module in known if self._is_target(module)}
        for target in () if isinstance(self.targets, str) else self.targets:
            if not any(_names(target, module) for module in known):
                raise ConfigurationError(
                    f"the adapter's config states the target module {target[:200]!r}, which the base model "
                    "does not have",
                    hint=_OTHER_BASE,
                )
        missing, extra = sorted(stated - set(found)), sorted(set(found) - stated)
        if missing or extra:
            told = (
                f"states the target module {missing[0]}, but there are no weights for it"
                if missing
                else f"does not state the target module {extra[0]}, but there are weights for it"
            )
            raise ConfigurationError(
                f"the adapter's config {told}",
                hint=_DIFFERENT,
            )

    def _is_target(self, module: str) -> bool:
        number = _LAYER.search(module)
        if self.layers is not None and (number is None or int(number[1]) not in self.layers):
            return False
        if self._is_among(self.excluded, module, "exclude_modules"):
            return False
        return self.targets == "all-linear" or self._is_among(self.targets or (), module, "target_modules")

    def _is_among(self, names: str | tuple[str, ...], module: str, field: str) -> bool:
        if isinstance(names, str):
            return self._patterns.match(names, module, field)
        return any(_names(each, module) for each in names)


def _names(target: str, module: str) -> bool:
    return module == target or module.endswith(f".{target}")


def read_adapter_config(found: JsonValue) -> AdapterConfig:
    """Parse the content of an ``adapter_config.json``.

    Raises:
        ConfigurationError: it does not describe a LoRA adapter that can be served together with others.
    """
    if not isinstance(found, dict):
        raise ConfigurationError(f"the adapter's config is a JSON {type(found).__name__}, not an object")
    _check_variant(found)
    alphas, ranks = (_table(found, name) for name in ("alpha_pattern", "rank_pattern"))
    return AdapterConfig(
        alpha=_number("lora_alpha", found.get("lora_alpha", 8)),
        alphas={pattern: _number("alpha_pattern", value) for pattern, value in alphas.items()},
        by_root=bool(found.get("use_rslora")),
        rank=None if found.get("r") is None else _count("r", found["r"], least=1),
        ranks={pattern: _count("rank_pattern", value, least=1) for pattern, value in ranks.items()},
        targets=_modules(found, "target_modules"),
        excluded=_modules(found, "exclude_modules") or (),
        layers=_layers(found),
    )


def _table(config: JsonObject, name: str) -> JsonObject:
    value = config.get(name) or {}
    if not isinstance(value, dict):
        raise ConfigurationError(f"{name} in the adapter's config is not an object")
    return value


def _modules(config: JsonObject, name: str) -> str | tuple[str, ...] | None:
    value = config.get(name)
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ConfigurationError(f"{name} in the adapter's config is neither a string nor a list of strings")
    if len(value) > _MOST_MODULES:
        raise ConfigurationError(f"{name} in the adapter's config has more than {_MOST_MODULES} entries")
    return tuple(value)


def _layers(config: JsonObject) -> frozenset[int] | None:
    value = config.get("layers_to_transform")
    if value is None:
        return None
    numbers = value if isinstance(value, list) else [value]
    return frozenset(_count("layers_to_transform", each, least=0) for each in numbers)


def _count(name: str, value: JsonValue, *, least: int) -> int:
    number = _number(name, value)
    if number != int(number) or number < least:
        raise ConfigurationError(
            f"{name} in the adapter's config is {number:g}, not an integer of at least {least}"
        )
    return int(number)


def _number(name: str, value: JsonValue) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise ConfigurationError(f"{name} in the adapter's config is {str(value)[:80]!r}, not a valid number")
    return float(value)


def _check_variant(config: JsonObject) -> None:
    if config.get("peft_type") != "LORA":
        raise ConfigurationError(
            f"adapters of type {str(config.get('peft_type'))[:80]!r} are not supported",
            hint="Use a LoRA adapter.",
        )
    used = [name for name in _UNSUPPORTED if config.get(name)]
    if config.get("bias", "none") != "none":
        used.append("bias")
    if used:
        raise ConfigurationError(
            f"the adapter uses {', '.join(used)}, which cannot be served together with other adapters",
            hint="Merge it into its base model and serve the result through a deployment.",
        )
