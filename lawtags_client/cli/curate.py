"""``lawtags curate``: questions in, the Customizer's layout out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lawtags_client.cli.session import Json, NoInput, Profile, Session, Verbose, command


@command
def curate(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="JSONL, JSON array, CSV, Parquet or Posts.xml files, patterns, or hf://datasets/NS/NAME."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the rows; files in it are replaced.")],
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", help="Take the curation section of this recipe.")
    ] = None,
    test: Annotated[
        Path | None, typer.Option("--test", help="Labelled questions that become the testing part.")
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option("--tokenizer", help="Tokenizer of the base model: a folder or tokenizer.json."),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="Dask scheduler, tcp://HOST:PORT.")
    ] = None,
    on_bad_row: Annotated[
        str | None, typer.Option("--on-bad-row", help="fail, skip or quarantine (the default).")
    ] = None,
    max_bad: Annotated[
        float | None, typer.Option("--max-bad", help="Share of unreadable rows that fails the whole; 0.01.")
    ] = None,
    synonyms: Annotated[
        Path | None, typer.Option("--synonyms", help="CSV or YAML file of synonyms and the tags they mean.")
    ] = None,
    min_tag_count: Annotated[
        int | None, typer.Option("--min-tag-count", help="Take off tags on fewer questions than this.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Replace an option, e.g. split.training=0.95; repeatable."),
    ] = None,
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Clean, filter, split and format questions; refused rows go to rejected.jsonl with the reason.

    Example: lawtags curate questions.jsonl --out curated --set pii.action=redact
    """
    from lawtags_client.cli.overrides import parse_settings
    from lawtags_client.curation import CurationOptions
    from lawtags_client.curation import curate as run_curation
    from lawtags_client.runs.recipe import load_recipe, merged
    from lawtags_client.runs.tokens import token_counter

    session = Session(as_json, profile, verbose, no_input)
    loaded = load_recipe(recipe) if recipe else None
    options: dict[str, Any] = dict(loaded.curation) if loaded else {}
    given = {"on_bad_row": on_bad_row, "max_bad": max_bad}
    options |= {name: value for name, value in given.items() if value is not None}
    tags = {"synonyms": str(synonyms) if synonyms else None, "min_count": min_tag_count}
    options = merged(options, {"tags": {name: value for name, value in tags.items() if value is not None}})
    options = merged(options, parse_settings(settings or []))
    counter = token_counter(tokenizer or (loaded.model.tokenizer if loaded else None))
    with session.progress() as progress:
        report = run_curation(
            inputs,
            out,
            CurationOptions.from_dict(options),
            test=test,
            scheduler=scheduler,
            count_tokens=counter.count if counter.exact else None,
            on_progress=lambda step: progress.update(step.done, step.total, step.step),
        )
    if as_json:
        session.emit(report.as_dict())
        return
    session.table(
        ("step", "rows in", "rows out", "seconds", ""),
        [
            (step.name, str(step.rows_in), str(step.rows_out), f"{step.seconds:.2f}", step.note)
            for step in report.steps
        ],
    )
    for note in report.notes:
        session.say(note)
    parts = ", ".join(f"{rows} {part}" for part, rows in report.splits.items())
    session.say(f"{parts} rows in {out}; refused rows in {out / 'rejected.jsonl'}")
