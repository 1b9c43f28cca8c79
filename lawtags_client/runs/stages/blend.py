"""Blend: encoder and retriever weighed against each other, for a repeat that trains no language model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from lawtags_client.runs.outputs import BaselinesOutput, BlendOutput, CurateOutput, EncoderOutput
from lawtags_client.runs.predictions import Prediction, remove_predictions, write_predictions
from lawtags_client.runs.stage import RunContext, file_digests
from lawtags_client.runs.stages.baselines import decisions_of, encoder_of, load_retriever, questions_of
from lawtags_client.runs.stages.encoder import load_tuned
from lawtags_client.runs.stages.predict import score_rows

SYSTEM = "blend"


class FitBlend:
    """Fits the blend as ``predict`` does, and predicts the test rows."""

    name = "blend"
    version = 3
    leaves = BlendOutput

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        return {
            "curation": context.left(CurateOutput).digest,
            "baselines": context.left(BaselinesOutput).files,
            "encoder": context.left(EncoderOutput).files,
            "seed": context.recipe.training.seed,
            "most": context.recipe.evaluation.max_tags,
            **decisions_of(context),
        }

    async def run(self, context: RunContext) -> BlendOutput:
        # A system that this attempt lacks must not keep the predictions of an earlier one.
        remove_predictions(context.folder, SYSTEM)
        rows = await asyncio.to_thread(_predicted, context)
        if rows is None:
            return BlendOutput(summary={"blend": "no"})
        written = write_predictions(context.folder, SYSTEM, rows)
        return BlendOutput(files=file_digests(context.folder, [written]), summary={"test rows": len(rows)})


def _predicted(context: RunContext) -> list[Prediction] | None:
    from lawtags_client.tagging.fitting import fit_tagger, refit_tagger

    encoder = encoder_of(context).encoder
    tuned = load_tuned(context, encoder)
    if tuned is None:
        return None
    questions, recipe = questions_of(context), context.recipe
    tagger = fit_tagger(
        load_retriever(context.folder, encoder),
        questions["training"],
        questions["validation"],
        most=recipe.evaluation.max_tags,
        optimize=recipe.evaluation.optimize,
        abstain_below=recipe.evaluation.abstain_below,
        seed=recipe.training.seed,
        encoder=tuned.selected,
    )
    tagger = refit_tagger(
        tagger,
        questions["training"],
        questions["validation"],
        encoder=tuned.final,
        seed=recipe.training.seed,
        n_jobs=recipe.retriever.threads,
    )
    return score_rows(tagger, questions["testing"]).rows
