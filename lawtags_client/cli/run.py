"""``lawtags run``: a recipe carried out to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.cli.command import command
from lawtags_client.cli.options import (
    DEFAULT_RUNS,
    CancelOnInterrupt,
    Data,
    Gpu,
    Name,
    New,
    Publish,
    Rates,
    Recipe,
    Runs,
    Scheduler,
    Set,
    Test,
)
from lawtags_client.cli.session import Session
from lawtags_client.errors import RunInputsError
from lawtags_client.extras import require

if TYPE_CHECKING:
    from lawtags_client.runs.recipe import Recipe as RunRecipe
    from lawtags_client.runs.run import RunResult
    from lawtags_client.runs.run_request import OnNameTaken, RunRequest
    from lawtags_client.settings import Settings
    from lawtags_client.tracking.mlflow import MlflowRun

_EXTRAS = ("curate", "tag", "report")


@command
def run(
    session: Session,
    recipe: Recipe,
    data: Data = None,
    test: Test = None,
    name: Name = None,
    new: New = False,
    runs: Runs = DEFAULT_RUNS,
    scheduler: Scheduler = None,
    settings: Set = None,
    rates: Rates = None,
    gpu: Gpu = None,
    publish: Publish = None,
    cancel_on_interrupt: CancelOnInterrupt = False,
) -> None:
    """Run a recipe from raw questions to a verdict; repeat the command to resume.

    Without --name, a run is called RECIPE-DATE, and the same inputs resume their run on any day.

    A run is never overwritten: with different data, options or services, add --new or --name.

    Example: lawtags run gemma-2-2b --data questions.jsonl --profile cluster
    """
    require(_EXTRAS, "a run")
    from lawtags_client.runs.publication import publication_target
    from lawtags_client.runs.run_request import OnNameTaken, RunRequest

    session.cancel_on_interrupt = cancel_on_interrupt
    target = publish and publication_target(publish)
    request = RunRequest.of(
        loaded_recipe(recipe, settings, rates=rates, gpu=gpu),
        data=data,
        test=test,
        name=name,
        runs=runs,
        scheduler=scheduler,
    )
    result = execute_recipe(session, request, OnNameTaken.START_NEXT if new else OnNameTaken.REFUSE)
    end_with_verdict(session, result, publish_to=target)


def execute_recipe(session: Session, request: RunRequest, on_name_taken: OnNameTaken) -> RunResult:
    """Carry out a recipe, with the progress that fits the console.

    Args:
        session: the command.
        request: the run.
        on_name_taken: what to do if a run of this name has different inputs.

    Raises:
        RunInputsError: the run was made from other inputs and has results.
        LawtagsError: a stage failed.
    """
    from lawtags_client.curation.read.sources import find_sources

    # An impossible run must not leave a folder behind.
    find_sources(request.data, request.test)
    request = replace(request, services=session.services())
    folder = request.chosen_folder(on_name_taken)
    if folder != request.folder and request.folder.exists():
        session.report(f"Run {folder.name}; {request.name} stays unchanged")
    elif not request.named:
        session.report(f"Run {folder.name}")
    try:
        return carry_out(session, request, folder)
    except RunInputsError as problem:
        raise request.with_matching_run(problem) from None


def carry_out(session: Session, request: RunRequest, folder: Path, *, until: str | None = None) -> RunResult:
    """Carry out a recipe in a folder.

    Args:
        session: the command.
        request: the run.
        folder: of the run or the plan.
        until: the last stage; None for all.

    Raises:
        RunInputsError: the run was made from other inputs and has results.
        LawtagsError: a stage failed.
    """
    import asyncio

    from lawtags_client.intents import SqliteIntents
    from lawtags_client.platform.checks import require_platform
    from lawtags_client.platform.choice import run_platform
    from lawtags_client.runs.pipeline import stages
    from lawtags_client.runs.planned import take_over_curation
    from lawtags_client.runs.run import execute

    begun = folder.exists()
    if until is None:
        session.followed = lambda: training_of(folder)

    async def work() -> RunResult:
        if until is None and not begun:
            # Otherwise, minutes of curation could be in vain, and would leave a folder behind.
            async with session.client() as nemo:
                await require_platform(nemo, request.recipe.model.config)
        if until is None:
            await asyncio.to_thread(take_over_curation, request.plan, folder)
        # A run keeps its intents in its own ledger, so that the folder alone is enough to resume it.
        async with (
            session.client(intents=SqliteIntents(folder / "ledger.sqlite")) as nemo,
            run_platform(nemo) as platform,
        ):
            with session.progress() as progress:
                return await execute(
                    folder=folder,
                    profile=session.profile,
                    recipe=request.recipe,
                    data=request.data,
                    test=request.test,
                    platform=platform,
                    progress=progress,
                    steps=stages(request.recipe),
                    scheduler=request.scheduler,
                    until=until,
                    services=request.services,
                    tracker=_tracker(request.recipe, folder, nemo.settings),
                )

    return session.run(work())


def _tracker(recipe: RunRecipe, folder: Path, settings: Settings) -> Callable[[str], MlflowRun] | None:
    """What opens the tracking server of a recipe, given the run's identity."""
    url = recipe.mlflow.uri
    if url is None:
        return None
    from lawtags_client.tracking.mlflow import MlflowRun

    return lambda run_id: MlflowRun(
        url, recipe.mlflow.experiment, run_id=run_id, name=folder.name, settings=settings
    )


