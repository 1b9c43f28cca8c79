"""Report: the page for people, and the card that travels with the model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from lawtags_client.files import atomic_write_text
from lawtags_client.runs.lineage import Lineage
from lawtags_client.runs.metrics import read_metrics
from lawtags_client.runs.model_card import attribution, data_licenses, model_card
from lawtags_client.runs.outputs import (
    CustomizeOutput,
    EvaluateOutput,
    PlanOutput,
    PredictOutput,
    ReportOutput,
    ServeOutput,
)
from lawtags_client.runs.repeats import find_repeats
from lawtags_client.runs.report import render_report
from lawtags_client.runs.rows import read_rows
from lawtags_client.runs.stage import RunContext, file_digests


class Report:
    """Writes ``report.html`` and ``model-card.md``, and puts card and tagger beside the model's weights."""

    name = "report"
    version = 4
    leaves = ReportOutput

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        return {
            "metrics": context.left(EvaluateOutput).files,
            "predictions": context.left(PredictOutput).files,
            "training": context.left(CustomizeOutput).files,
            "plan": context.left(PlanOutput).files,
            "model": context.recipe.model.model_dump(),
            "dataset": context.recipe.dataset.model_dump(),
            # Those of an earlier command belong to the report, too.
            **({"repeats": found.as_json()} if (found := find_repeats(context.folder)) else {}),
        }

    async def run(self, context: RunContext) -> ReportOutput:
        folder = context.folder
        model = context.left(ServeOutput).model
        licenses = data_licenses(context.recipe, read_rows(context.curated / "questions" / "training.jsonl"))
        named = attribution(context.recipe, licenses)
        page = await asyncio.to_thread(render_report, folder, licenses=licenses, attribution=named)
        atomic_write_text(folder / "report.html", page)
        card = model_card(
            context.recipe,
            plan=context.left(PlanOutput).plan,
            model=model,
            metrics=read_metrics(folder),
            repeats=find_repeats(folder),
            licenses=licenses,
            lineage=Lineage.read(folder),
        )
        atomic_write_text(folder / "model-card.md", card)
        tagger = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted((folder / "tagger").rglob("*"))
            if path.is_file()
        }
        await context.platform.publish(model, {"README.md": card.encode(), **tagger})
        written = [folder / "report.html", folder / "model-card.md"]
        return ReportOutput(files=file_digests(folder, written), summary={"report": "report.html"})
