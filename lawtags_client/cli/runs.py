"""``lawtags runs`` and ``lawtags report``: the runs in a folder, and what came of them."""

from __future__ import annotations

from dataclasses import asdict, astuple
from typing import Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.options import DEFAULT_RUNS, Run, Runs
from lawtags_client.cli.session import Session
from lawtags_client.errors import DataError

app = typer.Typer(help="Runs in this folder: list, show, compare.", no_args_is_help=True)


@app.command("ls")
@command
def ls(session: Session, runs: Runs = DEFAULT_RUNS) -> None:
    """List the runs, newest first. Example: lawtags runs ls --json"""
    from lawtags_client.runs.overview import all_runs, overview

    rows = []
    for folder in all_runs(runs):
        try:
            rows.append(overview(folder))
        except DataError as problem:
            # One that is damaged must not hide the others.
            session.report(f"{folder.name}: {problem.message}")
    if not rows:
        session.report(
            f"No runs in {runs} yet. Start one with: lawtags demo, or lawtags run RECIPE --data FILE"
        )
        return
    if session.json:
        session.emit(map(asdict, rows))
        return
    session.table(
        ("run", "recipe", "stages done", "state", "tagger micro F1", "test rows"),
        [[None if value is None else str(value) for value in row] for row in map(astuple, rows)],
    )


@app.command("show")
@command
def show(session: Session, run: Run, runs: Runs = DEFAULT_RUNS) -> None:
    """Show a run's stages, and its verdict if there is one. Example: lawtags runs show demo"""
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
    if details.metrics:
        print_verdict(session.console, details.metrics, details.repeats)


@app.command("compare")
@command
def compare(
    session: Session,
    first: Run,
    second: Annotated[str, typer.Argument(help="Name or folder of another run.")],
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Compare the figures of two runs side by side. Example: lawtags runs compare demo demo-long"""
    from lawtags_client.runs.comparison import compare_runs
    from lawtags_client.runs.overview import find_run

    found = compare_runs(find_run(runs, first), find_run(runs, second))
    if session.json:
        session.emit({"first": first, "second": second, **asdict(found)})
        return
    rows = [
        (row.system, row.metric, _figure(row.first), _figure(row.second), _figure(row.difference, "+"))
        for row in found.figures
    ]
    session.table(("system", "metric", first, second, "difference"), rows)
    for line in found.lost:
        session.say(line)
    if not found.same_test_rows:
        session.say("The runs have different test rows: their figures are not directly comparable.")


@command
def report(session: Session, run: Run, runs: Runs = DEFAULT_RUNS) -> None:
    """Rebuild a run's report and print its path. Example: lawtags report demo"""
    from lawtags_client.runs.overview import find_run
    from lawtags_client.runs.report import rebuild_report

    path = rebuild_report(find_run(runs, run))
    if session.json:
        session.emit({"report": str(path)})
    else:
        session.say(str(path))


def _figure(value: float | None, sign: str = "") -> str | None:
    return None if value is None else f"{value:{sign}.3f}"