def loaded_recipe(
    recipe: str, settings: list[str] | None, *, rates: Path | None = None, gpu: str | None = None
) -> RunRecipe:
    """A recipe with the values of ``--set``, and the hardware of ``--rates`` and ``--gpu``."""
    from lawtags_client.cli.overrides import parse_settings
    from lawtags_client.runs.planning.rates import read_rates
    from lawtags_client.runs.recipe import merged
    from lawtags_client.runs.recipe_loading import load_recipe

    values = parse_settings(settings or [])
    if rates is not None or gpu is not None:
        values = merged({"hardware": read_rates(rates, gpu).model_dump(exclude_none=True)}, values)
    return load_recipe(recipe, values)


def training_of(folder: Path) -> str | None:
    """The job that a run, or one of its repeats, waits for at the moment."""
    from lawtags_client.intents import SqliteIntents
    from lawtags_client.runs.overview import stages_at_work

    if "customize" not in stages_at_work(folder):
        return None
    # The jobs of repeats are among the intents of the run.
    path = folder / "ledger.sqlite"
    jobs = [intent.remote_id for intent in SqliteIntents(path).all() if intent.kind == "customization"]
    return jobs[-1] if jobs else None


def end_with_verdict(session: Session, result: RunResult, *, publish_to: str | None = None) -> None:
    """Print a run's verdict, and end the command by it.

    Args:
        session: the command.
        result: what became of the run.
        publish_to: address of a folder to copy the report to, whatever the verdict.

    Raises:
        RowsFailedError: too many rows have no answer.
        GateNotPassedError: a gate is not passed.
    """
    from lawtags_client.runs.gates import require_verdict
    from lawtags_client.runs.outputs import EvaluateOutput
    from lawtags_client.runs.publication import publish_run
    from lawtags_client.runs.repeats import find_repeats

    print_result(session, result)
    if publish_to:
        session.report(f"published: {publish_run(result.folder, publish_to)}")
    require_verdict(result.left(EvaluateOutput), find_repeats(result.folder))


def print_result(session: Session, result: RunResult) -> None:
    """Print a run's verdict, or emit it as JSON."""
    from lawtags_client.cli.verdict import print_verdict
    from lawtags_client.runs.metrics import read_metrics
    from lawtags_client.runs.repeats import find_repeats

    metrics, repeats = read_metrics(result.folder), find_repeats(result.folder)
    if session.json:
        shown: Mapping[str, object] = {"run": str(result.folder), "redone": result.redone}
        session.emit({**shown, **metrics.as_json(), "repeats": repeats and repeats.as_json()})
    else:
        print_verdict(session.console, metrics, repeats)
