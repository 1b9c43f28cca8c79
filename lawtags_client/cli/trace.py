"""``lawtags trace``: one row of a run, from its source file to its score."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.options import DEFAULT_RUNS, Run, Runs
from lawtags_client.cli.session import Session

if TYPE_CHECKING:
    from lawtags_client.runs.trace import RowTrace


@command
def trace(
    session: Session,
    run: Run,
    row: Annotated[str, typer.Argument(help="ID of a question or its beginning, FILE:LINE, or a line.")],
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Trace a row of a run: source, steps of the curation, split, prompt, answers and scores.

    Example: lawtags trace demo 1042

    Example: lawtags trace demo questions.jsonl:12 --json
    """
    from lawtags_client.extras import require
    from lawtags_client.runs.overview import find_run
    from lawtags_client.runs.trace import trace_row

    require(("curate",), "a trace")
    found = trace_row(find_run(runs, run), row)
    if session.json:
        session.emit(asdict(found))
    else:
        _print(session, found)


def _print(session: Session, found: RowTrace) -> None:
    digest = f", SHA-256 {found.sha256[:12]}" if found.sha256 else ""
    session.say(f"source   {found.file}:{found.line}{digest}, {found.source}")
    for step in found.steps:
        session.say(f"  {step.step}: {step.effect}")
    if found.not_replayed:
        session.say(f"  not replayed: {found.not_replayed}")
    place = "" if found.row is None else f", row {found.row}"
    session.say(f"outcome  {found.outcome}{place}")
    if found.part is None:
        return
    session.say(f"id       {found.id}")
    session.say(f"title    {found.title}")
    session.say(f"true     {', '.join(found.tags)}")
    if found.job:
        session.say(f"model    {found.model}, by job {found.job}")
    if found.prompt is not None:
        session.say("prompt")
        session.say("\n".join(f"  | {line}" for line in found.prompt.splitlines()))
        session.say(f"  -> {found.completion}")
    if found.answers:
        session.table(
            ("system", "tags", "F1", "likeliest", "answer"),
            [
                (
                    each.system,
                    ", ".join(each.tags),
                    f"{each.f1:.2f}",
                    ", ".join(f"{tag} {value:.2f}" for tag, value in each.scores.items()),
                    each.error or each.text,
                )
                for each in found.answers
            ],
            title="Answers",
        )
