"""``lawtags tag``: tags for one question, or for a file of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lawtags_client.cli.session import Json, NoInput, Profile, Session, Verbose, command
from lawtags_client.errors import ConfigurationError, LawtagsError

if TYPE_CHECKING:
    from lawtags_client.tagging.question import Question


@command
def tag(
    questions: Annotated[
        Path | None, typer.Argument(help="A file of questions; without it give --title.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where the rows go; a file that is there is completed.")
    ] = None,
    title: Annotated[str | None, typer.Option("--title", "-t", help="Title of one question.")] = None,
    body: Annotated[str | None, typer.Option("--body", "-b", help="Its text.")] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="The run whose tagger answers; the latest complete one.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="A served model alone, without a run's tagger.")
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", help="Folder that holds the runs.")] = Path("runs"),
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Tag one question, or a file of them row by row; the same command again does the rows that are missing.

    Examples: lawtags tag --title "Can pricing be trademarked?"

    lawtags tag questions.jsonl --out tags.jsonl --run demo
    """
    if (questions is None) == (title is None):
        raise ConfigurationError("what is to be tagged?", hint="Give --title, or a file and --out.")
    if questions is not None and out is None:
        raise ConfigurationError(
            "a file of questions needs --out", hint="lawtags tag IN.jsonl --out OUT.jsonl"
        )
    session = Session(as_json, profile, verbose, no_input)
    chosen = _chosen(session, runs, run, model)
    if title is not None:
        _one(session, chosen, title, body)
    elif questions is not None and out is not None:
        _file(session, chosen, questions, out)


def _chosen(session: Session, runs: Path, run: str | None, model: str | None) -> dict[str, Any]:
    """The arguments of ``inference.tag`` that say who answers."""
    from lawtags_client.cli.runs import latest_served
    from lawtags_client.runs.tagger import load_run_tagger

    if model is not None:
        if run is not None:
            raise ConfigurationError("--run and --model exclude each other", hint="A run knows its model.")
        return {"model": model}
    folder = latest_served(runs, run)
    loaded = load_run_tagger(folder)
    # A run of the embedded stack is asked there again, unless another place is named.
    session.profile = session.profile or loaded.profile
    return {"model": loaded.model, "tagger": loaded.tagger}


def _one(session: Session, chosen: dict[str, Any], title: str, body: str | None) -> None:
    async def work() -> Any:
        async with session.client() as nemo:
            return await nemo.inference.tag(title=title, body=body, **chosen)

    tagged = session.run(work())
    if session.json:
        session.emit({"tags": list(tagged.tags), "scores": dict(tagged.scores)})
    else:
        session.console.print(", ".join(tagged.tags), markup=False, soft_wrap=True)


def _file(session: Session, chosen: dict[str, Any], questions: Path, out: Path) -> None:
    from lawtags_client.curation import read_plain_questions
    from lawtags_client.runs.predictions import prediction
    from lawtags_client.runs.rows import RowLog

    failed = 0
    with RowLog(out) as log, session.progress() as progress:
        kept = {row: entry for row, entry in log.rows.items() if entry.get("error") is None}
        if len(kept) < len(log.rows):
            log.keep(kept)

        def missing() -> Iterator[tuple[int, Question]]:
            for row, question in enumerate(read_plain_questions(questions)):
                if row not in kept:
                    yield row, question

        async def work() -> int:
            nonlocal failed
            places: list[int] = []

            def asked() -> Iterator[Question]:
                for row, question in missing():
                    places.append(row)
                    yield question

            async with session.client() as nemo:
                async for tagged in nemo.inference.tag_many(asked(), **chosen):
                    row = places[tagged.row]
                    error = str(tagged.error) if tagged.error else None
                    failed += error is not None
                    log.append(prediction(row, tagged.id, tagged.tags, scores=tagged.scores, error=error))
                    progress.update(len(log.rows), None, "questions")
            return len(log.rows)

        done = session.run(work())
    if session.json:
        session.emit({"rows": done, "failed": failed, "out": str(out)})
    else:
        session.console.print(
            f"{done} rows in {out}" + (f", {failed} failed" if failed else ""), markup=False
        )
    if failed:
        raise LawtagsError(
            f"{failed} of {done} rows could not be tagged; their rows carry the reason",
            hint="The same command again asks for those rows only.",
        )
