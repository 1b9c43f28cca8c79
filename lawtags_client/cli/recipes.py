"""``lawtags recipe``: recipes to begin with, to check, and to complete in an editor."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.options import Set
from lawtags_client.cli.session import Session
from lawtags_client.errors import ConfigurationError

app = typer.Typer(help="Recipes: start one, check it, complete it in an editor.", no_args_is_help=True)


@app.command("ls")
@command
def ls(session: Session) -> None:
    """List the recipes that come with lawtags. Example: lawtags recipe ls"""
    from lawtags_client.runs.recipe_loading import bundled, load_recipe

    recipes = [load_recipe(name) for name in bundled()]
    if session.json:
        session.emit(
            {"name": each.name, "config": each.model.config, "description": each.description}
            for each in recipes
        )
        return
    session.table(
        ("recipe", "config", "description"),
        [(each.name, each.model.config, each.description) for each in recipes],
    )


@app.command("new")
@command
def new(
    session: Session,
    file: Annotated[Path, typer.Argument(help="The new file; it must not exist yet.")],
    template: Annotated[
        str, typer.Option("--from", help="Recipe to copy, with its comments.")
    ] = "gemma-2-2b",
) -> None:
    """Write a recipe to begin with, and beside it its JSON schema, with which editors check keys.

    Example: lawtags recipe new contracts.yaml --from smollm2-demo
    """
    from lawtags_client.runs.recipe_files import write_recipe

    written = write_recipe(file, template)
    if session.json:
        session.emit({"files": [str(path) for path in written]})
        return
    # A name that begins with a dash would be an option.
    named = file if not str(file).startswith("-") else f"./{file}"
    session.say(
        f"Wrote {written[0]}, and {written[1].name} for editors. "
        f"Next: lawtags recipe check {shlex.quote(str(named))}"
    )


@app.command("check")
@command
def check(
    session: Session,
    recipes: Annotated[list[str], typer.Argument(help="Recipe files, or names of bundled recipes.")],
    settings: Set = None,
) -> None:
    """Check recipes without running them: every wrong key and value, with file and line.

    Example: lawtags recipe check contracts.yaml --set training.epochs=3
    """
    from lawtags_client.cli.overrides import parse_settings
    from lawtags_client.runs.recipe_files import check_recipe

    overrides = parse_settings(settings or [])
    found = [check_recipe(source, overrides) for source in recipes]
    if session.json:
        session.emit(each.as_json() for each in found)
    for each in found if not session.json else ():
        for fault in each.faults:
            session.report(fault)
        if each.hint:
            session.report(each.hint)
        if not each.faults:
            session.say(f"{each.source}: valid")
    if any(each.faults for each in found):
        raise typer.Exit(ConfigurationError.exit_code)


@app.command("schema")
@command
def schema(session: Session) -> None:
    """Print the JSON schema of recipes. Example: lawtags recipe schema > lawtags-recipe.schema.json"""
    from lawtags_client.runs.recipe_schema import recipe_schema

    found = recipe_schema()
    if session.json:
        session.emit(found)
    else:
        session.say(json.dumps(found, indent=2))
