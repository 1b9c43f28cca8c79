"""Predict: every system answers the same test rows."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lawtags_client.asking import recorded_asking
from lawtags_client.errors import BadRequestError, PayloadTooLargeError, UnprocessableError
from lawtags_client.files import atomic_write_text
from lawtags_client.platform import Answer, PromptInput
from lawtags_client.runs.predictions import held_row, prediction, write_predictions
from lawtags_client.runs.rows import RowLog, read_rows
from lawtags_client.runs.stage import RunContext, file_digests
from lawtags_client.runs.tokens import token_counter
from lawtags_client.runs.verdict import SYSTEMS

if TYPE_CHECKING:
    from lawtags_client.tagging.mix import Tagger
    from lawtags_client.tagging.prompt import PromptStyle
    from lawtags_client.tagging.question import Question
    from lawtags_client.tagging.retriever import Retriever
    from lawtags_client.tagging.vocabulary import Vocabulary

TOP_TOKENS = 20
ANSWER_TOKENS = 32

# A row that is answered with one of these is at fault itself.
_REFUSALS = (BadRequestError, PayloadTooLargeError, UnprocessableError)
_ALONE = "the model's evidence is missing; these are the retriever's tags"


class Predict:
    """Asks the base and the tuned model, fits the tagger on the validation rows, runs the baselines.

    What a model has answered is on disk before the next question goes out, so that an interrupted stage
    asks only for what is missing.
    """

    name = "predict"
    version = 3

    def inputs(self, context: RunContext) -> Mapping[str, Any]:
        return {
            "model": context.outputs["serve"]["model"],
            "base_model": context.outputs["serve"]["base_model"],
            "curation": context.outputs["curate"]["digest"],
            # How many threads share the fit does not change it.
            "retriever": context.recipe.retriever.model_dump(exclude={"threads"}),
            "most": context.recipe.evaluation.max_tags,
            "tokenizer": token_counter(context.recipe.model.tokenizer).identity,
        }

    async def run(self, context: RunContext) -> dict[str, Any]:
        from lawtags_client.tagging.question import read_questions
        from lawtags_client.tagging.storage import load_tagger, save_tagger

        questions = {
            part: read_questions(context.curated / "questions" / f"{part}.jsonl")
            for part in ("training", "validation", "testing")
        }
        tuned, folder = context.outputs["serve"]["model"], context.folder / "tagger"
        # A server that was started again since the last stage has yet to find the adapter.
        await context.platform.served(tuned, timeout=context.recipe.wait.served)
        retriever = await asyncio.to_thread(_fit_retriever, context, questions["training"])
        evidence = {}
        for part in ("validation", "testing"):
            prompts = await asyncio.to_thread(_prompts, context, part, questions[part], retriever)
            evidence[part] = await _first_tokens(context, tuned, part, questions[part], prompts)
        fitted = await asyncio.to_thread(_fit, context, questions, evidence["validation"], retriever)
        await asyncio.to_thread(save_tagger, fitted, folder)
        # The one that answers later is judged, not the one in memory.
        tagger = await asyncio.to_thread(load_tagger, folder)
        vocabulary = tagger.retriever.vocabulary
        written = [
            await _answers(context, name, model, questions, vocabulary) for name, model in _models(context)
        ]
        written += await asyncio.to_thread(_classify, context, tagger, questions, evidence["testing"])
        written += sorted(folder.iterdir())
        return {
            "files": file_digests(context.folder, written),
            "model": tuned,
            "summary": {"test rows": len(questions["testing"]), "systems": len(SYSTEMS)},
        }


def _models(context: RunContext) -> list[tuple[str, str]]:
    served = context.outputs["serve"]
    return [("base", served["base_model"]), ("tuned", served["model"])]


def prompts_of(path: Path) -> list[PromptInput]:
    """The prompts of a file of Customizer rows: texts, or the messages before the assistant's turn."""
    return [
        tuple(m for m in row["messages"] if m["role"] != "assistant") if "messages" in row else row["prompt"]
        for row in read_rows(path)
    ]


