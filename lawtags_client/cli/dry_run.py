"""``--dry-run`` of the job scripts: arguments, files and addresses are checked, and nothing is done."""

from __future__ import annotations

import functools
import inspect
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

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
_WRITTEN = ("out", "runs")
# These work on files alone; so does a plan that is made offline.
_LOCAL = ("curate", "report")


def with_dry_run(function: Callable[..., None]) -> Callable[..., None]:
    """A command with the option ``--dry-run``.

    With it, the command checks its own arguments as always, and ends where its work would begin.

    Args:
        function: the command.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapped(*, dry_run: bool = False, **given: object) -> None:
        if dry_run:
            function(before_work=_Rehearsal(function.__name__, given), **given)
        else:
            function(**given)

    own = inspect.Parameter("dry_run", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=DryRun)
    parameters = [*signature.parameters.values(), own]
    vars(wrapped)["__signature__"] = signature.replace(parameters=parameters)
    wrapped.__annotations__ = {each.name: each.annotation for each in parameters}
    return wrapped


@dataclass(frozen=True, slots=True)
class _Rehearsal:
    """What takes the place of a command's work.

    Attributes:
        name: of the command.
        given: its arguments.
    """

    name: str
    given: Mapping[str, object]

    def __call__(self, session: Session) -> None:
        """Check what the work would find, print the command, and end it.

        Raises:
            DataError: a file or a folder cannot be used.
        """
        self._check_files()
        words = shlex.join(["lawtags", self.name, *(word for word in sys.argv[1:] if word != "--dry-run")])
        on_files = self.name in _LOCAL or self.given.get("offline")
        services = {} if on_files else session.services()
        if session.json:
            session.emit({"command": words, "services": services})
        else:
            session.say(words)
            for service, url in services.items():
                session.say(f"{service}: {url}")
        raise typer.Exit

    def _check_files(self) -> None:
        from lawtags_client.curation.read.sources import find_sources
        from lawtags_client.services.data_store.layout import check

        for path in self._paths(_FILES):
            if not path.exists():
                raise DataError("does not exist", path=path, hint="Check the path.", wrong_path=True)
        if sources := [
            word for name in _SOURCES if (found := self.given.get(name)) for word in _words(found)
        ]:
            find_sources(sources)
        for path in self._paths(_WRITTEN):
            _require_writable(path)
        if self.name == "upload":
            for folder in self._paths(("folder",)):
                check(folder)

    def _paths(self, options: tuple[str, ...]) -> list[Path]:
        return [path for option in options if isinstance(path := self.given.get(option), Path)]


def _words(given: object) -> list[str]:
    return list(given) if isinstance(given, list) else [str(given)]


def _require_writable(path: Path) -> None:
    """Refuse what cannot be made or changed; the nearest path that exists decides."""
    whole = path.absolute()
    place = next(each for each in (whole, *whole.parents) if each.exists())
    if place != whole and not place.is_dir():
        problem = f"{place} is not a folder"
    elif not os.access(place, os.W_OK):
        problem = f"{place} cannot be written" if place != whole else "cannot be written"
    else:
        return
    raise DataError(problem, path=path, hint="Choose another place, or permit it.", wrong_path=True)
