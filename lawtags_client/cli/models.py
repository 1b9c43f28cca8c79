"""``lawtags models``: what can be trained, what is registered, and what is served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lawtags_client.cli import checkpoints
from lawtags_client.cli.command import command
from lawtags_client.cli.session import Session
from lawtags_client.errors import NotFoundError, TransportError

if TYPE_CHECKING:
    from lawtags_client.platform.model_list import ConfigRow, ModelRow, TargetRow

    Listed = tuple[Sequence[ConfigRow], Sequence[TargetRow], Sequence[ModelRow]]

app = typer.Typer(
    help="Models: list what can be trained, registered and served; inspect and convert checkpoints.",
    no_args_is_help=True,
)
checkpoints.register(app)


@app.command("ls")
@command
def ls(
    session: Session,
    namespace: Annotated[
        str | None, typer.Option("--namespace", help="Only names in this namespace.")
    ] = None,
) -> None:
    """List training configs, their targets, and models. Example: lawtags models ls --namespace law

    To train, use a config: lawtags customize --config NAME, or model.config in a recipe.

    A target is the base checkpoint that a config trains.

    To tag, use a served model: lawtags tag --model NAME.

    With --json, every line has a kind: config, target or model.
    """
    from lawtags_client.cli.empty_lists import explain_empty
    from lawtags_client.platform.model_list import list_models, list_trainable

    async def work() -> Listed:
        async with session.client() as nemo:
            models = await list_models(nemo, namespace)
            try:
                configs, targets = await list_trainable(nemo, namespace)
            except (NotFoundError, TransportError) as problem:
                session.report(f"Configs and targets are missing: {problem.message}")
                return (), (), models
            if not (configs or targets or models):
                session.report(await explain_empty(nemo, "models, configs or targets", namespace=namespace))
            return configs, targets, models

    listed = session.run(work())
    if session.json:
        configs, targets, models = listed
        session.emit({"kind": "config", **asdict(row)} for row in configs)
        session.emit({"kind": "target", **asdict(row)} for row in targets)
        session.emit({"kind": "model", **asdict(row)} for row in models)
    elif any(listed):
        _print(session, listed)


def _print(session: Session, listed: Listed) -> None:
    configs, targets, models = listed
    session.table(
        ("config", "base model", "methods", "max tokens"),
        [(row.name, row.base_model, ", ".join(row.methods), _shown(row.max_seq_length)) for row in configs],
        title="To train: lawtags customize --config NAME, or model.config in a recipe",
    )
    session.table(
        ("target", "base model", "parameters", "state"),
        [(row.name, row.base_model, _shown(row.parameters), row.status) for row in targets],
        title="Targets: the base checkpoints of the configs",
    )
    session.table(
        ("model", "base model", "weights", "served"),
        [(row.name, row.base_model, row.weights, "yes" if row.served else "") for row in models],
        title="To tag with a served model: lawtags tag --model NAME",
    )


def _shown(count: int | None) -> str | None:
    return None if count is None else f"{count:,}"
