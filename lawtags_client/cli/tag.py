"""``lawtags tag``: tags for one question, or for a file of them."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.options import DEFAULT_RUNS, Runs
from lawtags_client.cli.session import Session
from lawtags_client.errors import ConfigurationError, LawtagsError

if TYPE_CHECKING:
    from lawtags_client.asking.tagged import Tagged
    from lawtags_client.client import NeMo
    from lawtags_client.curation.questions import QuestionTexts
    from lawtags_client.helix.client import Helix
    from lawtags_client.runs.tag_file import TaggedFile
    from lawtags_client.tagging.mix import Tagger
    from lawtags_client.tagging.question import Question

Questions = Annotated[
    str | None,
    typer.Argument(
        help="A file of questions, or hf://datasets/NS/NAME; without one, pass --title.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Output file; if it exists, the missing rows are added."),
]
Title = Annotated[str | None, typer.Option("--title", "-t", help="Title of one question.")]
Body = Annotated[str | None, typer.Option("--body", "-b", help="Body of the question.")]
OfRun = Annotated[
    str | None,
    typer.Option("--run", help="The run whose tagger to use; by default the latest complete one."),
]
Model = Annotated[
    str | None, typer.Option("--model", help="Use a served model alone, without a run's tagger.")
]
Chat = Annotated[
    bool, typer.Option("--chat", help="With --model: use the chat API, for a model trained on messages.")
]
Unmasked = Annotated[
    bool,
    typer.Option(
        "--unmasked",
        help="Do not mask personal data, although the run's model was trained on masked text.",
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", help="Column of a field, e.g. title=headline; repeatable."),
]
Threshold = Annotated[
    float | None,
    typer.Option("--threshold", min=0, max=1, help="Drop tags with a lower probability, possibly all."),
]

AtMost = Annotated[
    int | None,
    typer.Option("--at-most", min=1, help="Maximum number of tags per question; by default as trained."),
]


@command
def tag(
    session: Session,
    questions: Questions = None,
    out: Out = None,
    title: Title = None,
    body: Body = None,
    run: OfRun = None,
    model: Model = None,
    chat: Chat = False,
    unmasked: Unmasked = False,
    columns: Columns = None,
    threshold: Threshold = None,
    at_most: AtMost = None,
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Tag one question, or a file of questions row by row; repeat the command to tag the missing rows.

    Examples: lawtags tag --title "Can pricing be trademarked?"

    lawtags tag questions.jsonl --out tags.jsonl --run demo
    """
    _check_questions(questions, out, title, body)
    if model is not None and run is not None:
        raise ConfigurationError(
            "--run and --model cannot be combined", hint="A run already knows its model."
        )
    if chat and model is None:
        raise ConfigurationError(
            "--chat requires --model", hint="A run already knows how its model was trained."
        )
    mapped = _read_columns(columns or [])
    chosen = _of_model(model, chat) if model is not None else _of_run(session, runs, run, unmasked)
    chosen = replace(chosen, threshold=threshold, at_most=at_most)
    if title is not None:
        _tag_question(session, chosen, title, body)
    elif questions is not None and out is not None:
        _tag_file(session, _with_columns(chosen, mapped), questions, out)


def _check_questions(questions: str | None, out: Path | None, title: str | None, body: str | None) -> None:
    if questions is None and title is None:
        raise ConfigurationError("nothing to tag", hint="Pass --title, or a file and --out.")
    if questions is not None and (title is not None or body is not None):
        raise ConfigurationError(
            "a file of questions cannot be combined with --title or --body",
            hint="Pass --title, or a file and --out.",
        )
    if title is not None and not title.strip():
        raise ConfigurationError("--title is empty", hint="Pass the title of the question.")
    if questions is not None and out is None:
        raise ConfigurationError(
            "a file of questions requires --out", hint="lawtags tag IN.jsonl --out OUT.jsonl"
        )
    if questions is not None and out is not None:
        from lawtags_client.runs.tag_file import check_output

        check_output(questions, out)
    if title is not None and out is not None:
        raise ConfigurationError(
            "--out requires a file of questions",
            hint="Omit it: the tags of one question are printed.",
        )


