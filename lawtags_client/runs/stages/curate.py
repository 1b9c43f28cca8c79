"""Curate: raw questions in, training rows out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from lawtags_client.runs.outputs import CurateOutput
from lawtags_client.runs.stage import RunContext, file_digests
from lawtags_client.runs.tokens import token_counter


class Curate:
    """Cleans, filters, splits and writes the rows; see :mod:`lawtags_client.curation`."""

    name = "curate"
    version = 1
    leaves = CurateOutput

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        from lawtags_client.curation import CurationOptions
        from lawtags_client.curation.read.sources import find_sources

        sources = find_sources(context.data, context.test)
        # A remembered recipe has no key for the hashes of personal data, and none is needed here.
        open_options = {name: value for name, value in context.recipe.curation.items() if name != "pii"}
        return {
            # A hub data set has no file to hash; its revision is recorded by the curation itself.
            "data": [source.location if source.hub else source.identity() for source in sources],
            "test": context.test is not None,
            "options": context.recipe.curation,
            "named": CurationOptions.from_dict(open_options).file_digests(),
            "tokenizer": token_counter(context.recipe.model.tokenizer).identity,
        }

    async def run(self, context: RunContext) -> CurateOutput:
        from lawtags_client.curation import CurationOptions, curate

        counter = token_counter(context.recipe.model.tokenizer)
        report = await asyncio.to_thread(
            curate,
            list(context.data),
            context.curated,
            CurationOptions.from_dict(context.recipe.curation),
            test=context.test,
            scheduler=context.scheduler,
            count_tokens=counter.count if counter.exact else None,
            tokenizer=counter.identity if counter.exact else None,
            on_progress=lambda step: context.progress.update(step.done, step.total, step.step),
        )
        parts = ("training", "validation", "testing")
        written = [context.curated / "curation.json", context.curated / "rejected.jsonl"]
        for part in parts:
            written += [
                context.curated / part / f"{part}.jsonl",
                context.curated / "questions" / f"{part}.jsonl",
            ]
        rows = {part: report.splits.get(part, 0) for part in parts}
        return CurateOutput(
            files=file_digests(context.folder, [path for path in written if path.exists()]),
            summary={**rows},
            rows=rows,
            digest=report.digest,
        )
