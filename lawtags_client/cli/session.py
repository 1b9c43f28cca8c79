"""What every command shares: its common options, how it prints, and how it ends."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import logging
import math
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

from lawtags_client.errors import ConfigurationError, DataError, LawtagsError
from lawtags_client.settings import LOCAL_PROFILE, STACK_FOLDER
from lawtags_client.terminal import escape_controls

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from lawtags_client.client import NeMo
    from lawtags_client.runs.progress import Progress

P = ParamSpec("P")
T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, everything else on stderr.")]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        "-p",
        help="Profile of lawtags.toml with the services; local is the embedded stack.",
    ),
]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="Print more; -vv prints everything.")
]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never prompt; use the safe answer.")]

INTERRUPTED = 130
TERMINATED = 143


class LogFormatter(logging.Formatter):
    """One line a record: what servers and files say can neither steer the terminal nor fake a line."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return escape_controls(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        # Indented, so that a line within an error's text is not taken for a record of its own.
        return textwrap.indent(escape_controls(super().formatException(ei), lines=True), "    ")


@dataclass
class Session:
    """One call of the command line.

    Attributes:
        json: whether stdout carries JSON alone.
        profile: the profile of the settings file.
        verbose: 0, 1 or 2.
        no_input: whether questions are answered by themselves, with no.
        cancel_on_interrupt: whether Ctrl-C ends the job that is followed, too.
        followed: tells which job on the platform is followed at the moment.
    """

    json: bool = False
    profile: str | None = None
    verbose: int = 0
    no_input: bool = False
    cancel_on_interrupt: bool = False
    followed: Callable[[], str | None] = lambda: None

    def __post_init__(self) -> None:
        level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(self.verbose, 2)]
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(LogFormatter("%(levelname)s %(name)s: %(message)s"))
        logging.basicConfig(level=level, handlers=[handler])
        if self.verbose < 2:
            # Two lines a request would drown what a run says.
            logging.getLogger("httpx").setLevel(logging.WARNING)

    @functools.cached_property
    def console(self) -> Console:
        """Where words for people go: stdout, or stderr beside JSON."""
        from rich.console import Console

        # Without a terminal there is no width to keep to, and a cut id is useless.
        width = None if (sys.stderr if self.json else sys.stdout).isatty() else 200
        return Console(stderr=self.json, highlight=False, width=width)

    @property
    def messages(self) -> Console:
        """Where progress goes: always stderr."""
        from rich.console import Console

        return Console(stderr=True, highlight=False)

    def emit(self, value: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> None:
        """Print one object, or one a line, as JSON on stdout."""
        for row in [value] if isinstance(value, Mapping) else value:
            text = json.dumps(_finite(row), ensure_ascii=False, allow_nan=False, default=str)
            sys.stdout.write(escape_controls(text) + "\n")
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Print text of whatever origin for people: no markup, no control characters, nothing cut."""
        self.console.print(escape_controls(text, lines=True), markup=False, soft_wrap=True)

    def report(self, text: str) -> None:
        """Print one line about what is going on, beside the result."""
        self.messages.print(escape_controls(text), markup=False, soft_wrap=True)

    def table(
        self,
        headings: Iterable[str],
        rows: Iterable[Iterable[str | Text | None]],
        *,
        title: str | None = None,
    ) -> None:
        """Print a table; its cells are data, so that brackets and control characters in them mean nothing."""
        from rich.table import Table
        from rich.text import Text

        table = Table(*headings, title=title and Text(escape_controls(title)), title_justify="left")
        for row in rows:
            table.add_row(
                *(cell if isinstance(cell, Text) else Text(escape_controls(cell or "")) for cell in row)
            )
        self.console.print(table)

    def client(self, **overrides: Any) -> NeMo:
        """The client that the settings describe."""
        from lawtags_client.client import NeMo

        return NeMo.from_env(profile=self.profile, **overrides)

    def services(self) -> dict[str, str]:
        """The address of each service, as a run remembers what it was made with."""
        from lawtags_client.platform.v1 import service_addresses
        from lawtags_client.settings import Settings

        if self._is_local():
            # The same stack, whichever ports it has got.
            return {"platform": f"embedded stack in {STACK_FOLDER}"}
        return service_addresses(Settings.load(self.profile))

    def _is_local(self) -> bool:
        return (self.profile or os.environ.get("LAWTAGS_PROFILE")) == LOCAL_PROFILE

    def progress(self) -> contextlib.AbstractContextManager[Progress]:
        """Progress as fits the place: bars in a terminal, lines elsewhere."""
        from lawtags_client.cli.progress import shown

        return shown(self.messages)

    def confirm(self, question: str) -> bool:
        """Ask; without a terminal or with ``--no-input`` the answer is no."""
        if self.no_input or not sys.stdin.isatty():
            return False
        return typer.confirm(question)

    def run(self, work: Coroutine[Any, Any, T], *, left_behind: str | None = None) -> T:
        """Carry async work to its end, or stop it at once on Ctrl-C or SIGTERM.

        What is on disk is whole at every moment, so nothing waits for threads that are still busy.

        Args:
            work: what to do.
            left_behind: what to say of what stays on disk when it is stopped.
        """
        # Not at the top: the help, which needs no loop, would take a fifth longer.
        import asyncio

        from lawtags_client.cli.interruption import handle_interrupt

        code = 0

        async def guarded() -> T:
            loop = asyncio.get_running_loop()
            task = asyncio.ensure_future(work)
            again = asyncio.Event()

            def stop(signal_code: int) -> None:
                nonlocal code
                if code and signal_code == TERMINATED:
                    os._exit(TERMINATED)
                if code:
                    again.set()
                code = code or signal_code
                task.cancel()

            loop.add_signal_handler(signal.SIGINT, stop, INTERRUPTED)
            loop.add_signal_handler(signal.SIGTERM, stop, TERMINATED)
            try:
                return await task
            except asyncio.CancelledError:
                if not code:
                    raise
                # A bar hides it, and gets no time to bring it back.
                self.messages.show_cursor(True)
                if left_behind:
                    self.report(left_behind)
                await handle_interrupt(self, code, again)
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)

        return asyncio.run(guarded())


def command(function: Callable[P, None]) -> Callable[P, None]:
    """End a command as the contract says: errors in words, or as one JSON object, with their exit code."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        as_json = bool(kwargs.get("as_json"))
        try:
            function(*args, **kwargs)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as problem:
            expected = _expected(problem)
            if expected is None and not as_json:
                raise
            if kwargs.get("verbose"):
                logging.getLogger("lawtags").info("where it happened", exc_info=problem)
            explain(expected or _defect(problem), as_json=as_json)
            raise typer.Exit(_exit_code(problem, expected, kwargs.values())) from None

    return wrapped


def script(main: Callable[[], Any]) -> None:
    """Carry a job script to its end; expected errors become words and the exit code of the command line.

    Args:
        main: the work, async or not.
    """
    try:
        work = main()
        if inspect.iscoroutine(work):
            import asyncio

            asyncio.run(work)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (LawtagsError, OSError, ModuleNotFoundError) as problem:
        expected = _expected(problem)
        if expected is None:
            raise
        explain(expected, as_json=False)
        sys.exit(expected.exit_code)


def explain(problem: LawtagsError, *, as_json: bool) -> None:
    """Print an error on stderr, in words or as one JSON object."""
    if as_json:
        text = json.dumps(_finite(problem.as_dict()), ensure_ascii=False, allow_nan=False, default=str)
        sys.stderr.write(escape_controls(text) + "\n")
        return
    from rich.console import Console
    from rich.text import Text

    # A line end in what a server said must not look like the end of what we say.
    hint = problem.hint or ""
    first = str(problem).removesuffix(f"\n{hint}") if hint else str(problem)
    console = Console(stderr=True, highlight=False)
    console.print(Text("Error: ", style="bold red") + Text(escape_controls(first)), soft_wrap=True)
    if hint:
        console.print(Text(escape_controls(hint)), soft_wrap=True)


def _exit_code(problem: Exception, expected: LawtagsError | None, given: Iterable[object]) -> int:
    """What a command ends with: a path on the command line with no file behind it is an error of usage."""
    if expected is None:
        return 1
    path = problem.filename if isinstance(problem, OSError) else getattr(problem, "path", None)
    if isinstance(problem, DataError | OSError) and isinstance(path, str) and not Path(path).is_file():
        words = [word for value in given for word in (value if isinstance(value, list) else [value])]
        named = {Path(word).absolute() for word in words if isinstance(word, str | os.PathLike)}
        if Path(path).absolute() in named:
            return ConfigurationError.exit_code
    return expected.exit_code


def _expected(problem: Exception) -> LawtagsError | None:
    if isinstance(problem, LawtagsError):
        return problem
    if isinstance(problem, ModuleNotFoundError):
        from lawtags_client.extras import explained

        return explained(problem)
    # A full disk or a folder that may not be written is no defect of ours.
    if isinstance(problem, OSError) and not isinstance(problem, BrokenPipeError):
        place = f"{problem.filename}: " if problem.filename else ""
        hint = "Check the path, its permissions and the free space."
        return LawtagsError(f"{place}{problem.strerror or problem}", hint=hint)
    return None


def _defect(problem: Exception) -> LawtagsError:
    return LawtagsError(
        f"{type(problem).__name__}: {problem}",
        hint="This is a bug in lawtags; -v shows where it happened.",
    )


def _finite(value: Any) -> Any:
    # JSON has neither NaN nor infinity, and a diverged training has both.
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
