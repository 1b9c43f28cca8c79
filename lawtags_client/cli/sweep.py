"""``lawtags sweep``: many trainings, ranked by their validation loss."""

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
from lawtags_client.extras import require

if TYPE_CHECKING:
    from lawtags_client.platform import Platform
    from lawtags_client.runs.sweeping.sweep import SweepResult


@command
def sweep(
    session: Session,
    recipe: Recipe,
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE,VALUE]...", help="Further dimensions.")
    ] = None,
    over: Annotated[
        list[str] | None,
        typer.Option("--over", help="Option of training and its values, e.g. learning_rate=1e-4,3e-4."),
    ] = None,
    data: Data = None,
    test: Test = None,
    name: Name = None,
    runs: Runs = DEFAULT_RUNS,
    settings: Set = None,
    concurrency: Annotated[int, typer.Option("--concurrency", help="Jobs at a time.")] = 1,
    budget: Annotated[
        int | None, typer.Option("--budget", help="Most optimizer steps of all jobs together.")
    ] = None,
    halving: Annotated[
        int | None,
        typer.Option("--halving", help="Successive halving: keep one in N, with N times the steps."),
    ] = None,
) -> None:
    """Train every combination of options, and rank them by the lowest validation loss. Repeat it to resume.

    Combinations that differ in the seed alone are ranked by their mean. No job is submitted twice.

    Example: lawtags sweep smollm2-demo --data q.jsonl --over learning_rate=1e-4,3e-4 adapter_dim=8,32
    """
    require(("curate",), "a sweep")
    from lawtags_client.curation.read.sources import find_sources
    from lawtags_client.intents import SqliteIntents
    from lawtags_client.platform.choice import run_platform
    from lawtags_client.runs.naming import sweep_folder
    from lawtags_client.runs.run_request import RunRequest
    from lawtags_client.runs.sweeping.grid import parse_dimensions, points_of
    from lawtags_client.runs.sweeping.sweep import Sweep, SweepOptions, check_options

    options = SweepOptions(concurrency=concurrency, budget=budget, factor=halving)
    check_options(options)
    points = points_of(parse_dimensions([*(over or []), *(more or [])]))
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
        return
    rows = [
        (group, str(rung), "-" if loss is None else f"{loss:.4f}", str(seeds))
        for group, rung, loss, seeds in result.ranked()
    ]
    session.table(("combination", "rung", "validation loss", "trainings"), rows)
    for trial in result.trials:
        if trial.problem:
            session.say(f"{trial.group}, {trial.run}: {trial.problem}")
    if result.left_out:
        session.say(f"{result.left_out} trainings were left out: the budget is {budget:,} steps.")
    if result.trials and result.trials[0].model:
        session.say(f"Best: {result.trials[0].group}, {result.trials[0].model}")
    session.say(f"{len(result.trials)} jobs with {result.steps:,} steps; {folder / 'sweep.json'}")
