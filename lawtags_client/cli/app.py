"""The root of the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from lawtags_client.cli import (
    copying,
    curate,
    demo,
    doctor,
    encoders,
    jobs,
    labels,
    local,
    migrate,
    models,
    plan,
    recipes,
    run,
    runs,
    steps,
    sweep,
    tag,
    trace,
)
from lawtags_client.version import __version__

app = typer.Typer(
    name="lawtags",
    help="Curate legal questions, fine-tune, evaluate and serve a tagger on NVIDIA NeMo microservices.\n\n"
    "Start with: lawtags demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lawtags {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of lawtags itself."""


_WHOLE, _STEPS, _LOOK = "Pipeline", "Individual steps", "Inspect and manage"
app.command(rich_help_panel=_WHOLE)(demo.demo)
app.command(rich_help_panel=_WHOLE)(run.run)
app.command(rich_help_panel=_WHOLE)(plan.plan)
app.command(rich_help_panel=_WHOLE)(sweep.sweep)
app.add_typer(recipes.app, name="recipe", rich_help_panel=_WHOLE)
app.command("curate", rich_help_panel=_STEPS)(curate.curate)
app.command(rich_help_panel=_STEPS)(steps.upload)
app.command(rich_help_panel=_STEPS)(steps.customize)
app.command(rich_help_panel=_STEPS)(steps.deploy)
app.command(rich_help_panel=_STEPS)(steps.evaluate)
app.command("tag", rich_help_panel=_STEPS)(tag.tag)
app.command(rich_help_panel=_STEPS)(migrate.migrate)
app.command("copy", rich_help_panel=_LOOK)(copying.copy)
app.command("report", rich_help_panel=_LOOK)(runs.report)
app.add_typer(runs.app, name="runs", rich_help_panel=_LOOK)
app.command("trace", rich_help_panel=_LOOK)(trace.trace)
app.add_typer(labels.app, name="labels", rich_help_panel=_LOOK)
app.add_typer(jobs.app, name="jobs", rich_help_panel=_LOOK)
app.add_typer(models.app, name="models", rich_help_panel=_LOOK)
app.add_typer(encoders.app, name="encoders", rich_help_panel=_LOOK)
app.command("doctor", rich_help_panel=_LOOK)(doctor.doctor)
app.add_typer(local.app, name="local", rich_help_panel=_LOOK)
