"""Retriever: the classifier that knows the training rows, which the tuned model is mixed with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lawtags_client.runs.stage import RunContext, file_digests


class FitRetriever:
    """Fitted on the training rows only; the rows of the other parts are never seen."""

    name = "retriever"
    version = 1

    def inputs(self, context: RunContext) -> Mapping[str, Any]:
        # How many processes share the work does not change the result.
        options = context.recipe.retriever.model_dump(exclude={"processes"})
        questions = "curated/questions/training.jsonl"
        return {"questions": context.outputs["curate"]["files"][questions], "options": options}

    async def run(self, context: RunContext) -> dict[str, Any]:
        from lawtags_client.tagging.question import read_questions
        from lawtags_client.tagging.retriever import Retriever
        from lawtags_client.tagging.storage import save_retriever
        from lawtags_client.tagging.vocabulary import Vocabulary

        questions = read_questions(context.curated / "questions" / "training.jsonl")
        vocabulary = Vocabulary.from_questions(questions)
        options = context.recipe.retriever
        retriever = await asyncio.to_thread(
            Retriever.fit,
            questions,
            vocabulary,
            folds=options.folds,
            max_rows=options.max_rows,
            n_jobs=options.processes,
            seed=context.recipe.training.seed,
            on_progress=lambda done, total: context.progress.update(done, total, "fits"),
        )
        folder = context.folder / "retriever"
        await asyncio.to_thread(save_retriever, retriever, folder)
        return {
            "files": file_digests(context.folder, sorted(folder.iterdir())),
            "summary": {"training rows": len(questions), "tags": len(vocabulary)},
        }
