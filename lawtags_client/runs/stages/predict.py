"""Predict: models and tagger answer the same test rows as the baselines."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.asking.preparation import recorded_asking
from lawtags_client.files import atomic_write_bytes
from lawtags_client.platform import PromptInput
from lawtags_client.runs.lost_rows import WITHOUT_MODEL
from lawtags_client.runs.metrics import ValidationRows
from lawtags_client.runs.outputs import (
    BaselinesOutput,
    CurateOutput,
    EncoderOutput,
    PredictOutput,
    ServeOutput,
)
from lawtags_client.runs.predictions import Prediction, prediction, remove_predictions, write_predictions
from lawtags_client.runs.probabilities import write_probabilities
from lawtags_client.runs.stage import RunContext, file_digests
from lawtags_client.runs.stages.asking_models import PartAnswers, first_tokens, generated, model_answers
from lawtags_client.runs.stages.baselines import decisions_of, encoder_of, load_retriever, questions_of
from lawtags_client.runs.stages.encoder import TunedEncoders, final_files, load_tuned
from lawtags_client.runs.tokens import token_counter

if TYPE_CHECKING:
    from lawtags_client.tagging._numpy import Floats
    from lawtags_client.tagging.mix import FitReport, Tagger
    from lawtags_client.tagging.prompt import PromptStyle
    from lawtags_client.tagging.question import Question
    from lawtags_client.tagging.retriever import Retriever


class Predict:
    """Asks the base and the tuned model, and fits the tagger on the validation rows.

    What a model has answered is on disk before the next question goes out, so that an interrupted stage
    asks only for what is missing. A stage that ends with rows missing says so in ``missing``, and is done
    again by the next command.
    """

    name = "predict"
    version = 8
    leaves = PredictOutput

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        return {
            "model": context.left(ServeOutput).model,
            "base_model": context.left(ServeOutput).base_model,
            "curation": context.left(CurateOutput).digest,
            "baselines": found.files if (found := context.find(BaselinesOutput)) else None,
            **({"encoder": tuned.files} if (tuned := context.find(EncoderOutput)) else {}),
            "most": context.recipe.evaluation.max_tags,
            **decisions_of(context),
            "tokenizer": token_counter(context.recipe.model.tokenizer).identity,
        }

    async def run(self, context: RunContext) -> PredictOutput:
        from lawtags_client.tagging.storage import load_tagger

        questions = questions_of(context)
        tuned, testing = context.left(ServeOutput).model, questions["testing"]
        # A server that was started again since the last stage has yet to find the adapter.
        await context.platform.served(tuned, timeout=context.recipe.wait.served)
        chosen = await asyncio.to_thread(encoder_of, context)
        retriever = await asyncio.to_thread(load_retriever, context.folder, chosen.encoder)
        held = await _evidence(context, tuned, "validation", questions["validation"], retriever)
        encoder = await asyncio.to_thread(load_tuned, context, chosen.encoder)
        fitted = await asyncio.to_thread(_fit, context, questions, held.tokens, retriever, encoder)
        staged = await asyncio.to_thread(_staged, context, fitted)
        # The one that answers later is judged, not the one in memory.
        tagger = await asyncio.to_thread(load_tagger, staged, embedder=chosen.encoder)
        vocabulary, most = tagger.retriever.vocabulary, context.recipe.evaluation.max_tags
        predictions, answered, evidence = {}, [held], None
        if tagger.uses_model:
            evidence = await _evidence(context, tuned, "testing", testing, tagger.retriever)
            answered.append(evidence)
        else:
            context.progress.note(_without_model(tagger.report))
        for system, model in _models(context):
            given = await model_answers(context, model, "testing", testing, vocabulary, named=system)
            predictions[system] = generated(given, testing, vocabulary, most)
            answered.append(given)
        tagged = await asyncio.to_thread(_tagged, tagger, testing, evidence)
        predictions |= {system: found.rows for system, found in tagged.items()}
        # A system that this attempt lacks must not keep the predictions of an earlier one.
        if "blend" not in predictions:
            remove_predictions(context.folder, "blend")
        # All at the end: until here the folder holds what an earlier attempt finished with.
        written = [write_predictions(context.folder, system, rows) for system, rows in predictions.items()]
        written += [
            write_probabilities(context.folder, system, found.scores, vocabulary.tags)
            for system, found in tagged.items()
        ]
        written += _put(staged, context.folder / "tagger")
        return PredictOutput(
            files=file_digests(context.folder, written),
            missing=sum(given.lost for given in answered),
            summary={"test rows": len(testing), "systems": len(predictions), **_summed(answered)},
            model=tuned,
            validation=ValidationRows(
                rows=len(held.rows), failed=held.lost + held.refused, refused=held.refused
            ),
            embeddings=context.left(BaselinesOutput).embeddings,
        )


def _summed(answered: Sequence[PartAnswers]) -> dict[str, int]:
    counts = {
        "answers missing": sum(given.lost for given in answered),
        "refused": sum(given.refused for given in answered),
    }
    return {name: count for name, count in counts.items() if count}


def _staged(context: RunContext, tagger: Tagger) -> Path:
    """Write the tagger's files beside those of an earlier attempt."""
    from lawtags_client.tagging.storage import ENCODER_FOLDER, save_tagger

    new = context.folder / ".tagger"
    shutil.rmtree(new, ignore_errors=True)
    save_tagger(tagger, new)
    if tagger.blend is not None:
        for path in final_files(context.folder):
            atomic_write_bytes(new / ENCODER_FOLDER / path.name, path.read_bytes())
    return new


