"""The options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

DEFAULT_RUNS = Path("runs")
"""The folder of runs, unless --runs names another."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout and everything else to stderr.")]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        "-p",
        help="Profile in lawtags.toml that names the services; it wins over the environment. "
        "local is the embedded stack.",
    ),
]
HiddenProfile = Annotated[str | None, typer.Option("--profile", "-p", hidden=True)]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="Print more; -vv prints everything.")
]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never prompt; use the safe answer.")]

LogFormatOption = Annotated[
    Literal["text", "json"],
    typer.Option("--log-format", help="Format of log lines and progress on stderr: text or json."),
]

CancelOnInterrupt = Annotated[
    bool, typer.Option("--cancel-on-interrupt", help="On Ctrl-C, also cancel the job, without asking.")
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        "-d",
        help="Labeled questions: JSONL, JSON, CSV, TSV, Parquet or Posts.xml, also compressed, a pattern, or "
        "hf://datasets/NS/NAME.",
    ),
]
Intent = Annotated[
    str | None,
    typer.Option(
        "--intent", help="Idempotency key: the same key finds the same job; a new key starts another."
    ),
]
JobStorage = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="For a platform on this machine that downloads and uploads by itself: the folder that is / to "
        "it, such as the root of its chroot.",
    ),
]
JobId = Annotated[str, typer.Argument(help="Job ID, cust-…, or its beginning.")]


def _not_empty(name: str | None) -> str | None:
    """Refuse the empty name that an unset variable of a script leaves; it would mean the default."""
    if name is not None and not name.strip():
        raise typer.BadParameter("the name is empty. Is a variable of your script not set?")
    return name


Name = Annotated[
    str | None,
    typer.Option("--name", "-n", callback=_not_empty, help="Name of the run; RECIPE-DATE by default."),
]
New = Annotated[
    bool,
    typer.Option("--new", help="Start the next run of this name (NAME-2, NAME-3, ...) and keep the others."),
]
Publish = Annotated[
    str | None,
    typer.Option(
        "--publish",
        metavar="ADDRESS",
        help="Copy report, model card and figures to a folder there, such as s3://bucket/reports.",
    ),
]
Recipe = Annotated[str, typer.Argument(help="Recipe file, or name of a bundled recipe.")]
Run = Annotated[str, typer.Argument(help="Name or folder of a run, or the beginning of its name or ID.")]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of runs.")]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler", help="Dask scheduler for curation, tcp://HOST:PORT; its workers must see the output."
    ),
]
Rates = Annotated[
    Path | None,
    typer.Option(
        "--rates", help="TOML file with prices per hour; it replaces the recipe's hardware section."
    ),
]
Gpu = Annotated[
    str | None, typer.Option("--gpu", help="Kind of GPU, e.g. A100-80GB; the rate table's by default.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a value of the recipe, e.g. training.epochs=3; repeatable."),
]
Test = Annotated[Path | None, typer.Option("--test", help="Labeled questions to use as the test set.")]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait until the job ends, or return immediately.")
]
