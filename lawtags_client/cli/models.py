"""``lawtags models``: what can be trained, what is registered, and what is served."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lawtags_client.cli import checkpoints, model_files
from lawtags_client.cli.command import command
from lawtags_client.cli.session import Session

if TYPE_CHECKING:
    from lawtags_client.platform.catalog import PlatformCatalog

app = typer.Typer(
    help="Models: list what can be trained, registered and served; get, inspect and convert checkpoints.",
    no_args_is_help=True,
)
app.command("get")(model_files.get)
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

    On NeMo Helix, each model with weights can be trained, and there are no targets.

    To tag, use a served model: lawtags tag --model NAME.

    With --json, every line has a kind: config, target or model.
    """
    from lawtags_client.cli.empty_lists import explain_empty
    from lawtags_client.platform.catalog import read_catalog
    from lawtags_client.platform.choice import training_jobs

    async def work() -> PlatformCatalog:
        async with session.client() as nemo:
            found = await read_catalog(nemo, namespace)
            if found.missing is not None:
                session.report(found.missing)
            elif found.is_empty:
                async with training_jobs(nemo) as jobs:
                    session.report(
                        await explain_empty(
                            jobs.namespaces, "models, configs or targets", namespace=namespace
                        )
                    )
            return found

    listed = session.run(work())
    if session.json:
        session.emit({"kind": "config", **asdict(row)} for row in listed.configs)
        session.emit({"kind": "target", **asdict(row)} for row in listed.targets)
        session.emit({"kind": "model", **asdict(row)} for row in listed.models)
    elif not listed.is_empty:
        _print(session, listed)


def _print(session: Session, listed: PlatformCatalog) -> None:
    session.table(
        ("config", "base model", "methods", "max tokens"),
        [
            (row.name, row.base_model, ", ".join(row.methods), _shown(row.max_seq_length))
            for row in listed.configs
        ],
        title=f"To train: {listed.trained_by}",
    )
    if listed.targets:
        session.table(
            ("target", "base model", "parameters", "state"),
            [(row.name, row.base_model, _shown(row.parameters), row.status) for row in listed.targets],
            title="Targets: the base checkpoints of the configs",
        )
    session.table(
        ("model", "base model", "weights", "served"),
        [(row.name, row.base_model, row.weights, "yes" if row.served else "") for row in listed.models],
        title="To tag with a served model: lawtags tag --model NAME",
    )


def _shown(count: int | None) -> str | None:
    return None if count is None else f"{count:,}"
