"""``lawtags plan``: what a run will be, before anything is paid for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.options import (
    DEFAULT_RUNS,
    Data,
    Gpu,
    Name,
    Rates,
    Recipe,
    Runs,
    Scheduler,
    Set,
    Test,
)
from lawtags_client.cli.run import loaded_recipe
from lawtags_client.cli.session import Session
from lawtags_client.errors import ConfigurationError
from lawtags_client.extras import require

if TYPE_CHECKING:
    from lawtags_client.platform import Platform, TrainingConfig
    from lawtags_client.platform.protocol import Dialect
    from lawtags_client.runs.rehearsal import PlannedRequest
    from lawtags_client.runs.run import RunResult
    from lawtags_client.runs.run_request import RunRequest


@command
def plan(
    session: Session,
    recipe: Recipe,
    data: Data = None,
    test: Test = None,
    name: Name = None,
    runs: Runs = DEFAULT_RUNS,
    scheduler: Scheduler = None,
    settings: Set = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Plan without a platform; the recipe says the config."),
    ] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure in a few seconds how fast this machine trains.")
    ] = False,
    rates: Rates = None,
    gpu: Gpu = None,
) -> None:
    """Show what a run will do: faults of the data, job, memory, time and price. Sends and changes nothing.

    A plan has its own folder, plans/NAME in the folder of runs, and changes no run. It ends with exit code 2
    if the platform would refuse the job.

    Examples: lawtags plan smollm2-demo --data questions.jsonl --offline --calibrate

    lawtags plan gemma-2-2b --data questions.jsonl --profile cluster --rates rates.toml
    """
    require(("curate",), "a plan")
    from lawtags_client.curation.read.sources import find_sources
    from lawtags_client.runs.outputs import PlanOutput
    from lawtags_client.runs.plan_view import PlanView
    from lawtags_client.runs.run_request import RunRequest

    loaded = loaded_recipe(recipe, settings, rates=rates, gpu=gpu)
    request = RunRequest.of(loaded, data=data, test=test, name=name, runs=runs, scheduler=scheduler)
    find_sources(request.data, request.test)
    if calibrate:
        _execute(session, request, offline=offline, until="curate")
        _calibrate(session, request)
    result = _execute(session, request, offline=offline)
    planned = result.left(PlanOutput).plan
    requests = _requests(session, request, result, offline=offline)
    view = PlanView.of(result.folder, planned, loaded, requests)
    if session.json:
        session.emit({**asdict(planned), **view.as_json()})
    else:
        for title, lines in view.sections():
            session.say(f"{title}\n" + "\n".join(f"  {line}" for line in lines))
    if any(finding.level == "error" for finding in planned.findings):
        raise typer.Exit(ConfigurationError.exit_code)


def _execute(session: Session, request: RunRequest, *, offline: bool, until: str = "plan") -> RunResult:
    import secrets

    from lawtags_client.runs.pipeline import stages
    from lawtags_client.runs.run import execute
    from lawtags_client.runs.stages.plan import PlanWish

    # What is known of earlier runs and of this machine may have changed, so a plan is always made again.
    wish = PlanWish(secrets.token_hex(8))

    async def work() -> RunResult:
        async with _platform(session, request, offline=offline) as platform:
            with session.progress() as progress:
                return await execute(
                    folder=request.plan,
                    profile=session.profile,
                    recipe=request.recipe,
                    data=request.data,
                    test=request.test,
                    platform=platform,
                    progress=progress,
                    steps=stages(request.recipe, wish),
                    scheduler=request.scheduler,
                    until=until,
                )

    return session.run(work())


def _requests(
    session: Session, request: RunRequest, result: RunResult, *, offline: bool
) -> list[PlannedRequest]:
    """The requests of the run."""
    from lawtags_client.platform.choice import speaks_helix
    from lawtags_client.platform.offline import OfflinePlatform
    from lawtags_client.runs.ledger import Ledger
    from lawtags_client.runs.progress import LoggedProgress
    from lawtags_client.runs.rehearsal import rehearse
    from lawtags_client.runs.stage import RunContext
    from lawtags_client.settings import Settings

    settings, assumed = None if offline else Settings.load(session.profile), _assumed(session, request)
    context = RunContext(
        result.folder,
        request.recipe,
        tuple(request.data),
        request.test,
        OfflinePlatform(assumed),
        Ledger(result.folder / "ledger.sqlite"),
        LoggedProgress(),
        outputs=dict(result.outputs),
    )

    async def work() -> list[PlannedRequest]:
        helix = assumed.dialect == "helix" if settings is None else await speaks_helix(settings)
        dialect: Dialect = "helix" if helix else "v1"
        return await rehearse(context, settings, run=request.folder.name, dialect=dialect)

    return session.run(work())


def _assumed(session: Session, request: RunRequest) -> TrainingConfig:
    """The config of a platform that is not asked."""
    from lawtags_client.runs.planning.assumed import assumed_config, assumed_dialect
    from lawtags_client.settings import Settings

    # The local stack need not run, and may speak either.
    setting = "auto" if session.is_local() else Settings.load(session.profile).dialect
    return assumed_config(request.recipe, assumed_dialect(request.recipe, setting))


@contextlib.asynccontextmanager
async def _platform(session: Session, request: RunRequest, *, offline: bool) -> AsyncIterator[Platform]:
    if offline:
        from lawtags_client.platform.offline import OfflinePlatform

        yield OfflinePlatform(_assumed(session, request))
        return
    from lawtags_client.platform.choice import run_platform

    async with session.client() as nemo, run_platform(nemo) as platform:
        yield platform


def _calibrate(session: Session, request: RunRequest) -> None:
    require(("local",), "a calibration")
    from lawtags_client.runs.planning.calibrating import calibration_wish
    from lawtags_client.runs.planning.speeds import keep_speed
    from lawtags_stack.engines.training.calibration import calibrate
    from lawtags_stack.engines.training.job import LoraSettings, TrainingJob

    wish = calibration_wish(request.recipe, request.plan / "curated")
    training = request.recipe.training
    session.report("Calibrating this machine")
    found = calibrate(
        TrainingJob(
            model=str(wish.model),
            model_name=wish.base_model,
            training=(),
            method=training.method,
            lora=LoraSettings(rank=training.adapter_dim, target_modules=training.target_modules),
            max_seq_length=wish.max_seq_length,
        ),
        wish.rows,
    )
    keep_speed(wish.base_model, training.method, found)
