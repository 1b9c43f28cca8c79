"""``lawtags runs`` and ``lawtags report``: the runs in a folder, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.options import DEFAULT_RUNS, CancelOnInterrupt, Run, Runs, Scheduler, Set
from lawtags_client.cli.run_metrics import metrics
from lawtags_client.cli.session import Session
from lawtags_client.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from lawtags_client.runs.overview import RunOverview

app = typer.Typer(
    help="Runs in this folder: list, show, compare, redo, undo, remove, metrics.", no_args_is_help=True
)
app.command("metrics")(metrics)


@app.command("ls")
@command
def ls(session: Session, runs: Runs = DEFAULT_RUNS) -> None:
    """List the runs, newest first. Example: lawtags runs ls --json"""
    from lawtags_client.runs.overview import all_runs, overview

    rows, damaged = [], False
    for folder in all_runs(runs):
        try:
            rows.append(overview(folder))
        except DataError as problem:
            # One that is damaged must not hide the others.
            session.report(f"{folder.name}: {problem.message}")
            damaged = True
    if not rows:
        if not damaged:
            session.report(
                f"No runs in {runs} yet. Start one with: lawtags demo, or lawtags run RECIPE --data FILE"
            )
        return
    if session.json:
        session.emit(map(asdict, rows))
        return
    session.table(
        ("run", "started", "state", "tagger micro F1", "test rows", "stages done", "recipe", "ID"),
        [_row(found) for found in rows],
        optional=("ID", "recipe", "stages done", "test rows"),
    )


@app.command("show")
@command
def show(session: Session, run: Run, runs: Runs = DEFAULT_RUNS) -> None:
    """Show a run's stages, estimated and measured values, and the verdict. Example: lawtags runs show demo"""
    from lawtags_client.cli.verdict import print_verdict
    from lawtags_client.runs.overview import RunDetails, find_run

    details = RunDetails.of(find_run(runs, run))
    if session.json:
        metrics = details.metrics and details.metrics.as_json()
        repeats = details.repeats and details.repeats.as_json()
        session.emit({**asdict(details), "metrics": metrics, "repeats": repeats})
        return
    session.table(
        ("stage", "status", "seconds", "result"),
        [
            (
                stage.stage,
                stage.status,
                None if stage.seconds is None else f"{stage.seconds:.1f}",
                stage.result,
            )
            for stage in details.stages
        ],
    )
    session.table(
        ("quantity", "estimate", "fact", "deviation"),
        [(each.quantity, *each.words) for each in details.estimates if not each.known_from_stages],
        title="Estimate and measurement",
    )
    if details.metrics:
        print_verdict(session.console, details.metrics, details.repeats)


