"""Serve: the tuned model answers at the inference endpoint."""

from __future__ import annotations

from collections.abc import Mapping

from lawtags_client.files import atomic_write_json
from lawtags_client.runs.outputs import CustomizeOutput, PlanOutput, ServeOutput
from lawtags_client.runs.stage import RunContext, file_digests


class Serve:
    """A finished job is not yet a served model: the endpoint looks for new adapters now and then."""

    name = "serve"
    version = 1
    leaves = ServeOutput

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        return {"model": context.left(CustomizeOutput).output_model}

    async def run(self, context: RunContext) -> ServeOutput:
        model = context.left(CustomizeOutput).output_model
        context.progress.update(0, None, f"waiting for {model}")
        await context.platform.served(model, timeout=context.recipe.wait.served)
        base = context.left(PlanOutput).plan.base_model
        path = context.folder / "endpoint.json"
        atomic_write_json(path, {"model": model, "base_model": base})
        return ServeOutput(
            files=file_digests(context.folder, [path]),
            summary={"model": model},
            model=model,
            base_model=base,
        )
