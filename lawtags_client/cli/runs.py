"""``lawtags runs`` and ``lawtags report``: what runs there are, and what came of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lawtags_client.cli.session import Json, NoInput, Profile, Session, Verbose, command
from lawtags_client.errors import ConfigurationError, DataError

app = typer.Typer(help="Runs in this folder: list, show, compare.", no_args_is_help=True)

Runs = Annotated[Path, typer.Option("--runs", help="Folder of runs.")]


def find_run(runs: Path, name: str) -> Path:
    """The folder of a run, by name or path.

    Raises:
        ConfigurationError: there is none; the message lists those there are.
    """
    for folder in (runs / name, Path(name)):
        if (folder / "ledger.sqlite").is_file():
            return folder
    known = [folder.name for folder in all_runs(runs)]
    raise ConfigurationError(
        f"there is no run {name!r} in {runs}", hint=f"Runs: {', '.join(known) or 'none yet'}"
    )


def all_runs(runs: Path) -> list[Path]:
    """Folders of all runs, the newest first."""
    ledgers = runs.glob("*/ledger.sqlite") if runs.is_dir() else []
    return [path.parent for path in sorted(ledgers, key=lambda path: path.stat().st_mtime, reverse=True)]


def latest_served(runs: Path, name: str | None) -> Path:
    """The folder of a run by name, or of the latest one that has a tagger.

    Raises:
        ConfigurationError: there is none.
    """
    from lawtags_client.runs.tagger import has_tagger

    if name is not None:
        return find_run(runs, name)
    for folder in all_runs(runs):
        if has_tagger(folder):
            return folder
    raise ConfigurationError(
        f"no run in {runs} has a tagger yet", hint="Create one with: lawtags demo. Or pass a --model."
    )


@app.command("ls")
@command
def ls(
    runs: Runs = Path("runs"),
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """List the runs, newest first. Example: lawtags runs ls --json"""
    session = Session(as_json, profile, verbose, no_input)
    rows = []
    for folder in all_runs(runs):
        try:
            rows.append(_overview(folder))
        except DataError as problem:
            # One that is damaged must not hide the others.
            session.report(f"{folder.name}: {problem.message}")
    if as_json:
        session.emit(rows)
        return
    if not rows:
        session.say(f"No runs in {runs} yet. Start one with: lawtags demo, or lawtags run RECIPE --data FILE")
        return
    session.table(
        ("run", "recipe", "stages done", "state", "tagger micro F1", "test rows"),
        [[None if value is None else str(value) for value in row.values()] for row in rows],
    )


@app.command("show")
@command
def show(
    run: Annotated[str, typer.Argument(help="Name or folder of a run.")],
    runs: Runs = Path("runs"),
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Show a run's stages, and its verdict if there is one. Example: lawtags runs show demo"""
    from lawtags_client.cli.verdict import print_verdict
    from lawtags_client.runs.ledger import Ledger

    session = Session(as_json, profile, verbose, no_input)
    folder = find_run(runs, run)
    ledger = Ledger(folder / "ledger.sqlite")
    stages: list[dict[str, Any]] = [
        {
            "stage": record.name,
            "status": record.status,
            "seconds": record.seconds,
            "summary": record.output.get("summary"),
            "error": record.error,
        }
        for record in ledger.stages()
    ]
    metrics = _metrics(folder)
    if as_json:
        session.emit({"run": folder.name, "data": ledger.fact("data"), "stages": stages, "metrics": metrics})
        return
    session.table(
        ("stage", "status", "seconds", "result"),
        [
            (
                stage["stage"],
                stage["status"],
                f"{stage['seconds']:.1f}" if stage["seconds"] is not None else None,
                stage["error"]["message"]
                if stage["error"]
                else ", ".join(f"{name} {value}" for name, value in (stage["summary"] or {}).items()),
            )
            for stage in stages
        ],
    )
    if metrics:
        print_verdict(session.console, metrics)


