"""``lawtags demo``: the full pipeline on this machine."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.request import urlopen

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.options import DEFAULT_RUNS, JobStorage, Name, New, Runs, Set
from lawtags_client.cli.run import execute_recipe, print_result
from lawtags_client.cli.session import Session
from lawtags_client.errors import BusyError, ConfigurationError
from lawtags_client.extras import MARKERS, require
from lawtags_client.settings import LOCAL_PROFILE, STACK_FOLDER

if TYPE_CHECKING:
    from lawtags_client.cli.demo_helix import HelixDemo
    from lawtags_client.cli.stack_launch import Dialect
    from lawtags_client.runs.run import RunResult
    from lawtags_client.runs.run_request import OnNameTaken, RunRequest
    from lawtags_stack.stack import StackAddress

IDLE_TIMEOUT = 900
_MARK = "demo.pid"


@command
def demo(
    session: Session,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", "-d", help="Your own labeled questions instead of the bundled ones."),
    ] = None,
    name: Name = None,
    new: New = False,
    runs: Runs = DEFAULT_RUNS,
    settings: Set = None,
    platform: Annotated[
        str | None,
        typer.Option(
            metavar="helix|URL",
            help="Run on NeMo Helix: helix is the embedded stack, URL a platform that runs on this machine. "
            "A runner trains and serves in place of its GPUs.",
        ),
    ] = None,
    job_storage: JobStorage = None,
) -> None:
    """Run the full pipeline on this machine: curate, train a small model, evaluate, serve and report.

    The same questions resume their run; other questions or options start another run.

    Examples: lawtags demo --data questions.jsonl

    lawtags demo --platform http://127.0.0.1:8080
    """
    # Embeddings are used where they are installed.
    require([extra for extra in MARKERS if extra != "embed"], "lawtags demo")
    from lawtags_client import sample
    from lawtags_client.cli.overrides import parse_settings
    from lawtags_client.curation.read.sources import find_sources
    from lawtags_client.runs.gates import require_verdict
    from lawtags_client.runs.outputs import EvaluateOutput
    from lawtags_client.runs.recipe_loading import load_recipe
    from lawtags_client.runs.repeats import find_repeats
    from lawtags_client.runs.run_request import OnNameTaken, RunRequest
    from lawtags_client.runs.tagger import asks_model

    helix = _helix(session, platform, job_storage)
    session.profile = session.profile or (LOCAL_PROFILE if helix is None or helix.url is None else None)
    questions = data or [str(sample.path())]
    # Before anything is started for them.
    find_sources(questions)
    changes = parse_settings(settings or [])
    recipe = load_recipe("smollm2-demo", changes) if helix is None else helix.recipe(changes)
    named = "demo" if helix is None else "demo-helix"
    request = RunRequest.of(
        recipe,
        data=questions,
        test=None,
        name=name or (f"{named}-{_stem(data[0])}" if data else named),
        runs=runs,
    )
    # A name that was passed means that run.
    by_name = OnNameTaken.REFUSE if name else OnNameTaken.USE_MATCHING
    result = _run(session, request, OnNameTaken.START_NEXT if new else by_name, helix)
    _print(session, result)
    require_verdict(result.left(EvaluateOutput), find_repeats(result.folder))
    if not session.json and helix is None:
        ask = _asking(Path.cwd(), Path(sys.argv[0]), stack=asks_model(result.folder))
        session.say(f"Try it, from this shell or a new one:\n{ask}")


def _helix(session: Session, platform: str | None, job_storage: Path | None) -> HelixDemo | None:
    from lawtags_client.cli.demo_helix import HelixDemo

    if platform is None:
        if job_storage is not None:
            raise ConfigurationError("--job-storage needs --platform URL", hint="Leave it out, or add a URL.")
        return None
    if session.profile is not None:
        raise ConfigurationError(
            "--platform cannot be combined with --profile", hint="A profile names a platform already."
        )
    return HelixDemo.parse(platform, job_storage=job_storage)


def _run(
    session: Session, request: RunRequest, on_name_taken: OnNameTaken, helix: HelixDemo | None
) -> RunResult:
    from lawtags_stack.base_models import default_base_model_ready, ensure_default_base_model

    if not default_base_model_ready():
        session.messages.print("Preparing the base model (only once)", style="dim")
    ensure_default_base_model()
    with ExitStack() as cleanup:
        # Another profile names a stack that somebody else runs.
        if session.profile == LOCAL_PROFILE:
            dialect: Dialect = "v1" if helix is None else "helix"
            cleanup.enter_context(_stack(STACK_FOLDER, session, dialect))
        if helix is not None:
            cleanup.enter_context(helix.prepared(session))
        return execute_recipe(session, request, on_name_taken)


def _print(session: Session, result: RunResult) -> None:
    from lawtags_client.cli.verdict import print_examples

    print_result(session, result)
    if not session.json:
        print_examples(session.console, result.folder)
        session.say(f"Report: {result.folder / 'report.html'}")


def _asking(folder: Path, program: Path, *, stack: bool) -> str:
    """Commands that ask the demo's tagger, as they can be pasted into a shell of any folder.

    Args:
        folder: the working directory of the demo.
        program: how this program was called.
        stack: whether the tagger asks its language model, which the embedded stack serves.
    """
    found = shutil.which("lawtags")
    # `make demo` runs it from an environment that no shell has on its path.
    here = program.name == "lawtags" and not (found and Path(found).samefile(program.resolve()))
    name = shlex.quote(str(program.absolute())) if here and program.exists() else "lawtags"
    start = f"cd {shlex.quote(str(folder))}" + (f" && {name} local up --detach" if stack else "")
    ask = f'{name} tag --title "Can my landlord keep the deposit?" --body "I moved out of a flat in London."'
    return f"  {start} &&\n  {ask}"


@contextmanager
def _stack(folder: Path, session: Session, dialect: Dialect = "v1") -> Iterator[None]:
    """An embedded stack for as long as the demo takes.

    If one is already running on the folder, it is used and left running. One that an interrupted demo left
    behind is taken over with its job, and stopped at the end.
    """
    from lawtags_client.cli.stack_launch import StackLaunch
    from lawtags_stack.control import running, stop

    mark = folder.parent / _MARK
    found = running(folder)
    if found is None:
        session.messages.print("Starting the embedded stack", style="dim")
        StackLaunch(dir=folder, port=0, idle_timeout=IDLE_TIMEOUT, dialect=dialect).detach()
        found = running(folder)
        mark.write_text(str(found[0].pid if found else os.getpid()))
    ours = found is not None and mark.is_file() and mark.read_text().strip() == str(found[0].pid)
    try:
        with _kept_awake(found[1] if found else None):
            yield
    except BusyError:
        # The same demo runs in another process, and needs its stack.
        ours = False
        raise
    finally:
        if ours:
            stop(folder)


@contextmanager
def _kept_awake(address: StackAddress | None, every: float = IDLE_TIMEOUT / 10) -> Iterator[None]:
    """Ask a stack for its status from time to time, since some stages need it only before and after.

    It counts such a request as use, which it does not with a health probe.

    Args:
        address: of the stack; None while it is starting.
        every: seconds between two requests.
    """
    ended = threading.Event()

    def ask(url: str) -> None:
        while not ended.wait(every):
            # Where it is gone, the stage that needs it says so.
            with suppress(OSError), urlopen(url, timeout=10):
                pass

    if address is not None:
        threading.Thread(target=ask, args=(f"{address.platform_url}/v1/stack/status",), daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _stem(source: str) -> str:
    words = "".join(c if c.isalnum() else "-" for c in Path(source).name.split(".")[0].lower())
    return words.strip("-")[:60] or "data"
