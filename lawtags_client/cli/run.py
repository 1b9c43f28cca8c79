"""``lawtags run`` and ``plan``: a recipe carried to its end, or to its plan."""

from __future__ import annotations

import asyncio
import enum
import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lawtags_client.cli.interruption import CancelOnInterrupt
from lawtags_client.cli.session import Json, NoInput, Profile, Session, Verbose, command
from lawtags_client.errors import ConfigurationError, RunInputsError
from lawtags_client.extras import require

if TYPE_CHECKING:
    from lawtags_client.runs.ledger import Ledger
    from lawtags_client.runs.recipe import Recipe
    from lawtags_client.runs.run import RunResult

Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        "-d",
        help="Labeled questions: JSONL, JSON, CSV, TSV, Parquet or Posts.xml, also compressed, a pattern, or "
        "hf://datasets/NS/NAME.",
    ),
]
Test = Annotated[Path | None, typer.Option("--test", help="Labeled questions to use as the test set.")]
Name = Annotated[
    str | None, typer.Option("--name", "-n", help="Name of the run; the recipe's name by default.")
]
New = Annotated[
    bool,
    typer.Option("--new", help="Start the next run of this name (NAME-2, NAME-3, ...) and keep the others."),
]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of runs.")]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", help="Dask scheduler for curation, tcp://HOST:PORT.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Replace a value of the recipe, e.g. training.epochs=3; repeatable."),
]