@dataclass(frozen=True, slots=True)
class _ChosenTagger:
    """What answers, and how questions are prepared for it."""

    model: str
    texts: QuestionTexts
    tagger: Tagger | None = None
    chat: bool | None = None
    threshold: float | None = None
    at_most: int | None = None

    @asynccontextmanager
    async def client(self, session: Session) -> AsyncIterator[NeMo | Helix]:
        """The client to ask; a tagger that leaves its model out needs no platform, and looks for none."""
        from lawtags_client.client import NeMo
        from lawtags_client.platform.choice import model_client
        from lawtags_client.settings import Settings

        if self.tagger is not None and not self.tagger.uses_model:
            async with NeMo(Settings()) as unused:
                yield unused
            return
        async with session.client() as nemo, model_client(nemo) as client:
            yield client

    def tag_many(
        self, nemo: NeMo | Helix, questions: Iterable[Question] | AsyncIterable[Question]
    ) -> AsyncIterator[Tagged]:
        """Tag questions in their order."""
        from lawtags_client.asking.tags import tag_many

        return tag_many(
            nemo,
            questions,
            model=self.model,
            tagger=self.tagger,
            chat=self.chat,
            threshold=self.threshold,
            at_most=self.at_most,
        )


def _of_model(model: str, chat: bool) -> _ChosenTagger:
    from lawtags_client.curation.questions import QuestionTexts

    return _ChosenTagger(model, QuestionTexts(), chat=chat or None)


def _of_run(session: Session, runs: Path, run: str | None, unmasked: bool) -> _ChosenTagger:
    from lawtags_client.runs.overview import latest_served
    from lawtags_client.runs.tagger import load_run_tagger

    loaded = load_run_tagger(latest_served(runs, run), unmasked=unmasked)
    # By default, a run is asked where it was made.
    session.profile = session.profile or loaded.profile
    if not loaded.tagger.uses_model:
        session.report("this tagger does not use its language model: no request is sent")
    return _ChosenTagger(loaded.model, loaded.texts, loaded.tagger, loaded.chat)


def _read_columns(given: list[str]) -> dict[str, str]:
    """The column of each field that was passed; checked before a tagger is loaded, which takes seconds."""
    from lawtags_client.curation.options import CurationOptions

    columns = {}
    for setting in given:
        field, equals, column = setting.partition("=")
        if not equals or not column:
            raise ConfigurationError(
                f"--column {setting}: expected FIELD=COLUMN",
                hint="Write it as --column title=headline",
            )
        columns[field] = column
    return dict(CurationOptions(columns=columns).columns)


def _with_columns(chosen: _ChosenTagger, columns: Mapping[str, str]) -> _ChosenTagger:
    options = chosen.texts.options
    options = replace(options, columns={**options.columns, **columns})
    return replace(chosen, texts=replace(chosen.texts, options=options))


def _tag_question(session: Session, chosen: _ChosenTagger, title: str, body: str | None) -> None:
    from lawtags_client.curation import plain_question

    question = plain_question(title, body, chosen.texts)

    async def work() -> Tagged:
        async with chosen.client(session) as client:
            (found,) = [one async for one in chosen.tag_many(client, [question])]
            return found

    tagged = session.run(work())
    if tagged.error is not None:
        raise tagged.error
    if session.json:
        abstained = {"abstained": True} if tagged.abstained else {}
        session.emit({"tags": list(tagged.tags), "scores": dict(tagged.scores), **abstained})
    elif tagged.tags:
        session.say(", ".join(tagged.tags))
    elif tagged.abstained:
        session.report("the tagger abstains: no tag is likely enough (evaluation.abstain_below of the run)")
    else:
        threshold = chosen.threshold
        session.report("no tag was found" if threshold is None else f"no tag reaches {threshold:g}")


def _tag_file(session: Session, chosen: _ChosenTagger, questions: str, out: Path) -> None:
    from lawtags_client.runs.tag_file import tag_file

    async def work() -> TaggedFile:
        async with chosen.client(session) as client:
            with session.progress() as progress:
                return await tag_file(
                    questions,
                    out,
                    lambda asked: chosen.tag_many(client, asked),
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