def _put(new: Path, folder: Path) -> list[Path]:
    """Put the tagger's files in the place of an earlier attempt's."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _models(context: RunContext) -> list[tuple[str, str]]:
    served = context.left(ServeOutput)
    return [("base", served.base_model), ("tuned", served.model)]


async def _evidence(
    context: RunContext, model: str, part: str, questions: Sequence[Question], retriever: Retriever
) -> PartAnswers:
    prompts = await asyncio.to_thread(_prompts, context, questions, retriever)
    return await first_tokens(context, model, part, questions, prompts)


def _prompts(
    context: RunContext, questions: Sequence[Question], retriever: Retriever
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


def _style(context: RunContext) -> PromptStyle:
    from lawtags_client.curation import CurationOptions

    # A remembered recipe has no key for the hashes of personal data, and none is needed here.
    asked = {name: value for name, value in context.recipe.curation.items() if name == "style"}
    return CurationOptions.from_dict(asked).style


def _fit(
    context: RunContext,
    questions: Mapping[str, Sequence[Question]],
    evidence: Sequence[Mapping[str, float] | None],
    retriever: Retriever,
    encoder: TunedEncoders | None,
) -> Tagger:
    from lawtags_client.tagging.fitting import fit_tagger, refit_tagger

    recipe = context.recipe
    tagger = fit_tagger(
        retriever,
        questions["training"],
        questions["validation"],
        evidence,
        style=_style(context),
        asking=recorded_asking(context.curated, token_counter(recipe.model.tokenizer).path),
        most=recipe.evaluation.max_tags,
        optimize=recipe.evaluation.optimize,
        abstain_below=recipe.evaluation.abstain_below,
        seed=recipe.training.seed,
        encoder=None if encoder is None else encoder.selected,
    )
    return refit_tagger(
        tagger,
        questions["training"],
        questions["validation"],
        encoder=None if encoder is None else encoder.final,
        seed=recipe.training.seed,
        n_jobs=recipe.retriever.threads,
    )


def _without_model(report: FitReport) -> str:
    from lawtags_client.tagging.fitting import FEWEST_ROWS

    rest = "the retriever alone" if report.blend is None else "the blend of encoder and retriever"
    rest = f"the tagger is {rest}, and does not ask the model"
    rows, answered = report.validation_rows, report.model_rows
    if report.model_gain is not None:
        moved = f"{'higher' if report.model_gain < 0 else 'lower'} by {abs(report.model_gain):.3f}"
        return (
            f"the tuned model adds nothing that the {answered} validation rows show "
            f"(cross-entropy {moved} per row, standard error {report.model_gain_error:.3f}): {rest}"
        )
    few = (
        f"{rows} validation rows are too few"
        if rows < FEWEST_ROWS
        else f"only {answered} of {rows} validation rows have an answer"
    )
    return f"{few}; at least {FEWEST_ROWS} are needed to mix the model in: {rest}"


@dataclass(frozen=True, slots=True)
class _Scored:
    """Predictions, and the probabilities of all tags that they were chosen by."""

    rows: list[Prediction]
    scores: Floats


def _tagged(tagger: Tagger, testing: Sequence[Question], given: PartAnswers | None) -> dict[str, _Scored]:
    """Predictions of the tagger, and of the blend if there is one.

    Args:
        tagger: the fitted tagger.
        testing: the test rows.
        given: what the model answered; None if the tagger does not use it.
    """
    found = {"tagger": score_rows(tagger, testing, given)}
    if tagger.blend is not None:
        found["blend"] = score_rows(tagger, testing)
    return found


def score_rows(tagger: Tagger, testing: Sequence[Question], given: PartAnswers | None = None) -> _Scored:
    """Predictions of a tagger.

    Args:
        tagger: fitted.
        testing: the rows to tag.
        given: what the model answered; None for tags without the model.
    """
    tokens = given.tokens if given else None
    scores = tagger.scores(testing, tokens)
    taggings = tagger.tag_scored(scores, testing, tokens)
    answers = given.rows if given is not None else [None] * len(testing)
    rows = [
        prediction(
            number,
            question.id,
            tagged.tags,
            scores=tagged.scores,
            error=None if answer is None or answer.error is None else f"{WITHOUT_MODEL}: {answer.error}",
            refused=answer is not None and answer.error is not None and answer.refused,
            abstained=tagged.abstained,
            # It chooses among the tags of the vocabulary.
            held=True,
        )
        for number, (question, tagged, answer) in enumerate(zip(testing, taggings, answers, strict=True))
    ]
    return _Scored(rows, scores)
