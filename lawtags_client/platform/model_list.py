"""What a platform has to train and to ask: configs, their targets, and models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lawtags_client.client import NeMo
from lawtags_client.types.customizer import CustomizationConfig, CustomizationTarget
from lawtags_client.types.entity_store import Model, ModelFilter


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """A training config.

    Attributes:
        name: ``namespace/name``.
        base_model: the model that it trains, if known.
        target: its target, ``namespace/name``.
        methods: training and fine-tuning types, such as ``sft lora``.
        max_seq_length: in tokens.
    """

    name: str
    base_model: str | None
    target: str | None
    methods: tuple[str, ...]
    max_seq_length: int | None


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A base checkpoint that configs train.

    Attributes:
        name: ``namespace/name``.
        base_model: the model it belongs to.
        parameters: how many it has.
        status: as the Customizer reports it.
    """

    name: str
    base_model: str | None
    parameters: int | None
    status: str


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model that is registered or served.

    Attributes:
        name: as requests for completions name it.
        model: the same.
        base_model: the model that it was trained from, if known.
        weights: the state of its files.
        served: whether the inference endpoint lists it.
    """

    name: str
    model: str
    base_model: str | None
    weights: str | None
    served: bool


async def list_trainable(nemo: NeMo, namespace: str | None) -> tuple[list[ConfigRow], list[TargetRow]]:
    """The Customizer's configs and targets.

    Args:
        nemo: an open client.
        namespace: only names in this one.

    Raises:
        LawtagsError: the Customizer does not respond.
    """
    configs = [config async for config in nemo.customizer.configs.list()]
    targets = [target async for target in nemo.customizer.targets.list()]
    bases = {_full_name(target): target.base_model for target in targets}
    config_rows = [_config_row(config, bases) for config in configs]
    target_rows = [_target_row(target) for target in targets]
    return (
        [row for row in config_rows if _is_in(namespace, row.name)],
        [row for row in target_rows if _is_in(namespace, row.name)],
    )


async def list_models(nemo: NeMo, namespace: str | None) -> list[ModelRow]:
    """The models of the Entity Store, newest first, and those that are served without being registered.

    Args:
        nemo: an open client.
        namespace: only names in this one.
    """
    wanted = ModelFilter()
    if namespace:
        wanted.namespace = namespace
    served = {model.id for model in await nemo.inference.models()}
    rows = [
        _model_row(f"{model.namespace}/{model.name}", model, served)
        async for model in nemo.entity_store.models.list(sort="-created_at", filter=wanted)
    ]
    unregistered = sorted(served - {row.name for row in rows})
    return rows + [_model_row(name, None, served) for name in unregistered if _is_in(namespace, name)]


def _is_in(namespace: str | None, name: str) -> bool:
    return namespace in (None, name.partition("/")[0])


def _full_name(entity: CustomizationConfig | CustomizationTarget) -> str:
    return f"{entity.namespace or 'default'}/{entity.name}"


def _config_row(config: CustomizationConfig, bases: dict[str, str | None]) -> ConfigRow:
    target = config.target
    reference = target if isinstance(target, str) or target is None else _full_name(target)
    base = bases.get(reference or "") if isinstance(target, str) or target is None else target.base_model
    return ConfigRow(
        name=_full_name(config),
        base_model=base,
        target=reference,
        methods=_distinct(
            f"{option.training_type} {option.finetuning_type}"
            for option in config.training_options
            if option.finetuning_type
        ),
        max_seq_length=config.max_seq_length,
    )


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _target_row(target: CustomizationTarget) -> TargetRow:
    return TargetRow(
        name=_full_name(target),
        base_model=target.base_model,
        parameters=target.num_parameters,
        status="not enabled" if target.enabled is False else target.status or "ready",
    )


def _model_row(name: str, model: Model | None, served: set[str]) -> ModelRow:
    base = model.base_model if model else None
    return ModelRow(
        name=name,
        model=name,
        base_model=base if isinstance(base, str) else None,
        weights=model.artifact.status if model and model.artifact else None,
        served=name in served,
    )