@app.command("compare")
@command
def compare(
    session: Session,
    names: Annotated[
        list[str],
        typer.Argument(metavar="RUN RUN...", help="Names of two or more runs, or their beginnings."),
    ],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a page, which opens offline.")
    ] = None,
    system: Annotated[
        str | None,
        typer.Option("--system", help="System whose tags and questions the page shows; tagger by default."),
    ] = None,
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Compare runs with the first one: figures, intervals of the differences, questions won and lost.

    Example: lawtags runs compare demo demo-2 demo-3

    Example: lawtags runs compare demo demo-2 --html comparison.html
    """
    from lawtags_client.cli.comparison import print_comparison
    from lawtags_client.extras import require
    from lawtags_client.runs.comparison import compare_runs
    from lawtags_client.runs.comparison_page import write_comparison
    from lawtags_client.runs.overview import find_run

    if len(names) < 2:
        raise ConfigurationError("a comparison needs two runs", hint="Name at least two runs.")
    if system is not None and html is None:
        raise ConfigurationError("--system is for the page", hint="Add --html FILE.")
    folders = [find_run(runs, name) for name in names]
    if twice := next((folder for folder in folders if folders.count(folder) > 1), None):
        raise ConfigurationError(f"run {twice.name!r} is named twice", hint="Name each run once.")
    found = compare_runs(folders)
    if html is not None:
        require(("report",), "the page")
        write_comparison(found, folders, html, system)
        session.report(f"Page: {html}")
    if session.json:
        session.emit(asdict(found))
    else:
        print_comparison(session, found)


@app.command("redo")
@command
def redo(
    session: Session,
    run: Run,
    stage: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="STAGE",
            help="Repeat this stage and those after it, in a new run that takes over the stages before it.",
        ),
    ] = None,
    runs: Runs = DEFAULT_RUNS,
    scheduler: Scheduler = None,
    settings: Set = None,
    cancel_on_interrupt: CancelOnInterrupt = False,
) -> None:
    """Resume a run with its recorded recipe and data, or repeat a part of it as the next run.

    With --from, the run stays as it is. Repeat the command to resume the new run.

    Example: lawtags runs redo gemma-2-2b-2026-11-27

    Example: lawtags runs redo demo --from predict --set evaluation.max_tags=3
    """
    from lawtags_client.cli.overrides import parse_settings
    from lawtags_client.cli.run import carry_out, end_with_verdict
    from lawtags_client.extras import require
    from lawtags_client.runs.facts import RunFacts
    from lawtags_client.runs.overview import find_run
    from lawtags_client.runs.redo import recorded_recipe, take_over
    from lawtags_client.runs.run_request import RunRequest

    require(("curate", "tag", "report"), "a run")
    folder = find_run(runs, run)
    recipe = recorded_recipe(folder, parse_settings(settings or []))
    facts = RunFacts.of_folder(folder)
    session.profile = session.profile or facts.profile
    session.cancel_on_interrupt = cancel_on_interrupt
    test = Path(facts.test) if facts.test else None
    services = session.services()
    if stage is not None:
        folder = take_over(folder, stage, recipe)
        session.report(f"Run {folder.name} takes over the stages before {stage}")
    request = RunRequest(
        recipe, facts.data, test, folder.name, folder.parent, scheduler=scheduler, services=services
    )
    end_with_verdict(session, carry_out(session, request, folder))


@app.command("undo")
@command
def undo(
    session: Session,
    run: Annotated[str, typer.Argument(help="Name of a run, in full; or sweeps/NAME for all its trials.")],
    runs: Runs = DEFAULT_RUNS,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove what a run has made on its platform: jobs, models, datasets. Its folder and results stay.

    What another run of the folder needs stays, and so does what the API cannot delete; both are listed.

    Example: lawtags runs undo demo-2 --yes

    Example: lawtags runs undo sweeps/gemma-2-2b
    """
    from lawtags_client.cli.undoing import carry_out_undo
    from lawtags_client.runs.facts import RunFacts
    from lawtags_client.runs.overview import find_runs

    for folder in find_runs(runs, run):
        session.profile = session.profile or RunFacts.of_folder(folder).profile
        carry_out_undo(session, folder, yes=yes)


@app.command("rm")
@command
def rm(
    session: Session,
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="Names of runs, in full.")],
    runs: Runs = DEFAULT_RUNS,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    keep_on_platform: Annotated[
        bool, typer.Option("--keep-on-platform", help="Leave its jobs, models and datasets there.")
    ] = False,
) -> None:
    """Delete the folders of runs permanently. Example: lawtags runs rm demo-2 --yes

    First remove what a run made on a platform: lawtags runs undo RUN.
    """
    from lawtags_client.intents import SqliteIntents
    from lawtags_client.runs.overview import find_run
    from lawtags_client.runs.removal import finish_removal, remove_run
    from lawtags_client.settings import Settings, default_intents_path

    # What is removed for good is named in full.
    folders = [
        runs / name if finish_removal(runs / name) else find_run(runs, name, whole=True) for name in names
    ]
    store = SqliteIntents(Settings.load(session.profile).intents_path or default_intents_path())
    for folder in dict.fromkeys(folders):
        if not yes and not session.confirm(f"Remove {folder} for good?"):
            raise ConfigurationError(f"{folder} stays", hint="Confirm the removal, or add --yes.")
        if folder.exists():
            remove_run(folder, store, keep_on_platform=keep_on_platform)
        if session.json:
            session.emit({"removed": str(folder)})
        else:
            session.say(f"Removed {folder}")


