"""``lawtags tag``: tags for one question, or for a file of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lawtags_client.cli.session import Json, NoInput, Profile, Session, Verbose, command
from lawtags_client.errors import ConfigurationError, LawtagsError

if TYPE_CHECKING:
    from lawtags_client.curation.questions import QuestionTexts


@dataclass(frozen=True, slots=True)
class _TagArguments:
    """Who answers: the arguments of ``tag_many``, and how questions are made plain for it."""

    arguments: dict[str, Any]
    texts: QuestionTexts


@command
def tag(
    questions: Annotated[
        str | None,
        typer.Argument(
            help="A file of questions, or hf://datasets/NS/NAME; without one, pass --title.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Output file; if it exists, the missing rows are added."),
    ] = None,
    title: Annotated[str | None, typer.Option("--title", "-t", help="Title of one question.")] = None,
    body: Annotated[str | None, typer.Option("--body", "-b", help="Body of the question.")] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", help="The run whose tagger to use; by default the latest complete one."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Use a served model alone, without a run's tagger.")
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="With --model: use the chat API, for a model trained on messages.")
    ] = False,
    unmasked: Annotated[
        bool,
        typer.Option(
            "--unmasked",
            help="Do not mask personal data, although the run's model was trained on masked text.",
        ),
    ] = False,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", help="Column of a field, e.g. title=headline; repeatable."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", min=0, max=1, help="Drop tags less likely than this, possibly all."),
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", help="Folder of runs.")] = Path("runs"),
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Tag one question, or a file of questions row by row; repeat the command to tag the missing rows.

    Examples: lawtags tag --title "Can pricing be trademarked?"

    lawtags tag questions.jsonl --out tags.jsonl --run demo
    """
    if (questions is None) == (title is None):
        raise ConfigurationError("nothing to tag", hint="Pass --title, or a file and --out.")
    if title is not None and not title.strip():
        raise ConfigurationError("--title is empty", hint="Pass the title of the question.")
    if questions is not None and out is None:
        raise ConfigurationError(
            "a file of questions requires --out", hint="lawtags tag IN.jsonl --out OUT.jsonl"
        )
    session = Session(as_json, profile, verbose, no_input)
    chosen = _chosen(session, runs, run, model, unmasked)
    if chat:
        if model is None:
            raise ConfigurationError(
                "--chat requires --model", hint="A run already knows how its model was trained."
            )
        chosen.arguments["chat"] = True
    chosen.arguments["threshold"] = threshold
    if title is not None:
        _one(session, chosen, title, body)
    elif questions is not None and out is not None:
        _file(session, _with_columns(chosen, columns or []), questions, out)


def _chosen(
    session: Session, runs: Path, run: str | None, model: str | None, unmasked: bool
) -> _TagArguments:
    from lawtags_client.curation.questions import QuestionTexts

    if model is not None:
        if run is not None:
            raise ConfigurationError(
                "--run and --model cannot be combined", hint="A run already knows its model."
            )
        return _TagArguments({"model": model}, QuestionTexts())
    from lawtags_client.cli.runs import latest_served
    from lawtags_client.runs.tagger import load_run_tagger

    loaded = load_run_tagger(latest_served(runs, run), unmasked=unmasked)
    # A run of the embedded stack is asked there again, unless another place is named.
    session.profile = session.profile or loaded.profile
    return _TagArguments({"model": loaded.model, "tagger": loaded.tagger, "chat": loaded.chat}, loaded.texts)


def _with_columns(chosen: _TagArguments, given: list[str]) -> _TagArguments:
    options = chosen.texts.options
    columns = dict(options.columns)
    for setting in given:
        field, equals, column = setting.partition("=")
        if not equals or not column:
            raise ConfigurationError(
                f"--column {setting}: expected FIELD=COLUMN",
                hint="Write it as --column title=headline",
            )
        columns[field] = column
    return replace(chosen, texts=replace(chosen.texts, options=replace(options, columns=columns)))


def _one(session: Session, chosen: _TagArguments, title: str, body: str | None) -> None:
    from lawtags_client.asking.tags import tag_many
    from lawtags_client.curation import plain_question

    question = plain_question(title, body, chosen.texts)

    async def work() -> Any:
        async with session.client() as nemo:
            (found,) = [one async for one in tag_many(nemo, [question], **chosen.arguments)]
            return found

    tagged = session.run(work())
    if tagged.error is not None:
        raise tagged.error
    if session.json:
        session.emit({"tags": list(tagged.tags), "scores": dict(tagged.scores)})
    elif tagged.tags:
        session.say(", ".join(tagged.tags))
    else:
        threshold = chosen.arguments["threshold"]
        session.report("no tag was found" if threshold is None else f"no tag reaches {threshold:g}")


def _file(session: Session, chosen: _TagArguments, questions: str, out: Path) -> None:
    from lawtags_client.asking.tags import tag_many
    from lawtags_client.runs.tag_file import tag_file

    async def work() -> Any:
        async with session.client() as nemo:
            with session.progress() as progress:
                return await tag_file(
                    questions,
                    out,
                    lambda asked: tag_many(nemo, asked, **chosen.arguments),
                    options=chosen.texts,
                    on_row=lambda rows: progress.update(rows, None, "questions"),
                )

    done = session.run(work())
    if session.json:
        session.emit({"rows": done.rows, "failed": done.failed, "out": str(out)})
    else:
        failed = f", {done.failed} failed" if done.failed else ""
        session.say(f"{done.rows} rows in {out}{failed}")
    if done.failed:
        raise LawtagsError(
            f"{done.failed} of {done.rows} rows could not be tagged; the output gives the reason for each",
            hint="Repeat the command to retry only those rows.",
        )
