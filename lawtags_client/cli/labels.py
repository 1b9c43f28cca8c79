"""``lawtags labels``: list rows whose tags look wrong, so that a person can review them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.options import DEFAULT_RUNS, Runs
from lawtags_client.cli.session import Session
from lawtags_client.errors import ConfigurationError

if TYPE_CHECKING:
    from lawtags_client.runs.label_review import LabelFinding
    from lawtags_client.runs.reviewed_rows import ReviewedRow

app = typer.Typer(help="The tags of questions: review those that look wrong.", no_args_is_help=True)

_SHOWN_PAIRS = 3

Reviewed = Annotated[
    str,
    typer.Argument(
        metavar="RUN|FOLDER|FILE",
        help="Name or folder of a run, a folder of lawtags curate, or a file of questions with tags.",
    ),
]
Top = Annotated[int, typer.Option("--top", min=1, help="Number of rows to list, most doubtful first.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", help="Also write the rows as JSON Lines: edit tags, then curate with --corrections."
    ),
]
Titles = Annotated[
    bool,
    typer.Option(
        "--titles",
        help="Write the titles to the file of --out, too. lawtags curate --forget does not remove them "
        "there: delete the file yourself.",
    ),
]
EncoderOption = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="auto, none, a name (lawtags encoders ls), or a folder with a sentence encoder; by default "
        "as in the run's recipe.",
        show_default=False,
    ),
]


@app.command("review")
@command
def review(
    session: Session,
    run: Reviewed,
    top: Top = 100,
    out: Out = None,
    titles: Titles = False,
    encoder: EncoderOption = None,
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """List rows whose tags the text contradicts, most doubtful first, with the reason.

    Each row is scored by models that were not trained on it. A rare tag may look wrong and still be right:
    review the list, and change only what is wrong.

    Examples:

    lawtags labels review demo --top 20

    lawtags labels review questions.jsonl --out review.jsonl

    Then edit the tags in review.jsonl, and apply them:

    lawtags curate questions.jsonl --out curated --corrections review.jsonl
    """
    from lawtags_client.runs.label_review import check_review_file, review_labels, write_review

    if titles and out is None:
        raise ConfigurationError("--titles requires --out", hint="The printed list always has the titles.")
    if out is not None:
        check_review_file(out)
    session.report("Scoring each row with models that were not trained on it. This may take a minute.")
    found = review_labels(run, runs, top=top, encoder=encoder)
    if found.encoder is None:
        session.report(f"No sentence embeddings: {found.reason}")
    if found.unreadable:
        session.report(f"Rows skipped because they could not be read: {found.unreadable}.")
    if found.untagged:
        session.report(f"Rows skipped because they have no tags, or not all of them: {found.untagged}.")
    if out is not None:
        write_review(out, found.findings, titles=titles)
    if session.json:
        session.emit(each.as_dict() for each in found.findings)
    else:
        for place, each in enumerate(found.findings, 1):
            _print(session, place, each)
    if found.disputed:
        places = [f"{_place(a)} and {_place(b)}" for a, b in found.disputed[:_SHOWN_PAIRS]]
        session.report(
            f"{len(found.disputed)} pairs of rows have the same text and different tags: {'; '.join(places)}"
            + ("; …" if len(found.disputed) > _SHOWN_PAIRS else "")
        )
    session.report(
        f"{found.rows} rows reviewed, {found.doubtful} with a doubtful tag, {len(found.findings)} listed."
    )
    if out is not None:
        session.report(
            f"Edit the tags in {out}, then run: lawtags curate INPUTS --out FOLDER --corrections {out}"
        )


def _print(session: Session, place: int, finding: LabelFinding) -> None:
    row, found = finding.row, finding.evidence
    session.say(f"{place}. {_line(row.question.title)}")
    session.say(f"   {_place(row)}, doubt {found.doubt:.2f}")
    session.say(f"   tags: {_tags(row)}")
    session.say(_line(f"   looks wrong: {found.wrong}"))
    session.say(f"   because: {found.reason}")
    if found.missing is not None:
        session.say(_line(f"   could be: {found.missing} ({found.missing_probability:.0%})"))
    session.say(f"   similar row: {_line(finding.similar.question.title)} [{_tags(finding.similar)}]")


def _place(row: ReviewedRow) -> str:
    named = _line(f"id {row.question.id}" if row.part is None else f"id {row.question.id}, {row.part}")
    return named if row.file is None else f"{_line(row.file)}:{row.line}, {named}"


def _tags(row: ReviewedRow) -> str:
    return _line(" ".join(row.question.tags))


def _line(text: str) -> str:
    """Data as one line, so that it cannot pass for a line of this command."""
    from lawtags_client.terminal import escape_controls

    return escape_controls(text)
