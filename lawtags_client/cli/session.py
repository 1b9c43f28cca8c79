"""One call of the command line: the common options, how it prints, and its client."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import textwrap
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TypeVar

import typer

from lawtags_client.cli.json_lines import json_line
from lawtags_client.settings import LOCAL_PROFILE, STACK_FOLDER
from lawtags_client.terminal import escape_controls

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from lawtags_client.client import NeMo
    from lawtags_client.intents import IntentStore
    from lawtags_client.runs.progress import Progress

T = TypeVar("T")
LogFormat = Literal["text", "json"]

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LogFormatter(logging.Formatter):
    """One line per record: nothing that servers and files say can steer the terminal or fake a line."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return escape_controls(super().formatMessage(record))

    def formatException(self, ei: ExcInfo) -> str:
        # Indented, so that a line within an error's text does not look like a record.
        return textwrap.indent(escape_controls(super().formatException(ei), lines=True), "    ")


@dataclass
class Session:
    """One call of the command line.

    Attributes:
        json: whether stdout carries JSON alone.
        profile: the profile of the settings file.
        verbose: 0, 1 or 2.
        no_input: whether every question is answered with no.
        log_format: ``text``, or ``json`` for one JSON object per line on stderr.
        cancel_on_interrupt: whether Ctrl-C cancels the followed job, too.
        followed: returns the id of the job on the platform that the command follows at the moment.
        before_work: called once all arguments are checked; a dry run ends there.
    """

    json: bool = False
    profile: str | None = None
    verbose: int = 0
    no_input: bool = False
    log_format: LogFormat = "text"
    cancel_on_interrupt: bool = False
    followed: Callable[[], str | None] = lambda: None
    before_work: Callable[[Session], None] | None = None

    def __post_init__(self) -> None:
        level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(self.verbose, 2)]
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(self._formatter())
        logging.basicConfig(level=level, handlers=[handler])
        if self.verbose < 2:
            # Two lines per request would drown what a run says.
            logging.getLogger("httpx").setLevel(logging.WARNING)

    def _formatter(self) -> logging.Formatter:
        if self.log_format == "text":
            return LogFormatter("%(levelname)s %(name)s: %(message)s")
        from lawtags_client.cli.json_log import JsonLogFormatter

        return JsonLogFormatter()

    @functools.cached_property
    def console(self) -> Console:
        """Where words for people go: stdout, or stderr beside JSON."""
        from rich.console import Console

        # Without a terminal there is no width to keep to, and a truncated id is useless.
        width = None if (sys.stderr if self.json else sys.stdout).isatty() else 200
        return Console(stderr=self.json, highlight=False, width=width)

    @property
    def messages(self) -> Console:
        """Where progress goes: always stderr."""
        from rich.console import Console

        return Console(stderr=True, highlight=False)

    def emit(self, value: Mapping[str, object] | Iterable[Mapping[str, object]]) -> None:
        """Print one object, or one object per line, as JSON on stdout."""
        for row in [value] if isinstance(value, Mapping) else value:
            sys.stdout.write(json_line(row))
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Print text of any origin for people: no markup, no control characters, nothing truncated."""
        self.console.print(escape_controls(text, lines=True), markup=False, soft_wrap=True)

    def report(self, text: str) -> None:
        """Print one line about what is happening, beside the result."""
        if self.log_format == "json":
            from lawtags_client.cli.json_log import JsonProgress

            JsonProgress().report(text)
            return
        self.messages.print(escape_controls(text), markup=False, soft_wrap=True)

    def table(
        self,
        headings: Iterable[str],
        rows: Iterable[Iterable[str | Text | None]],
        *,
        title: str | None = None,
        optional: Sequence[str] = (),
    ) -> None:
        """Print a table; its cells are data, so brackets and control characters in them mean nothing.

        No cell is cut: in a narrow terminal, the optional columns go, and what is still too long wraps.

        Args:
            headings: of the columns.
            rows: the cells; None is empty.
            title: above the table.
            optional: headings of columns that may go, the first one first.
        """
        from lawtags_client.cli.tables import fitting_table

        self.console.print(fitting_table(self.console, headings, rows, title=title, optional=optional))

    def client(self, *, intents: IntentStore | None = None, total_timeout: float | None = None) -> NeMo:
        """The client that the settings describe.

        Args:
            intents: where it keeps its intents, if not where the settings say.
            total_timeout: seconds per call, if not those of the settings.
        """
        from lawtags_client.client import NeMo

        if total_timeout is None:
            return NeMo.from_env(self.profile, intents=intents)
        return NeMo.from_env(self.profile, intents=intents, total_timeout=total_timeout)

    def services(self) -> dict[str, str]:
        """The address of each service, as a run records it."""
        from lawtags_client.platform.v1 import service_addresses
        from lawtags_client.settings import Settings

        if self.is_local():
            # The same stack, whichever ports it has now.
            return {"platform": f"embedded stack in {STACK_FOLDER}"}
        return service_addresses(Settings.load(self.profile))

    def is_local(self) -> bool:
        """Whether the embedded stack of the working directory is meant."""
        return (self.profile or os.environ.get("LAWTAGS_PROFILE")) == LOCAL_PROFILE

    def progress(self) -> contextlib.AbstractContextManager[Progress]:
        """Progress as fits the console: bars in a terminal, lines elsewhere."""
        if self.log_format == "json":
            from lawtags_client.cli.json_log import JsonProgress

            return contextlib.nullcontext(JsonProgress())
        from lawtags_client.cli.progress import shown

        return shown(self.messages)

    def confirm(self, question: str) -> bool:
        """Ask; without a terminal or with ``--no-input`` the answer is no."""
        if self.no_input or not sys.stdin.isatty():
            return False
        return typer.confirm(question)

    def begin(self) -> None:
        """Say that the arguments are checked and the command's work begins; ``run`` does so by itself."""
        if self.before_work is not None:
            self.before_work(self)

    def run(self, work: Coroutine[object, None, T], *, left_behind: str | None = None) -> T:
        """Run async work to its end, or stop it at once on Ctrl-C or SIGTERM.

        Args:
            work: what to do.
            left_behind: what to say about files that stay on disk if it is stopped.
        """
        # Not at the top: the help, which needs no event loop, would take a fifth longer.
        from lawtags_client.cli.interruption import run_interruptible

        with contextlib.ExitStack() as unused:
            unused.callback(work.close)
            self.begin()
            unused.pop_all()
        return run_interruptible(self, work, left_behind=left_behind)
