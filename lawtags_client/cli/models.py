"""``lawtags models``: models that are registered, and models that answer."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lawtags_client.cli.session import Json, NoInput, Profile, Session, Verbose, command

app = typer.Typer(help="Models: registered in the Entity Store, and served.", no_args_is_help=True)


@app.command("ls")
@command
def ls(
    namespace: Annotated[
        str | None, typer.Option("--namespace", help="Only models of this namespace.")
    ] = None,
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """List models, and which of them answer now. Example: lawtags models ls --namespace law"""
    from lawtags_client.types.entity_store import ModelFilter

    session = Session(as_json, profile, verbose, no_input)

    async def work() -> list[dict[str, Any]]:
        wanted = ModelFilter()
        if namespace:
            wanted.namespace = namespace
        async with session.client() as nemo:
            served = {model.id for model in await nemo.inference.models()}
            rows = []
            async for model in nemo.entity_store.models.list(sort="-created_at", filter=wanted):
                name = f"{model.namespace}/{model.name}"
                rows.append(
                    {
                        "model": name,
                        "base_model": model.base_model if isinstance(model.base_model, str) else None,
                        "weights": model.artifact.status if model.artifact else None,
                        "served": name in served,
                    }
                )
        known = {row["model"] for row in rows}
        bare = [
            {"model": name, "base_model": None, "weights": None, "served": True}
            for name in sorted(served - known)
        ]
        return rows + (bare if namespace is None else [])

    rows = session.run(work())
    if as_json:
        session.emit(rows)
        return
    session.table(
        ("model", "base model", "weights", "served"),
        [(row["model"], row["base_model"], row["weights"], "yes" if row["served"] else "") for row in rows],
    )
