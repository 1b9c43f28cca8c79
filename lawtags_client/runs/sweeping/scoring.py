"""How good a trial is at giving tags: micro F1 on the validation rows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from lawtags_client.runs.outputs import CurateOutput, EncoderOutput, ServeOutput, StageOutput
from lawtags_client.runs.stage import RunContext
from lawtags_client.runs.stages.asking_models import generated, model_answers
from lawtags_client.runs.stages.baselines import decisions_of, encoder_of, fit_retriever, questions_of
from lawtags_client.runs.stages.encoder import load_tuned


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationScoreOutput(StageOutput):
    """The score of a trial.

    Args:
        micro_f1: of the tags given to the validation rows.
    """

    micro_f1: float


class ScoreModel:
    """Asks the tuned model for the tags of the validation rows.

    A loss counts tokens: of other prompts, answers or tokenizers it says nothing about which model is better.
    """

    name = "validation"
    version = 1
    leaves = ValidationScoreOutput

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        return {
            "model": context.left(ServeOutput).model,
            "curation": context.left(CurateOutput).digest,
            "most": context.recipe.evaluation.max_tags,
        }

    async def run(self, context: RunContext) -> ValidationScoreOutput:
        from lawtags_client.tagging.metrics import score
        from lawtags_client.tagging.vocabulary import Vocabulary

        questions = await asyncio.to_thread(questions_of, context)
        validation, vocabulary = questions["validation"], Vocabulary.from_questions(questions["training"])
        given = await model_answers(
            context, context.left(ServeOutput).model, "validation", validation, vocabulary, named="validation"
        )
        tags = generated(given, validation, vocabulary, context.recipe.evaluation.max_tags)
        reached = score([question.tags for question in validation], [row.tags for row in tags]).micro_f1
        return ValidationScoreOutput(
            missing=given.lost, summary={"micro F1": round(reached, 3)}, micro_f1=reached
        )


class ScoreTagger:
    """Fits the tagger without a language model, and scores it by weights not fitted on the row at hand."""

    name = "validation"
    version = 1
    leaves = ValidationScoreOutput

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        encoder = encoder_of(context).encoder
        return {
            "curation": context.left(CurateOutput).digest,
            # The number of threads does not change the fit.
            "retriever": context.recipe.retriever.model_dump(exclude={"threads", "encoder"}),
            "embeddings": None if encoder is None else encoder.identity,
            "encoder": context.left(EncoderOutput).files,
            "seed": context.recipe.training.seed,
            "most": context.recipe.evaluation.max_tags,
            **decisions_of(context),
        }

    async def run(self, context: RunContext) -> ValidationScoreOutput:
        reached = await asyncio.to_thread(_fitted_score, context)
        return ValidationScoreOutput(summary={"micro F1": round(reached, 3)}, micro_f1=reached)


def _fitted_score(context: RunContext) -> float:
    from lawtags_client.tagging.fitting import fit_tagger

    questions, recipe, encoder = questions_of(context), context.recipe, encoder_of(context).encoder
    tuned = load_tuned(context, encoder)
    report = fit_tagger(
        fit_retriever(context, questions["training"], encoder),
        questions["training"],
        questions["validation"],
        most=recipe.evaluation.max_tags,
        optimize=recipe.evaluation.optimize,
        abstain_below=recipe.evaluation.abstain_below,
        seed=recipe.training.seed,
        # Not the one that has learned the rows to be scored.
        encoder=None if tuned is None else tuned.selected,
    ).report
    reached = report.retriever_micro_f1 if report.blend_micro_f1 is None else report.blend_micro_f1
    # Only reports of older releases have none.
    assert reached is not None
    return reached
