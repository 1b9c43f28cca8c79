"""``lawtags migrate``: a recipe of NeMo Microservices v1 as one for NeMo Helix, with what changes and why."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.session import Session
from lawtags_client.errors import ConfigurationError


class Target(StrEnum):
    """Platforms that a recipe can move to."""

    HELIX = "helix"


@command
def migrate(
    session: Session,
    source: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE|RUN", help="Recipe file, name of a bundled recipe, or folder of a run."
        ),
    ],
    to: Annotated[Target, typer.Option("--to", help="The platform to move to.")] = Target.HELIX,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the migrated recipe; it must not exist yet.")
    ] = None,
) -> None:
    """Show what changes when a recipe moves to NeMo Helix, and why. Sends nothing.

    Example: lawtags migrate gemma-2-2b --to helix --out gemma-helix.yaml
    """
    import yaml

    from lawtags_client.files import atomic_write_text
    from lawtags_client.runs.facts import RunFacts
    from lawtags_client.runs.migration import changes_as_json, migrate_recipe
    from lawtags_client.runs.recipe import parse_recipe
    from lawtags_client.runs.recipe_loading import bundled, load_recipe
    from lawtags_client.terminal import escape_controls

    folder = Path(source)
    shown = escape_controls(source)
    is_run = folder.is_dir() and (source not in bundled() or (folder / "ledger.sqlite").exists())
    if is_run:
        recorded = RunFacts.of_folder(folder).recipe
        if recorded is None:
            raise ConfigurationError(
                f"{folder} is not the folder of a run", hint="Pass a recipe, or a folder below runs/."
            )
        recipe = parse_recipe(recorded, where=str(folder))
    else:
        recipe = load_recipe(source)
    found = migrate_recipe(recipe)
    text = yaml.safe_dump(found.document(), sort_keys=False, allow_unicode=True)
    if out is not None:
        if out.exists():
            raise ConfigurationError(f"{out} exists", hint="Choose another name for --out.")
        lines = [f"#   {change.key}: {change.reason}" for change in found.changes]
        heading = [f"# Migrated from {shown} for NeMo Helix. Changed:", *(lines or ["#   nothing"])]
        atomic_write_text(out, "\n".join([*heading, text]))
    if session.json:
        session.emit(
            {
                "changes": changes_as_json(found.changes),
                "notes": list(found.notes),
                "recipe": found.document(),
            }
        )
        return
    if found.changes:
        rows = [(c.key, _shown(c.before), _shown(c.after), c.reason) for c in found.changes]
        session.table(
            ("key", "before", "after", "why"),
            rows,
            title=f"{source}: what changes for NeMo {to.value.title()}",
        )
    else:
        session.say(f"{source} can run on NeMo Helix as it is.")
    for note in found.notes:
        session.say(f"- {note}")
    session.say(f"Wrote {out}" if out is not None else "Write the migrated recipe with --out FILE.")


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
