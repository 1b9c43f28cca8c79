"""``lawtags curate``: questions in, the Customizer's layout out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lawtags_client.cli.session import Json, NoInput, Profile, Session, Verbose, command

if TYPE_CHECKING:
    from lawtags_client.curation import CurationReport

_LEFT = (
    "{} holds the questions as they were read, personal data included; only you can open it. "
    "Delete it unless you resume."
)


@command
def curate(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            help="JSONL, JSON, CSV, TSV, Parquet or Posts.xml files, patterns, or hf://datasets/NS/NAME; "
            "none to --forget questions of a curated folder.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the rows; files in it are replaced.")],
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", help="Use the curation section of this recipe.")
    ] = None,
    test: Annotated[
        Path | None, typer.Option("--test", help="Labeled questions to use as the test set.")
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option("--tokenizer", help="Tokenizer of the base model: a folder or tokenizer.json."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", help="Dask scheduler, tcp://HOST:PORT, whose workers see --out."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            help="Worker processes on this machine; chosen automatically by default.",
            show_default=False,
        ),
    ] = None,
    on_bad_row: Annotated[
        str | None,
        typer.Option("--on-bad-row", help="For unreadable rows: fail, skip or quarantine (the default)."),
    ] = None,
    max_bad: Annotated[
        float | None,
        typer.Option("--max-bad", help="Maximum share of unreadable rows; 0.01 by default."),
    ] = None,
    synonyms: Annotated[
        Path | None, typer.Option("--synonyms", help="CSV or YAML file of synonyms and the tags they mean.")
    ] = None,
    min_tag_count: Annotated[
        int | None, typer.Option("--min-tag-count", help="Remove tags used on fewer questions than this.")
    ] = None,
    split_by: Annotated[
        str | None, typer.Option("--split-by", help="How to split: hash (the default), time or stratified.")
    ] = None,
    forget: Annotated[
        Path | None,
        typer.Option(
            "--forget", help="Questions to leave out or remove: ids or SHA-256 of ids, one per line."
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="With --forget: exit with 1 if an id is not found."),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Replace an option, e.g. split.training=0.95; repeatable."),
    ] = None,
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Clean, filter, split and format questions; rejected rows go to rejected.jsonl with the reason.

    With --forget and no input files, remove the listed questions from every file of a folder that
    was curated before, and rebuild everything that depends on them.

    Example: lawtags curate questions.jsonl --out curated --set pii.action=redact
    """
    import asyncio

    from lawtags_client.cli.curation_progress import show_curation_progress
    from lawtags_client.cli.overrides import parse_settings
    from lawtags_client.curation import CurationOptions
    from lawtags_client.curation import curate as run_curation
    from lawtags_client.curation.staging import WORK_FOLDER
    from lawtags_client.errors import ConfigurationError
    from lawtags_client.runs.recipe import load_recipe, merged
    from lawtags_client.runs.tokens import token_counter

    session = Session(as_json, profile, verbose, no_input)
    loaded = load_recipe(recipe) if recipe else None
    given = {
        "on_bad_row": on_bad_row,
        "max_bad": max_bad,
        "tags.synonyms": str(synonyms) if synonyms else None,
        "tags.min_count": min_tag_count,
        "split.by": split_by,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    counter = token_counter(tokenizer or (loaded.model.tokenizer if loaded else None))
    count_tokens = counter.count if counter.exact else None
    if not inputs:
        if forget is None or wanted or settings or test or scheduler or workers:
            raise ConfigurationError(
                "no input files",
                hint="Pass input files. Without any, use only --forget, --out and --tokenizer.",
            )
        _forget(session, out, forget, count_tokens, strict)
        return
    options = merged(_nested(wanted), parse_settings(settings or []))
    options = merged(loaded.curation if loaded else {}, options)
    with show_curation_progress(session.messages) as told:
        # In a thread, so that a signal ends it at once and with its code.
        work = asyncio.to_thread(
            run_curation,
            inputs,
            out,
            CurationOptions.from_dict(options),
            test=test,
            scheduler=scheduler,
            count_tokens=count_tokens,
            tokenizer=counter.identity if counter.exact else None,
            forget=forget,
            on_progress=told,
            workers=workers,
        )
        report = session.run(work, left_behind=_LEFT.format(out / WORK_FOLDER))
    _show(session, report, out)
    _report_not_found(session, report.not_found, strict)


def _show(session: Session, report: CurationReport, out: Path) -> None:
    from lawtags_client.curation.write.card import PAGE

    if session.json:
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
    session.say(f"{parts} rows in {out}; rejected rows in {out / 'rejected.jsonl'}")
    session.say(f"Data card: {out / PAGE}")


def _forget(
    session: Session, out: Path, forget: Path, count_tokens: Callable[[str], int] | None, strict: bool
) -> None:
    from lawtags_client.curation import forget_questions
    from lawtags_client.curation.forget.forget_list import load_forget_list

    record = forget_questions(out, forget, count_tokens=count_tokens)
    missing = load_forget_list(forget).named(record["not_found"])
    if session.json:
        session.emit(record)
    else:
        session.say(f"{record['rows']} rows removed from {out}, of {record['asked']} questions named")
        session.say("Uploaded datasets and trained models still contain them.")
    _report_not_found(session, missing, strict)


def _report_not_found(session: Session, lines: Sequence[str], strict: bool) -> None:
    """Name every line of a list to forget by which no question was meant."""
    from lawtags_client.errors import DataError

    for line in lines:
        session.report(f"not found: {line}")
    if lines and strict:
        raise DataError(
            f"{len(lines)} of the ids to forget were not found",
            hint="Compare them with the ids of the questions. A spreadsheet may have rounded them.",
        )


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options by their dotted names, as the mappings within mappings that a recipe has."""
    from lawtags_client.runs.recipe import merged

    nested: dict[str, Any] = {}
    for name, value in values.items():
        for part in reversed(name.split(".")):
            value = {part: value}
        nested = merged(nested, value)
    return nested
