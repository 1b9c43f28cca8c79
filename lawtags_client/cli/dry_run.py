"""``--dry-run`` of the job scripts: arguments, files and addresses are checked, and nothing is done."""

from __future__ import annotations

import functools
import inspect
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.session import Session
from lawtags_client.errors import DataError

DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Check arguments, files and addresses, print the command, and do nothing."
    ),
]
_FILES = ("folder", "test", "forget", "synonyms", "corrections")
_SOURCES = ("inputs", "data", "questions")
# These work on files alone.
_LOCAL = ("curate", "plan", "report")


def with_dry_run(function: Callable[..., None]) -> Callable[..., None]:
    """A command with the option ``--dry-run``.

    Args:
        function: the command.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapped(*, dry_run: bool = False, **given: object) -> None:
        if not dry_run:
            function(**given)
            return
        as_json, profile = bool(given.pop("as_json")), given.pop("profile")
        _check(
            name=function.__name__,
            files=[path for option in _FILES if isinstance(path := given.get(option), Path)],
            sources=[
                source
                for option in _SOURCES
                if (found := given.get(option))
                for source in ([found] if isinstance(found, str) else found)  # type: ignore[attr-defined]
            ],
            as_json=as_json,
            profile=profile if isinstance(profile, str) else None,
        )

    own = inspect.Parameter("dry_run", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=DryRun)
    parameters = [*signature.parameters.values(), own]
    vars(wrapped)["__signature__"] = signature.replace(parameters=parameters)
    wrapped.__annotations__ = {each.name: each.annotation for each in parameters}
    return wrapped


@command
def _check(session: Session, name: str, files: list[Path], sources: list[str]) -> None:
    from lawtags_client.curation.read.sources import find_sources

    for path in files:
        if not path.exists():
            raise DataError("does not exist", path=path, hint="Check the path.", wrong_path=True)
    if sources:
        find_sources(sources)
    words = shlex.join(["lawtags", name, *(word for word in sys.argv[1:] if word != "--dry-run")])
    services = {} if name in _LOCAL else session.services()
    if session.json:
        session.emit({"command": words, "services": services})
        return
    session.say(words)
    for service, url in services.items():
        session.say(f"{service}: {url}")