@command
def run(
    recipe: Annotated[str, typer.Argument(help="Recipe file, or name of a bundled recipe.")],
    data: Data = None,
    test: Test = None,
    name: Name = None,
    new: New = False,
    runs: Runs = Path("runs"),
    scheduler: Scheduler = None,
    settings: Set = None,
    cancel_on_interrupt: CancelOnInterrupt = False,
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Run a recipe from raw questions to a verdict; repeat the command to resume.

    A run records its inputs. With different data, options or services, add --new or --name.

    Example: lawtags run gemma-2-2b --data questions.jsonl --profile cluster
    """
    require(["curate", "tag", "report"], "a run")
    from lawtags_client.runs.outputs import EvaluateOutput
    from lawtags_client.runs.verdict import require_verdict

    session = Session(as_json, profile, verbose, no_input, cancel_on_interrupt)
    request = RunRequest.of(recipe, data, test, name, runs, scheduler, settings)
    result = execute_recipe(
        session, request, on_name_taken=OnNameTaken.START_NEXT if new else OnNameTaken.REFUSE
    )
    print_result(session, result)
    require_verdict(result.left(EvaluateOutput))


@command
def plan(
    recipe: Annotated[str, typer.Argument(help="Recipe file, or name of a bundled recipe.")],
    data: Data = None,
    test: Test = None,
    name: Name = None,
    runs: Runs = Path("runs"),
    scheduler: Scheduler = None,
    settings: Set = None,
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Curate, count tokens and steps, and show the job that a run would submit. Nothing is uploaded.

    A plan has its own folder, plans/NAME in the folder of runs, and changes no run.

    Example: lawtags plan smollm2-demo --data questions.jsonl --set training.epochs=2
    """
    session = Session(as_json, profile, verbose, no_input)
    request = RunRequest.of(recipe, data, test, name, runs, scheduler, settings)
    from lawtags_client.runs.outputs import PlanOutput

    result = execute_recipe(session, request, until="plan")
    planned = asdict(result.left(PlanOutput).plan)
    if as_json:
        session.emit(planned)
        return
    import yaml

    session.say(yaml.safe_dump(planned, sort_keys=False, allow_unicode=True).rstrip())


class OnNameTaken(enum.Enum):
    """What to do if a run of this name has different inputs."""

    REFUSE = enum.auto()
    START_NEXT = enum.auto()
    USE_MATCHING = enum.auto()


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The run that a command asks for.

    Attributes:
        recipe: with the values of ``--set``.
        data: sources as given; None for those of the run before.
        test: labeled questions that are only scored.
        name: of the run.
        runs: the folder that holds the runs.
        scheduler: address of a Dask scheduler.
    """

    recipe: Recipe
    data: list[str] | None
    test: Path | None
    name: str
    runs: Path
    scheduler: str | None

    @classmethod
    def of(
        cls,
        recipe: str,
        data: list[str] | None,
        test: Path | None,
        name: str | None,
        runs: Path,
        scheduler: str | None,
        settings: list[str] | None,
    ) -> RunRequest:
        """Build the request from the options of a command."""
        from lawtags_client.cli.overrides import parse_settings
        from lawtags_client.runs.naming import checked_name
        from lawtags_client.runs.recipe import load_recipe

        loaded = load_recipe(recipe, parse_settings(settings or []))
        sources = [_absolute(source) for source in data] if data else None
        scored = test and Path(_absolute(str(test)))
        return cls(loaded, sources, scored, checked_name(name or loaded.name), runs, scheduler)


def execute_recipe(
    session: Session,
    request: RunRequest,
    *,
    until: str | None = None,
    on_name_taken: OnNameTaken = OnNameTaken.REFUSE,
) -> RunResult:
    """Carry a recipe as far as asked, with the progress that fits the place."""
    require(["curate", "tag", "report"] if until is None else ["curate"], "a run")
    from lawtags_client.curation.read.sources import find_sources
    from lawtags_client.intents import SqliteIntents
    from lawtags_client.platform.checks import require_platform
    from lawtags_client.platform.v1 import V1Platform
    from lawtags_client.runs.naming import plan_folder
    from lawtags_client.runs.planned import take_over_curation
    from lawtags_client.runs.run import execute

    named = plan_folder(request.runs, request.name) if until == "plan" else request.runs / request.name
    data, test = request.data, request.test
    if data is None:
        data, test = _recorded_data(named, test)
    # What cannot work leaves no folder of a run behind.
    find_sources(data, test)
    services = session.services() if until is None else None
    given = functools.partial(_inputs, request.recipe, data, test, services)
    folder = _followed(session, named, request, given, on_name_taken)
    session.followed = lambda: training_of(folder)
    if request.data is None:
        session.report(f"Data of {named.name}: {', '.join(data)}")

    begun = folder.exists()

    async def work() -> RunResult:
        if until is None and not begun:
            # Minutes of curation would be for nothing, and a folder would be left behind.
            async with session.client() as nemo:
                await require_platform(nemo, request.recipe.model.config)
        if until is None:
            await asyncio.to_thread(take_over_curation, plan_folder(request.runs, request.name), folder)
        # A run keeps its intents in its own ledger, so that the folder alone is enough to resume it.
        async with session.client(intents=SqliteIntents(folder / "ledger.sqlite")) as nemo:
            with session.progress() as progress:
                return await execute(
                    folder=folder,
                    profile=session.profile,
                    recipe=request.recipe,
                    data=data,
                    test=test,
                    platform=V1Platform(nemo),
                    progress=progress,
                    scheduler=request.scheduler,
                    until=until,
                    services=services,
                )

    try:
        return session.run(work())
    except RunInputsError as problem:
        raise _with_fitting_run(problem, request, given) from None


def _followed(
    session: Session,
    named: Path,
    request: RunRequest,
    inputs: Callable[[Ledger], Any],
    on_name_taken: OnNameTaken,
) -> Path:
    """The folder of the run: the one that the name says, or one of its followers."""
    from lawtags_client.runs.naming import fitting_run, next_run

    if on_name_taken is OnNameTaken.REFUSE or not (named / "ledger.sqlite").is_file():
        return named
    choose = next_run if on_name_taken is OnNameTaken.START_NEXT else fitting_run
    folder = choose(request.runs, request.name, inputs)
    if folder != named:
        session.report(f"Run {folder.name}; {named.name} stays unchanged")
    return folder


def _with_fitting_run(
    problem: RunInputsError, request: RunRequest, inputs: Callable[[Ledger], Any]
) -> RunInputsError:
    from lawtags_client.runs.naming import matching_run

    fitting = matching_run(request.runs, request.name, inputs)
    if fitting is None:
        return problem
    hint = f"{fitting.name} has these inputs: resume it with --name {fitting.name}"
    return RunInputsError(problem.message, hint=f"{hint}, or add --new.", differences=problem.differences)


def _inputs(
    recipe: Recipe, data: list[str], test: Path | None, services: dict[str, str] | None, ledger: Ledger
) -> Any:
    from lawtags_client.runs.identity import inputs_of

    return inputs_of(recipe, data, test, services, run_id=str(ledger.fact("run_id")))


def training_of(folder: Path) -> str | None:
    """The job that a run waits for at the moment."""
    from lawtags_client.intents import SqliteIntents
    from lawtags_client.runs.ledger import Ledger

    path = folder / "ledger.sqlite"
    stage = Ledger(path).stage("customize") if path.exists() else None
    if stage is None or stage.status != "running":
        return None
    jobs = [intent.remote_id for intent in SqliteIntents(path).all() if intent.kind == "customization"]
    return jobs[-1] if jobs else None


def _absolute(source: str) -> str:
    if source.startswith("hf://"):
        return source
    path = str(Path(source).absolute())
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"{path}: a run records where its questions are, and this name is not UTF-8", hint="Rename it."
        ) from None
    return path


def _recorded_data(folder: Path, test: Path | None) -> tuple[list[str], Path | None]:
    """What the run was given before, so that resuming it needs no more than its name."""
    from lawtags_client.runs.ledger import Ledger

    path = folder / "ledger.sqlite"
    ledger = Ledger(path) if path.exists() else None
    recorded = ledger.fact("data") if ledger else None
    if ledger is None or not recorded:
        raise ConfigurationError(
            f"no questions were given, and no run {folder.name!r} has recorded any",
            hint="Pass them with --data FILE.",
        )
    tested = ledger.fact("test")
    return list(recorded), test or (Path(tested) if tested else None)


def print_result(session: Session, result: RunResult) -> None:
    """Print a run's verdict, or emit it as JSON."""
    import json

    from lawtags_client.cli.verdict import print_verdict

    metrics = json.loads((result.folder / "metrics.json").read_text())
    if session.json:
        session.emit({"run": str(result.folder), "redone": result.redone, **metrics})
    else:
        print_verdict(session.console, metrics)
