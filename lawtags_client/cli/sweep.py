"""``lawtags sweep``: many trainings, ranked by the validation rows."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.options import DEFAULT_RUNS, Data, Name, Recipe, Runs, Set, Test
from lawtags_client.cli.run import loaded_recipe
from lawtags_client.cli.session import Session
from lawtags_client.errors import LawtagsError
from lawtags_client.extras import require

if TYPE_CHECKING:
    from lawtags_client.platform import Platform
    from lawtags_client.runs.sweeping.result import SweepResult


@command
def sweep(
    session: Session,
    recipe: Recipe,
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE,VALUE]...", help="Further dimensions.")
    ] = None,
    over: Annotated[
        list[str] | None,
        typer.Option("--over", help="Key of the recipe and its values, e.g. learning_rate=1e-4,3e-4."),
    ] = None,
    data: Data = None,
    test: Test = None,
    name: Name = None,
    runs: Runs = DEFAULT_RUNS,
    settings: Set = None,
    concurrency: Annotated[int, typer.Option("--concurrency", help="Trainings at a time.")] = 1,
    budget: Annotated[
        int | None, typer.Option("--budget", help="Maximum number of optimizer steps over all jobs.")
    ] = None,
    halving: Annotated[
        int | None,
        typer.Option("--halving", help="Successive halving: keep one in N, with N times the steps."),
    ] = None,
) -> None:
    """Train every combination of options, and rank them by the validation rows. Repeat it to resume.

    Options of training are ranked by the lowest validation loss, others by micro F1 of the tags. Combinations
    that differ in the seed alone are ranked by their mean. No job is submitted twice.

    Example: lawtags sweep smollm2-demo --data q.jsonl --over learning_rate=1e-4,3e-4 adapter_dim=8,32
    """
    require(("curate",), "a sweep")
    from lawtags_client.curation.read.sources import find_sources
    from lawtags_client.intents import SqliteIntents
    from lawtags_client.platform.choice import run_platform
    from lawtags_client.runs.naming import sweep_folder
    from lawtags_client.runs.run_request import RunRequest
    from lawtags_client.runs.sweeping.dimensions import parse_dimensions
    from lawtags_client.runs.sweeping.grid import points_of
    from lawtags_client.runs.sweeping.sweep import Sweep, SweepOptions, check_options

    options = SweepOptions(concurrency=concurrency, budget=budget, factor=halving)
    dimensions = parse_dimensions([*(over or []), *(more or [])])
    check_options(options, list(dimensions))
    points = points_of(dimensions)
    loaded = loaded_recipe(recipe, settings)
    request = RunRequest.of(loaded, data=data, test=test, name=name or loaded.name, runs=runs)
    find_sources(request.data, request.test)
    folder = sweep_folder(runs, request.name)

    @contextlib.asynccontextmanager
    async def opened(run: Path) -> AsyncIterator[Platform]:
        async with (
            session.client(intents=SqliteIntents(run / "ledger.sqlite")) as nemo,
            run_platform(nemo) as platform,
        ):
            yield platform

    async def work() -> SweepResult:
        with session.progress() as progress:
            return await Sweep(
                folder,
                loaded,
                request.data,
                request.test,
                points,
                options,
                opened,
                progress,
                session.profile,
            ).run()

    result = session.run(work())
    if session.json:
        session.emit(asdict(result))
        _require_figure(result)
        return
    by_loss = result.measure == "val_loss"
    rows = [
        (group, str(rung), "-" if figure is None else f"{figure:.{4 if by_loss else 3}f}", str(seeds))
        for group, rung, figure, seeds in result.ranked()
    ]
    told = "validation loss" if by_loss else "validation micro F1"
    session.table(("combination", "rung", told, "trainings"), rows)
    for trial in result.trials:
        if trial.problem:
            session.say(f"{trial.group}, {trial.run}: {trial.problem}")
    if result.left_out:
        session.say(f"{result.left_out} trainings were left out: the budget is {budget:,} steps.")
    if result.best:
        best, *alike = result.best
        session.say(f"Best: {best.group}" + (f", {best.model}" if best.model else ""))
        if alike:
            session.say(f"With the same figure: {', '.join(trial.group for trial in alike)}")
    jobs = sum(trial.job is not None for trial in result.trials)
    counted = f"{jobs} jobs with {result.steps:,} steps" if result.steps else f"{len(result.trials)} trials"
    session.say(f"{counted}; {folder / 'sweep.json'}")
    _require_figure(result)


def _require_figure(result: SweepResult) -> None:
    if result.trials and not result.best:
        raise LawtagsError(
            "no combination has a figure", hint="The reasons are above. Repeat it to try again."
        )
