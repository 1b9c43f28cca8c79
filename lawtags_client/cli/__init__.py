"""The command line: thin, one module per group of commands."""


def main() -> None:
    """Entry point of the ``lawtags`` command."""
    import os
    import sys

    _open_closed_streams()
    # Read when torch's OpenMP is loaded. Threads that busy-wait for each other double the CPU time of a
    # training on cores that others use, too, such as the embedded stack's.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from lawtags_client.cli.app import app

    if "--json" not in sys.argv:
        app(prog_name="lawtags")
        return
    from lawtags_client.cli.command import explain
    from lawtags_client.errors import ConfigurationError

    try:
        code = app(prog_name="lawtags", standalone_mode=False)
    except Exception as problem:
        # Typer and click have a class of usage errors each; both know how to put one in words.
        if not hasattr(problem, "format_message"):
            raise
        usage = ConfigurationError(problem.format_message(), hint="See lawtags --help.")
        explain(usage, as_json=True)
        sys.exit(usage.exit_code)
    sys.exit(code or 0)


def _open_closed_streams() -> None:
    """Connect standard streams that are closed, as with ``>&-``, to nothing.

    The next file that is opened, such as a ledger, would get the number of the closed stream, and whatever a
    library prints would go into it.
    """
    import os
    import sys

    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is the one that is closed, since those before it are open by now.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - stays open
