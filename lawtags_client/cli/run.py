"""``lawtags run`` and ``plan``: a recipe carried to its end, or to its plan."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from lawtags_client.cli.interruption import CancelOnInterrupt
from lawtags_client.cli.session import Json, NoInput, Profile, Session, Verbose, command
from lawtags_client.errors import ConfigurationError

Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data", "-d", help="Labelled questions: JSONL, JSON array, CSV, Parquet, or hf://datasets/NS/NAME."
    ),
]
Test = Annotated[Path | None, typer.Option("--test", help="Labelled questions that are only scored.")]
Name = Annotated[
    str | None, typer.Option("--name", "-n", help="Name of the run; the recipe's name by default.")
]
Runs = Annotated[Path, typer.Option("--runs", help="Folder that holds the runs.")]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", help="Dask scheduler for curation, tcp://HOST:PORT.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Replace a value of the recipe, e.g. training.epochs=3; repeatable."),
]


@command
def run(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a bundled one.")],
    data: Data = None,
    test: Test = None,
    name: Name = None,
    runs: Runs = Path("runs"),
    scheduler: Scheduler = None,
    settings: Set = None,
    cancel_on_interrupt: CancelOnInterrupt = False,
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Carry a recipe from raw questions to a verdict; the same command again goes on where it stopped.

    Example: lawtags run gemma-2-2b --data questions.jsonl --profile cluster
    """
    from lawtags_client.runs.verdict import require

    session = Session(as_json, profile, verbose, no_input, cancel_on_interrupt)
    result = execute_recipe(session, recipe, data, test, name, runs, scheduler, settings, until=None)
    tell_result(session, result)
    require(result.outputs["evaluate"]["gates"])


@command
def plan(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a bundled one.")],
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

    Example: lawtags plan smollm2-demo --data questions.jsonl --set training.epochs=2
    """
    session = Session(as_json, profile, verbose, no_input)
    result = execute_recipe(session, recipe, data, test, name, runs, scheduler, settings, until="plan")
    planned = result.outputs["plan"]["plan"]
    if as_json:
        session.emit(planned)
        return
    import yaml

    session.say(yaml.safe_dump(planned, sort_keys=False, allow_unicode=True).rstrip())


def execute_recipe(
    session: Session,
    recipe: str,
    data: list[str] | None,
    test: Path | None,
    name: str | None,
    runs: Path,
    scheduler: str | None,
    settings: list[str] | None,
    *,
    until: str | None,
) -> Any:
    """Carry a recipe as far as asked, with the progress that fits the place."""
    from lawtags_client.cli.overrides import parse_settings
    from lawtags_client.curation.sources import find_sources
    from lawtags_client.intents import SqliteIntents
    from lawtags_client.platform.v1 import V1Platform
    from lawtags_client.runs.recipe import load_recipe
    from lawtags_client.runs.run import execute

    loaded = load_recipe(recipe, parse_settings(settings or []))
    folder = runs / _checked(name or loaded.name)
    if data:
        sources = [_absolute(source) for source in data]
    else:
        sources, test = _recorded_data(folder, test)
    # What cannot work leaves no folder of a run behind.
    find_sources(sources, test)
    session.followed = lambda: training_of(folder)

    async def work() -> Any:
        # A run keeps its intents in its own ledger, so that the folder alone is enough to resume it.
        async with session.client(intents=SqliteIntents(folder / "ledger.sqlite")) as nemo:
            with session.progress() as progress:
                return await execute(
                    folder=folder,
                    profile=session.profile,
                    recipe=loaded,
                    data=sources,
                    test=test.absolute() if test else None,
                    platform=V1Platform(nemo),
                    progress=progress,
                    scheduler=scheduler,
                    until=until,
                )

    return session.run(work())


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
    return source if source.startswith("hf://") else str(Path(source).absolute())


def _checked(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]{0,99}", name):
        raise ConfigurationError(
            f"{name!r} cannot be the name of a run",
            hint="Letters, digits, '-', '_' and '.'; --runs names the folder that holds the runs.",
        )
    return name


def _recorded_data(folder: Path, test: Path | None) -> tuple[list[str], Path | None]:
    """What the run was given before, so that resuming it needs no more than its name."""
    from lawtags_client.runs.ledger import Ledger

    path = folder / "ledger.sqlite"
    ledger = Ledger(path) if path.exists() else None
    recorded = ledger.fact("data") if ledger else None
    if ledger is None or not recorded:
        raise ConfigurationError("no questions were named", hint="Give them with --data FILE.")
    tested = ledger.fact("test")
    return list(recorded), test or (Path(tested) if tested else None)


def tell_result(session: Session, result: Any) -> None:
    """Print a run's verdict, or emit it as JSON."""
    import json

    from lawtags_client.cli.verdict import tell_verdict

    metrics = json.loads((result.folder / "metrics.json").read_text())
    if session.json:
        session.emit({"run": str(result.folder), "redone": result.redone, **metrics})
    else:
        tell_verdict(session.console, metrics)