def _prompts(
    context: RunContext, part: str, questions: Sequence[Question], retriever: Retriever
) -> list[PromptInput] | None:
    """The prompts that the tagger will make of these questions; None where they are those of the rows."""
    from lawtags_client.tagging.mix import build_prompts

    style = _style(context)
    if not style.shortlist:
        return None
    # Rows name the candidates of the curation's retriever, which is not the one that answers later.
    count = token_counter(context.recipe.model.tokenizer).count
    texts = [prompt.text for prompt in build_prompts(questions, style, count, retriever)]
    if context.recipe.curation.get("format") == "messages":
        return [({"role": "user", "content": text},) for text in texts]
    return list(texts)


async def _first_tokens(
    context: RunContext,
    model: str,
    part: str,
    questions: Sequence[Question],
    prompts: list[PromptInput] | None = None,
) -> list[Mapping[str, float] | None]:
    asked = f"top {TOP_TOKENS}"
    if prompts is None:
        prompts = prompts_of(context.curated / part / f"{part}.jsonl")
    else:
        asked += f" {hashlib.sha256(json.dumps(prompts).encode()).hexdigest()}"
    path = _working_file(context, f"first-tokens-{part}", model, asked)
    with RowLog(path) as log:
        missing = _missing(log, len(prompts))
        context.progress.update(len(log.rows), len(prompts), f"tuned model, {part} rows")
        found = context.platform.first_tokens(model, [prompts[row] for row in missing], top=TOP_TOKENS)
        likeliest = _likeliest(found)
        await _collect(context, log, missing, questions, likeliest, f"tuned model, {part} rows")
        return [log.rows[row].get("tokens") for row in range(len(prompts))]


async def _answers(
    context: RunContext,
    system: str,
    model: str,
    questions: Mapping[str, Sequence[Question]],
    vocabulary: Vocabulary,
) -> Path:
    from lawtags_client.tagging.parse import parse_tags

    most = context.recipe.evaluation.max_tags
    prompts = prompts_of(context.curated / "testing" / "testing.jsonl")
    path = _working_file(context, f"answers-{system}", model, f"most {most} of {ANSWER_TOKENS}")
    with RowLog(path) as log:
        missing = _missing(log, len(prompts))
        context.progress.update(len(log.rows), len(prompts), f"{system} model, answers")
        found = context.platform.answers(
            model,
            [prompts[row] for row in missing],
            vocabulary=vocabulary,
            most=most,
            max_tokens=ANSWER_TOKENS,
        )
        written = _written(found)
        await _collect(context, log, missing, questions["testing"], written, f"{system} model, answers")
        answers = [log.rows[row] for row in range(len(prompts))]
    rows = [
        held_row(
            prediction(
                number,
                question.id,
                parse_tags(answer.get("text") or "", vocabulary, limit=most).tags,
                error=answer.get("error"),
                text=answer.get("text"),
            ),
            answer.get("held"),
        )
        for number, (question, answer) in enumerate(zip(questions["testing"], answers, strict=True))
    ]
    return write_predictions(context.folder, system, rows)


async def _likeliest(
    found: AsyncIterator[tuple[int, Mapping[str, float] | Exception]],
) -> AsyncIterator[tuple[int, Mapping[str, Any] | Exception]]:
    async for place, value in found:
        yield place, value if isinstance(value, Exception) else {"tokens": value}


async def _written(
    found: AsyncIterator[tuple[int, Answer | Exception]],
) -> AsyncIterator[tuple[int, Mapping[str, Any] | Exception]]:
    async for place, value in found:
        yield place, value if isinstance(value, Exception) else {"text": value.text, "held": value.held}


async def _collect(
    context: RunContext,
    log: RowLog,
    missing: Sequence[int],
    questions: Sequence[Question],
    found: AsyncIterator[tuple[int, Mapping[str, Any] | Exception]],
    text: str,
) -> None:
    failures = refused = 0
    last: Exception | None = None
    async for place, value in found:
        row = missing[place]
        if isinstance(value, Exception):
            # Not kept in the log: a later attempt asks again.
            failures, last = failures + 1, value
            refused += isinstance(value, _REFUSALS)
            log.rows[row] = {"row": row, "error": str(value)}
        else:
            log.append({"row": row, "id": questions[row].id, **value})
        context.progress.update(len(log.rows), len(questions), text)
    # What is left after an interruption may be just the rows that no attempt will ever answer.
    hopeless = refused == failures < len(log.rows)
    if last is not None and failures == len(missing) and not hopeless:
        raise last
    if failures:
        context.progress.note(
            f"{failures} of {len(questions)} rows failed ({text}); they are marked in the files"
        )


