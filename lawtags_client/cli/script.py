"""Commands as scripts of their own, as in ``jobs/``."""

from __future__ import annotations

from collections.abc import Callable

import typer

from lawtags_client.cli.dry_run import with_dry_run


def run_script(function: Callable[..., None], description: str | None) -> None:
    """Run a command as a script of its own, with the same options and ``--dry-run``.

    Args:
        function: the command.
        description: what ``--help`` says, in place of the command's own words.
    """
    script(function, description)()


def script(function: Callable[..., None], description: str | None) -> typer.Typer:
    """The application of :func:`run_script`."""
    app = typer.Typer(
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command(help=description)(with_dry_run(function))
    return app
