"""``lawtags models``: what can be trained, what is registered, and what answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lawtags_client.cli.session import Json, NoInput, Profile, Session, Verbose, command
from lawtags_client.errors import NotFoundError, TransportError

if TYPE_CHECKING:
    from lawtags_client.client import NeMo
    from lawtags_client.types.customizer import CustomizationConfig, CustomizationTarget
    from lawtags_client.types.entity_store import Model

app = typer.Typer(
    help="Models: list what can be trained, what is registered, and what is served.", no_args_is_help=True
)

Row = dict[str, Any]


@app.command("ls")
@command
def ls(
    namespace: Annotated[
        str | None, typer.Option("--namespace", help="Only names in this namespace.")
    ] = None,
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """List training configs, their targets, and models. Example: lawtags models ls --namespace law

    To train, use a config: lawtags customize --config NAME, or model.config in a recipe.

    A target is the base checkpoint that a config trains.

    To tag, use a served model: lawtags tag --model NAME.

    With --json, every line has a kind: config, target or model.
    """
    session = Session(as_json, profile, verbose, no_input)

    async def work() -> list[Row]:
        async with session.client() as nemo:
            models = await _models(nemo, namespace)
            return [*await _trainable(session, nemo, namespace), *models]

    rows = session.run(work())
    if as_json:
        session.emit(rows)
        return
    session.table(
        ("config", "base model", "methods", "max tokens"),
        [
            (row["name"], row["base_model"], ", ".join(row["methods"]), _shown(row["max_seq_length"]))
            for row in _of("config", rows)
        ],
        title="To train: lawtags customize --config NAME, or model.config in a recipe",
    )
    session.table(
        ("target", "base model", "parameters", "state"),
        [
            (row["name"], row["base_model"], _shown(row["parameters"]), row["status"])
            for row in _of("target", rows)
        ],
        title="Targets: the base checkpoints of the configs",
    )
    session.table(
        ("model", "base model", "weights", "served"),
        [
            (row["name"], row["base_model"], row["weights"], "yes" if row["served"] else "")
            for row in _of("model", rows)
        ],
        title="To tag with a served model: lawtags tag --model NAME",
    )


def _of(kind: str, rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["kind"] == kind]


def _shown(count: int | None) -> str | None:
    return None if count is None else f"{count:,}"


async def _trainable(session: Session, nemo: NeMo, namespace: str | None) -> list[Row]:
    """The Customizer's configs and targets; where there is no Customizer, a line that says so."""
    try:
        configs = [config async for config in nemo.customizer.configs.list()]
        targets = [target async for target in nemo.customizer.targets.list()]
    except (NotFoundError, TransportError) as problem:
        session.report(f"No configs and targets, because the Customizer does not respond: {problem.message}")
        return []
    bases = {_full_name(target): target.base_model for target in targets}
    rows = [_config_row(config, bases) for config in configs]
    rows += [_target_row(target) for target in targets]
    return [row for row in rows if namespace in (None, row["name"].partition("/")[0])]


def _full_name(entity: CustomizationConfig | CustomizationTarget) -> str:
    return f"{entity.namespace or 'default'}/{entity.name}"


def _config_row(config: CustomizationConfig, bases: dict[str, str | None]) -> Row:
    target = config.target
    reference = target if isinstance(target, str) or target is None else _full_name(target)
    base = bases.get(reference or "") if isinstance(target, str) or target is None else target.base_model
    ways = {
        f"{option.training_type} {option.finetuning_type}": None
        for option in config.training_options
        if option.finetuning_type
    }
    return {
        "kind": "config",
        "name": _full_name(config),
        "base_model": base,
        "target": reference,
        "methods": [*ways],
        "max_seq_length": config.max_seq_length,
    }


def _target_row(target: CustomizationTarget) -> Row:
    state = target.status or "ready"
    return {
        "kind": "target",
        "name": _full_name(target),
        "base_model": target.base_model,
        "parameters": target.num_parameters,
        "status": "not enabled" if target.enabled is False else state,
    }


async def _models(nemo: NeMo, namespace: str | None) -> list[Row]:
    from lawtags_client.types.entity_store import ModelFilter

    wanted = ModelFilter()
    if namespace:
        wanted.namespace = namespace
    served = {model.id for model in await nemo.inference.models()}
    rows = []
    async for model in nemo.entity_store.models.list(sort="-created_at", filter=wanted):
        rows.append(_model_row(f"{model.namespace}/{model.name}", model, served))
    known = {row["name"] for row in rows}
    bare = [_model_row(name, None, served) for name in sorted(served - known)]
    return rows + [row for row in bare if namespace in (None, row["name"].partition("/")[0])]


def _model_row(name: str, model: Model | None, served: set[str]) -> Row:
    base = model.base_model if model else None
    return {
        "kind": "model",
        "name": name,
        "model": name,
        "base_model": base if isinstance(base, str) else None,
        "weights": model.artifact.status if model and model.artifact else None,
        "served": name in served,
    }
