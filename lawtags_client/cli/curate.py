"""``lawtags curate``: questions in, rows in the Customizer's layout out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.options import Scheduler, Test
from lawtags_client.cli.session import Session
from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.json_value import JsonObject, JsonRow

if TYPE_CHECKING:
    from lawtags_client.curation import CurationReport
    from lawtags_client.runs.curation_request import CurationRequest

_LEFT = (
    "{} contains the questions as they were read, including personal data; only you can open it. "
    "Delete it unless you resume."
)

Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        help="JSONL, JSON, CSV, TSV, Parquet or Posts.xml files, patterns, or hf://datasets/NS/NAME; "
        "omit them to --forget questions in a curated folder.",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the rows; files in it are replaced.")]
OfRecipe = Annotated[
    str | None, typer.Option("--recipe", "-r", help="Use the curation section of this recipe.")
]
Tokenizer = Annotated[
    str | None, typer.Option("--tokenizer", help="Tokenizer of the base model: a folder or tokenizer.json.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Worker processes on this machine; chosen automatically by default.",
        show_default=False,
    ),
]
OnBadRow = Annotated[
    str | None,
    typer.Option("--on-bad-row", help="For unreadable rows: fail, skip or quarantine (the default)."),
]
MaxBad = Annotated[
    float | None, typer.Option("--max-bad", help="Maximum share of unreadable rows; 0.01 by default.")
]
Synonyms = Annotated[
    Path | None, typer.Option("--synonyms", help="CSV or YAML file of synonyms and the tags they mean.")
]
Corrections = Annotated[
    Path | None,
    typer.Option("--corrections", help="Reviewed corrections of tags, from lawtags labels review --out."),
]
MinTagCount = Annotated[
    int | None, typer.Option("--min-tag-count", help="Remove tags used on fewer questions than this.")
]
SplitBy = Annotated[
    str | None, typer.Option("--split-by", help="How to split: hash (the default), time or stratified.")
]
Forget = Annotated[
    Path | None,
    typer.Option("--forget", help="Questions to leave out or remove: ids or SHA-256 of ids, one per line."),
]
Strict = Annotated[bool, typer.Option("--strict", help="With --forget: exit with 1 if an id is not found.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override an option, e.g. split.training=0.95; repeatable."),
]


@command
def curate(
    session: Session,
    inputs: Inputs = None,
    *,
    out: Out,
    recipe: OfRecipe = None,
    test: Test = None,
    tokenizer: Tokenizer = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
    on_bad_row: OnBadRow = None,
    max_bad: MaxBad = None,
    synonyms: Synonyms = None,
    corrections: Corrections = None,
    min_tag_count: MinTagCount = None,
    split_by: SplitBy = None,
    forget: Forget = None,
    strict: Strict = False,
    settings: Settings = None,
) -> None:
    """Clean, filter, split and format questions; rejected rows go to rejected.jsonl with the reason.

    With --forget and no input files, remove the listed questions from every file of a folder that
    was curated before, and rebuild everything that depends on them.

    Example: lawtags curate questions.jsonl --out curated --set pii.action=redact
    """
    from lawtags_client.cli.overrides import parse_settings
    from lawtags_client.runs.curation_request import CurationRequest, curation_counter, curation_options

    values = _given(
        {
            "on_bad_row": on_bad_row,
            "max_bad": max_bad,
            "tags.synonyms": str(synonyms) if synonyms else None,
            "tags.corrections": str(corrections) if corrections else None,
            "tags.min_count": min_tag_count,
            "split.by": split_by,
        }
    )
    options = curation_options(recipe, values, parse_settings(settings or []))
    counter = curation_counter(recipe, tokenizer)
    if inputs:
        request = CurationRequest(inputs, out, options, counter, test, scheduler, workers, forget)
        _curate(session, request, strict=strict)
        return
    if forget is None or values or settings or test or scheduler or workers:
        raise ConfigurationError(
            "no input files",
            hint="Pass input files. Without any, use only --forget, --out and --tokenizer.",
        )
    _forget(session, out, forget, counter.count if counter.exact else None, strict=strict)


def _given(values: JsonObject) -> JsonRow:
    return {name: value for name, value in values.items() if value is not None}


def _curate(session: Session, request: CurationRequest, *, strict: bool) -> None:
    import asyncio

    from lawtags_client.cli.curation_progress import show_curation_progress
    from lawtags_client.curation.staging import WORK_FOLDER

    with show_curation_progress(session.messages) as on_progress:
        # In a thread, so that a signal ends it at once and with its code.
        work = asyncio.to_thread(request.run, on_progress)
        report = session.run(work, left_behind=_LEFT.format(request.out / WORK_FOLDER))
    _print(session, report, request.out)
    _report_not_found(session, report.not_found, strict=strict)


def _print(session: Session, report: CurationReport, out: Path) -> None:
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
    session: Session, out: Path, forget: Path, count_tokens: Callable[[str], int] | None, *, strict: bool
) -> None:
    from lawtags_client.curation import forget_questions
    from lawtags_client.curation.forget.forget_list import load_forget_list

    session.begin()
    record = forget_questions(out, forget, count_tokens=count_tokens)
    missing = load_forget_list(forget).named(record["not_found"])
    if session.json:
        session.emit(record)
    else:
        session.say(f"Rows removed from {out}: {record['rows']}; questions listed: {record['asked']}.")
        session.say("Uploaded datasets and trained models still contain them.")
    _report_not_found(session, missing, strict=strict)


def _report_not_found(session: Session, lines: Sequence[str], *, strict: bool) -> None:
    """Name every line of a forget list that matches no question."""
    for line in lines:
        session.report(f"not found: {line}")
    if lines and strict:
        raise DataError(
            f"{len(lines)} of the ids to forget were not found",
            hint="Compare them with the ids of the questions. A spreadsheet may have rounded them.",
        )