def _style(context: RunContext) -> PromptStyle:
    from lawtags_client.curation import CurationOptions

    # A remembered recipe has no key for the hashes of personal data, and none is needed here.
    asked = {name: value for name, value in context.recipe.curation.items() if name == "style"}
    return CurationOptions.from_dict(asked).style


def _fit_retriever(context: RunContext, training: Sequence[Question]) -> Retriever:
    from lawtags_client.tagging.retriever import Retriever, RetrieverOptions
    from lawtags_client.tagging.vocabulary import Vocabulary

    recipe = context.recipe
    return Retriever.fit(
        training,
        Vocabulary.from_questions(training),
        options=RetrieverOptions(folds=recipe.retriever.folds, most_rows=recipe.retriever.max_rows),
        n_jobs=recipe.retriever.threads,
        seed=recipe.training.seed,
        on_progress=lambda step, done, total: context.progress.update(done, total, f"retriever, {step}"),
    )


def _fit(
    context: RunContext,
    questions: Mapping[str, Sequence[Question]],
    evidence: Sequence[Mapping[str, float] | None],
    retriever: Retriever | None = None,
) -> Tagger:
    from lawtags_client.tagging.mix import fit_tagger

    recipe = context.recipe
    return fit_tagger(
        retriever or _fit_retriever(context, questions["training"]),
        questions["training"],
        questions["validation"],
        evidence,
        style=_style(context),
        asking=recorded_asking(context.curated, token_counter(recipe.model.tokenizer).path),
        most=recipe.evaluation.max_tags,
        seed=recipe.training.seed,
    )


def _classify(
    context: RunContext,
    tagger: Tagger,
    questions: Mapping[str, Sequence[Question]],
    evidence: Sequence[Mapping[str, float] | None],
) -> list[Path]:
    from lawtags_client.tagging.baselines import MostFrequent, TfidfLogistic

    training, validation, testing = (questions[part] for part in ("training", "validation", "testing"))
    if tagger.mix is None:
        context.progress.note(
            "too few validation rows were answered for a mix: the tagger is the retriever alone"
        )
    written = []
    for system, tokens in (("tagger", evidence), ("retriever", None)):
        rows = [
            # These systems choose among the vocabulary's tags.
            held_row(
                prediction(
                    number,
                    question.id,
                    tagged.tags,
                    scores=tagged.scores,
                    error=_ALONE if tokens is not None and not tagged.with_model else None,
                ),
                True,
            )
            for number, (question, tagged) in enumerate(
                zip(testing, tagger.tag(testing, tokens), strict=True)
            )
        ]
        written.append(write_predictions(context.folder, system, rows))
    context.progress.update(0, None, "baselines")
    threads = context.recipe.retriever.threads
    baselines = {
        "tfidf": TfidfLogistic.fit(training, validation, n_jobs=threads).predict(testing),
        "most_frequent": MostFrequent.fit(training, validation).predict(testing),
    }
    for system, given in baselines.items():
        rows = [
            held_row(prediction(number, question.id, tags), True)
            for number, (question, tags) in enumerate(zip(testing, given, strict=True))
        ]
        written.append(write_predictions(context.folder, system, rows))
    return written


def _missing(log: RowLog, rows: int) -> list[int]:
    return [row for row in range(rows) if row not in log.rows]


def _working_file(context: RunContext, name: str, model: str, asked: str) -> Path:
    """A file of partial answers, emptied when another model, other rows or something else was asked."""
    path = context.folder / "answers" / f"{name}.jsonl"
    owner = path.with_suffix(".model")
    identity = f"{model} {context.outputs['curate']['digest']} {asked}\n"
    if not owner.exists() or owner.read_text() != identity:
        path.unlink(missing_ok=True)
        atomic_write_text(owner, identity)
    return path