@app.command("curve")
@command
def curve(
    session: Session,
    run: Run,
    system: Annotated[
        str, typer.Option("--system", help="tfidf, or retriever with the encoder of the run.")
    ] = "retriever",
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Sub-samples of each size.")] = 3,
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Estimate what twice the data would bring, from fits on an eighth, a quarter, half and all of the rows.

    Only this machine computes. The report shows the curve: lawtags report RUN.

    Example: lawtags runs curve demo --system tfidf
    """
    from lawtags_client.extras import require
    from lawtags_client.runs.learning_curve import measure_learning_curve
    from lawtags_client.runs.overview import find_run

    require(("tag",), "a learning curve")
    folder = find_run(runs, run)
    with session.progress() as progress:
        found = measure_learning_curve(folder, system, repeats=repeats, on_progress=progress.update)
    if session.json:
        session.emit({**asdict(found), "sentence": found.sentence})
        return
    session.table(
        ("training rows", "micro F1 [95 %]", "sub-samples"),
        [
            (f"{each.rows:,}", f"{each.micro_f1:.3f} [{each.low:.3f}, {each.high:.3f}]", str(each.samples))
            for each in found.points
        ],
        title=f"Learning curve of {system}",
    )
    session.say(found.sentence)


@app.command("export")
@command
def export(
    session: Session,
    run: Run,
    seed_layout: Annotated[
        Path, typer.Option("--seed-layout", metavar="DIR", help="New folder, laid out as NeMo's results/.")
    ],
    runs: Runs = DEFAULT_RUNS,
    system: Annotated[
        str, typer.Option("--system", help="System whose tags are the predictions of test_results.")
    ] = "tagger",
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Also fetch adapter or weights from the platform.")
    ] = False,
) -> None:
    """Export a run as the folder results/ of NeMo Framework: arguments, hyperparameters, events, predictions.

    Example: lawtags runs export demo --seed-layout results

    Example: lawtags runs export demo --seed-layout results --checkpoints --profile local
    """
    from lawtags_client.runs.facts import RunFacts
    from lawtags_client.runs.overview import find_run
    from lawtags_client.runs.seed_layout import export_seed_layout

    folder = find_run(runs, run)
    done = export_seed_layout(folder, seed_layout, system=system)
    files = list(done.files)
    if checkpoints:
        from lawtags_client.platform.fetching import fetch_model
        from lawtags_client.platform.model_files import FetchedModel
        from lawtags_client.runs.lineage import Lineage

        session.profile = session.profile or RunFacts.of_folder(folder).profile
        model = Lineage.read(folder).model or ""

        async def work() -> FetchedModel:
            async with session.client() as nemo:
                return await fetch_model(nemo, model, seed_layout / "checkpoints" / model.replace("/", "--"))

        fetched = session.run(work())
        files += [str((fetched.folder / name).relative_to(seed_layout)) for name in sorted(fetched.files)]
    if session.json:
        session.emit({"folder": str(seed_layout), "files": files})
        return
    session.say(str(seed_layout))
    for name in files:
        session.say(f"  {name}")


@command
def report(session: Session, run: Run, runs: Runs = DEFAULT_RUNS) -> None:
    """Rebuild a run's report and print its path. Example: lawtags report demo"""
    from lawtags_client.runs.overview import find_run
    from lawtags_client.runs.report import rebuild_report

    folder = find_run(runs, run)
    session.begin()
    path = rebuild_report(folder)
    if session.json:
        session.emit({"report": str(path)})
    else:
        session.say(str(path))


def _row(found: RunOverview) -> list[str | None]:
    shown: Mapping[str, object] = asdict(found)
    started = found.started and found.started[:16].replace("T", " ")
    names = ("state", "tagger_micro_f1", "test_rows", "done", "recipe", "run_id")
    return [found.run, started, *(None if shown[name] is None else str(shown[name]) for name in names)]
