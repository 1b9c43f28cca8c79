"""What makes a function a command: the common options, and errors that end it in words with an exit code."""

from __future__ import annotations

import errno
import functools
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Concatenate, ParamSpec, cast

import typer

from lawtags_client.cli.json_lines import json_line
from lawtags_client.cli.options import HiddenProfile, Json, LogFormatOption, NoInput, Profile, Verbose
from lawtags_client.cli.session import LogFormat, Session
from lawtags_client.errors import ConfigurationError, DataError, LawtagsError, RecipeError
from lawtags_client.settings import LOCAL_PROFILE
from lawtags_client.terminal import escape_controls

P = ParamSpec("P")

_INTERRUPTED = 130
# A path of another kind than needed, or none at all: the operating system's errors about the path itself.
_WRONG_PATH = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError)


def command(function: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """Make a command of a function of a session and options.

    The command takes the common options (``--json``, ``--profile``, ``--verbose``, ``--no-input``,
    ``--log-format``) as well, and prints an expected error in words, or as one JSON object, before it ends
    with its exit code.
    """
    return _as_command(function, Profile)


def folder_command(function: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """Make a command that works on a folder of this machine, where ``local`` is the only profile.

    Scripts pass the same options to every command, so the profile is accepted, but not shown.
    """

    def local(session: Session, /, *args: P.args, **kwargs: P.kwargs) -> None:
        if session.profile not in (None, LOCAL_PROFILE):
            raise ConfigurationError(
                f"lawtags local {function.__name__} uses a folder on this machine, "
                f"not the profile {session.profile!r}",
                hint="Pass the folder with --dir, without --profile.",
            )
        function(session, *args, **kwargs)

    return _as_command(functools.update_wrapper(local, function), HiddenProfile)


def _as_command(function: Callable[Concatenate[Session, P], None], profile: object) -> Callable[..., None]:
    signature = inspect.signature(function, eval_str=True)
    _, *own = signature.parameters.values()

    @functools.wraps(function)
    def wrapped(
        *,
        as_json: bool = False,
        profile: str | None = None,
        verbose: int = 0,
        no_input: bool = False,
        log_format: LogFormat = "text",
        before_work: Callable[[Session], None] | None = None,
        **given: object,
    ) -> None:
        try:
            session = Session(as_json, profile, verbose, no_input, log_format, before_work=before_work)
            cast(Callable[..., None], function)(session, **given)
        except KeyboardInterrupt:
            raise typer.Exit(_INTERRUPTED) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as problem:
            expected = _expected(problem)
            if expected is None and not as_json:
                raise
            if verbose:
                logging.getLogger("lawtags").info("where it happened", exc_info=problem)
            explain(expected or _defect(problem), as_json=as_json or log_format == "json")
            raise typer.Exit(_exit_code(problem, expected, given.values())) from None

    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, default, annotation in (
            ("as_json", False, Json),
            ("profile", None, profile),
            ("verbose", 0, Verbose),
            ("no_input", False, NoInput),
            ("log_format", "text", LogFormatOption),
        )
    ]
    parameters = [*own, *common]
    # Typer reads both.
    vars(wrapped)["__signature__"] = signature.replace(parameters=parameters)
    wrapped.__annotations__ = {each.name: each.annotation for each in parameters}
    return wrapped


def explain(problem: LawtagsError, *, as_json: bool) -> None:
    """Print an error on stderr, in words or as one JSON object."""
    if as_json:
        sys.stderr.write(json_line(problem.as_dict()))
        return
    from rich.console import Console
    from rich.text import Text

    # A line end in what a server said must not look like the end of what we say.
    hint = problem.hint or ""
    first = str(problem).removesuffix(f"\n{hint}") if hint else str(problem)
    console = Console(stderr=True, highlight=False)
    lines = problem.faults if isinstance(problem, RecipeError) else (first,)
    for line in lines:
        console.print(Text("Error: ", style="bold red") + Text(escape_controls(line)), soft_wrap=True)
    if hint:
        console.print(Text(escape_controls(hint)), soft_wrap=True)


def _exit_code(problem: Exception, expected: LawtagsError | None, given: Iterable[object]) -> int:
    """The exit code of a command; a wrong path on the command line is a usage error."""
    if expected is None:
        return 1
    path = problem.filename if isinstance(problem, OSError) else getattr(problem, "path", None)
    if isinstance(path, str) and _is_wrong_path(problem, Path(path).absolute(), given):
        return ConfigurationError.exit_code
    return expected.exit_code


def _is_wrong_path(problem: Exception, path: Path, given: Iterable[object]) -> bool:
    """Whether an error is about the path that was passed, and not about the content of a file."""
    named = _named_paths(given)
    if isinstance(problem, _WRONG_PATH):
        # The error names the file that stands in place of a folder above the path that was passed.
        return any(path == each or path in each.parents for each in named)
    if isinstance(problem, OSError):
        return path in named and not _is_file(path)
    if isinstance(problem, DataError):
        return path in named and (problem.wrong_path or not _is_file(path))
    return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long, or a folder above is closed
        return False


def _named_paths(given: Iterable[object]) -> set[Path]:
    words = [word for value in given for word in (value if isinstance(value, list) else [value])]
    return {Path(word).absolute() for word in words if isinstance(word, str | os.PathLike)}


_REMEDIES = {
    errno.EMFILE: "Raise the limit of open files of this shell: ulimit -n 4096",
    errno.ENOSPC: "Free some disk space, then repeat the command.",
    errno.EDQUOT: "Free some of your disk quota, then repeat the command.",
    errno.EFBIG: "Raise the limit of file sizes (ulimit -f), or use another file system.",
    errno.EROFS: "Choose a folder that can be written.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


def _expected(problem: Exception) -> LawtagsError | None:
    if isinstance(problem, LawtagsError):
        return problem
    if isinstance(problem, ModuleNotFoundError):
        from lawtags_client.extras import explained

        return explained(problem)
    # A full disk, or a folder without write permission, is not a defect of ours.
    if isinstance(problem, OSError) and not isinstance(problem, BrokenPipeError):
        place = f"{problem.filename}: " if problem.filename else ""
        hint = _REMEDIES.get(problem.errno or 0, "Check the path, its permissions and the free disk space.")
        return LawtagsError(f"{place}{problem.strerror or problem}", hint=hint)
    return None


def _defect(problem: Exception) -> LawtagsError:
    return LawtagsError(
        f"{type(problem).__name__}: {problem}",
        hint="This is a bug in lawtags; -v shows where it happened.",
    )