@app.command("compare")
@command
def compare(
    first: Annotated[str, typer.Argument(help="Name or folder of a run.")],
    second: Annotated[str, typer.Argument(help="Name or folder of another run.")],
    runs: Runs = Path("runs"),
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Compare the figures of two runs side by side. Example: lawtags runs compare demo demo-long"""
    from lawtags_client.runs.verdict import lost_in_words

    session = Session(as_json, profile, verbose, no_input)
    folders = [find_run(runs, name) for name in (first, second)]
    verdicts = [_verdict(folder) for folder in folders]
    a, b = (found["systems"] for found in verdicts)
    lost = [
        f"{folder.name}: {line}"
        for folder, found in zip(folders, verdicts, strict=True)
        for line in lost_in_words(found)
    ]
    unjudged = {entry["system"] for found in verdicts for entry in found.get("incomplete") or []}
    rows = [
        {
            "system": system,
            "metric": metric,
            "first": a[system][metric] if system in a else None,
            "second": b[system][metric] if system in b else None,
        }
        for system in dict.fromkeys((*a, *b))
        for metric in ("micro_f1", "macro_f1", "samples_f1", "exact_match")
    ]
    for row in rows:
        both = row["first"] is not None and row["second"] is not None
        judged = both and row["system"] not in unjudged
        row["difference"] = row["second"] - row["first"] if judged else None
    same = _test_rows(folders[0]) == _test_rows(folders[1])
    if as_json:
        told = {"first": first, "second": second, "same_test_rows": same, "figures": rows, "lost": lost}
        session.emit(told)
        return
    session.table(
        ("system", "metric", first, second, "difference"),
        [
            (
                row["system"],
                row["metric"],
                *(None if row[run] is None else f"{row[run]:.3f}" for run in ("first", "second")),
                None if row["difference"] is None else f"{row['difference']:+.3f}",
            )
            for row in rows
        ],
    )
    for line in lost:
        session.say(line)
    if not same:
        session.say("The runs have different test rows: their figures are not directly comparable.")


@command
def report(
    run: Annotated[str, typer.Argument(help="Name or folder of a run.")],
    runs: Runs = Path("runs"),
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Rebuild a run's report and print its path. Example: lawtags report demo"""
    from lawtags_client.files import atomic_write_text
    from lawtags_client.runs.ledger import Ledger
    from lawtags_client.runs.model_card import attribution, data_licenses
    from lawtags_client.runs.recipe import parse_recipe
    from lawtags_client.runs.report import render_report
    from lawtags_client.runs.rows import read_rows

    session = Session(as_json, profile, verbose, no_input)
    folder = find_run(runs, run)
    recipe = parse_recipe(Ledger(folder / "ledger.sqlite").fact("recipe"))
    questions = folder / "curated" / "questions" / "training.jsonl"
    licenses = data_licenses(recipe, read_rows(questions) if questions.exists() else [])
    path = folder / "report.html"
    atomic_write_text(
        path, render_report(folder, licenses=licenses, attribution=attribution(recipe, licenses))
    )
    if as_json:
        session.emit({"report": str(path)})
    else:
        session.say(str(path))


def _overview(folder: Path) -> dict[str, Any]:
    from lawtags_client.runs.ledger import Ledger

    ledger = Ledger(folder / "ledger.sqlite")
    records = ledger.stages()
    metrics = _metrics(folder)
    ended = "no verdict: rows failed" if metrics and metrics.get("incomplete") else "done"
    return {
        "run": folder.name,
        "recipe": (ledger.fact("recipe") or {}).get("name"),
        "done": sum(record.status == "done" for record in records),
        "state": next((f"{r.status}: {r.name}" for r in reversed(records) if r.status != "done"), ended),
        "tagger_micro_f1": round(metrics["systems"]["tagger"]["micro_f1"], 3) if metrics else None,
        "test_rows": metrics["test_rows"] if metrics else None,
    }


def _metrics(folder: Path) -> dict[str, Any] | None:
    path = folder / "metrics.json"
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise DataError(f"not JSON: {problem}", path=path, hint="Run it again to rebuild it.") from None
    return found


def _verdict(folder: Path) -> dict[str, Any]:
    metrics = _metrics(folder)
    if metrics is None:
        from lawtags_client.runs.naming import resume_command

        raise ConfigurationError(
            f"run {folder.name!r} has no verdict yet", hint=f"Finish it first: {resume_command(folder)}"
        )
    return metrics


def _test_rows(folder: Path) -> list[str]:
    from lawtags_client.runs.rows import read_rows

    return [str(row["id"]) for row in read_rows(folder / "predictions-tagger.jsonl")]
