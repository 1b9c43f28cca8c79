"""The command line: thin, one module per group of commands."""


def main() -> None:
    """Entry point of the ``lawtags`` command."""
    from lawtags_client.cli.app import app

    app(prog_name="lawtags")
