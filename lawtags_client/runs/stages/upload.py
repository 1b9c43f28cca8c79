"""Upload: curated rows onto the platform."""

from __future__ import annotations

from collections.abc import Mapping

from lawtags_client.files import atomic_write_json
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.outputs import CurateOutput, UploadOutput
from lawtags_client.runs.recipe import Recipe
from lawtags_client.runs.stage import RunContext, file_digests


class Upload:
    """Gives each version of the data a repository of its own, named by its digest."""

    name = "upload"
    version = 1
    leaves = UploadOutput

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        return {"curation": context.left(CurateOutput).digest, "dataset": context.recipe.dataset.name}

    async def run(self, context: RunContext) -> UploadOutput:
        digest = context.left(CurateOutput).digest
        name = dataset_name(context.recipe, digest)
        # Before the first byte: an upload that never ends has made something, too.
        facts = RunFacts.read(context.ledger)
        context.ledger.set_fact("datasets", list(dict.fromkeys([*facts.datasets, name])))
        uploaded = await context.platform.upload(
            name,
            context.curated,
            on_bytes=lambda done, total: context.progress.update(done, total, f"bytes of {name}"),
        )
        result = {"dataset": uploaded.name, "files_url": uploaded.files_url, "uploaded": dict(uploaded.files)}
        path = context.folder / "upload.json"
        atomic_write_json(path, result)
        return UploadOutput(
            files=file_digests(context.folder, [path]),
            summary={"dataset": uploaded.name, "files": len(uploaded.files)},
            dataset=uploaded.name,
            files_url=uploaded.files_url,
            uploaded=dict(uploaded.files),
        )


def dataset_name(recipe: Recipe, digest: str) -> str:
    """The dataset of a run on the platform.

    Args:
        recipe: names it.
        digest: of the curated rows.
    """
    return f"{recipe.dataset.name}-{digest[:8]}"
