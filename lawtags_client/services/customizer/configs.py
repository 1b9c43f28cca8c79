"""Choosing among the configs that a platform offers, or saying which there are."""

from __future__ import annotations

from collections.abc import Iterable

from lawtags_client.errors import ConfigurationError
from lawtags_client.types.customizer import CustomizationConfig


def full_name(config: CustomizationConfig) -> str:
    """The ``namespace/name@version`` of a config."""
    return f"{config.namespace or 'default'}/{config.name}"


def supports(config: CustomizationConfig, finetuning_type: str, training_type: str = "sft") -> bool:
    """Whether a config offers a way of training."""
    return any(
        option.finetuning_type == finetuning_type and option.training_type == training_type
        for option in config.training_options
    )


def choose(
    configs: Iterable[CustomizationConfig], wanted: str | None, finetuning_type: str
) -> CustomizationConfig:
    """The config that is meant.

    Args:
        configs: all that the platform offers.
        wanted: ``namespace/name@version``; or without the version; or None for the only one there is.
        finetuning_type: what it must offer.

    Raises:
        ConfigurationError: none fits, or several do; the hint lists what there is.
    """
    offered = sorted(configs, key=full_name)
    named = [config for config in offered if wanted is None or _is_meant(config, wanted)]
    fitting = [config for config in named if supports(config, finetuning_type)]
    if len(fitting) == 1:
        return fitting[0]
    if not offered:
        raise ConfigurationError(
            "the platform offers no customization config",
            hint="Ask an administrator to enable targets and configs.",
        )
    if len(fitting) > 1:
        raise ConfigurationError(
            f"several configs match{f' {wanted!r}' if wanted else ''}", hint=f"Use one of: {_list(fitting)}"
        )
    if named:
        raise ConfigurationError(
            f"{', '.join(map(full_name, named))} does not offer {finetuning_type}",
            hint=f"Available: {_list(offered)}",
        )
    raise ConfigurationError(f"there is no config {wanted!r}", hint=f"Available: {_list(offered)}")


def _is_meant(config: CustomizationConfig, wanted: str) -> bool:
    name = full_name(config)
    return name == wanted or ("@" not in wanted and name.partition("@")[0] == wanted)


def _list(configs: Iterable[CustomizationConfig]) -> str:
    return "; ".join(
        f"{full_name(config)} ({', '.join(sorted({o.finetuning_type for o in config.training_options}))})"
        for config in configs
    )
