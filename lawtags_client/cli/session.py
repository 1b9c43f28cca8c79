"""What every command shares: its common options, how it prints, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

from lawtags_client.errors import ConfigurationError, LawtagsError

if TYPE_CHECKING:
    from rich.console import Console

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
        help="Profile of lawtags.toml: which services to talk to; local: the embedded stack.",
    ),
]
Verbose = Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more; twice: everything.")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask; take the safe answer.")]

LOCAL_PROFILE = "local"
"""The profile that every installation has: the embedded stack of the working directory."""

STACK_FOLDER = Path(".lawtags/stack")

INTERRUPTED = 130
TERMINATED = 143


@dataclass
class Session:
    """One call of the command line.

    Attributes:
        json: whether stdout carries JSON alone.
        profile: the profile of the settings file.
        verbose: 0, 1 or 2.
        no_input: whether questions are answered by themselves, with no.
    """

    json: bool = False
    profile: str | None = None
    verbose: int = 0
    no_input: bool = False

    def __post_init__(self) -> None:
        level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(self.verbose, 2)]
        logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
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
            sys.stdout.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
        sys.stdout.flush()

    def client(self, **overrides: Any) -> NeMo:
        """The client that the settings describe."""
        from lawtags_client.client import NeMo

        if self.profile == LOCAL_PROFILE:
            overrides = {**local_services(), **overrides}
            return NeMo.from_env(**overrides)
        return NeMo.from_env(profile=self.profile, **overrides)

    def progress(self) -> contextlib.AbstractContextManager[Progress]:
        """Progress as fits the place: bars in a terminal, lines elsewhere."""
        from lawtags_client.cli.progress import shown

        return shown(self.messages)

    def confirm(self, question: str) -> bool:
        """Ask; without a terminal or with ``--no-input`` the answer is no."""
        if self.no_input or not sys.stdin.isatty():
            return False
        return typer.confirm(question)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry async work to its end, or stop it at once on Ctrl-C or SIGTERM.

        What is on disk is whole at every moment, so nothing waits for threads that are still busy.
        """
        code = 0

        async def guarded() -> T:
            loop = asyncio.get_running_loop()
            task = asyncio.ensure_future(work)

            def stop(signal_code: int) -> None:
                nonlocal code
                code = signal_code
                task.cancel()

            loop.add_signal_handler(signal.SIGINT, stop, INTERRUPTED)
            loop.add_signal_handler(signal.SIGTERM, stop, TERMINATED)
            try:
                return await task
            except asyncio.CancelledError:
                if not code:
                    raise
                self.messages.print("Interrupted. The same command goes on where this one stopped.")
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)

        return asyncio.run(guarded())


def local_services() -> dict[str, str]:
    """Where the embedded stack of the working directory answers.

    Raises:
        ConfigurationError: it is not running.
    """
    from lawtags_client.local.control import running

    found = running(STACK_FOLDER)
    if found is None or found[1] is None:
        raise ConfigurationError(
            f"no embedded stack is running on {STACK_FOLDER}", hint="Start it with: lawtags local up --detach"
        )
    address = found[1]
    return {
        "platform_url": address.platform_url,
        "data_store_url": address.data_store_url,
        "inference_url": address.inference_url,
    }


def command(function: Callable[P, None]) -> Callable[P, None]:
    """End a command as the contract says: errors in words, or as one JSON object, with their exit code."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except LawtagsError as problem:
            if kwargs.get("as_json"):
                sys.stderr.write(json.dumps(problem.as_dict(), ensure_ascii=False, default=str) + "\n")
            else:
                _explain(problem)
            if kwargs.get("verbose"):
                logging.getLogger("lawtags").debug("where it happened", exc_info=problem)
            raise typer.Exit(problem.exit_code) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None

    return wrapped


def _explain(problem: LawtagsError) -> None:
    from rich.console import Console
    from rich.text import Text

    first, _, rest = str(problem).partition("\n")
    console = Console(stderr=True, highlight=False)
    console.print(Text("Error: ", style="bold red") + Text(first), soft_wrap=True)
    if rest:
        console.print(Text(rest), soft_wrap=True)
