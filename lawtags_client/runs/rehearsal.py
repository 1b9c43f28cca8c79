"""The requests that a run will send until its job is submitted, without sending them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lawtags_client.files import atomic_write_bytes, atomic_write_text
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_client.platform.protocol import Dialect
from lawtags_client.platform.rehearsal import RehearsedRequest, rehearsed_platform
from lawtags_client.runs.outputs import CurateOutput, PlanOutput, UploadOutput
from lawtags_client.runs.stage import RunContext, stage_digest
from lawtags_client.runs.stages.customize import Customize, intent_key, job_intent
from lawtags_client.runs.stages.upload import dataset_name
from lawtags_client.settings import Settings

FOLDER = "requests"
"""The folder of the bodies, in the folder of a plan."""
_SHOWN = 4096


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """A request that the run will send.

    Args:
        request: with its bytes.
        file: where its body is, below the folder of the plan.
    """

    request: RehearsedRequest
    file: str

    def as_json(self) -> JsonObject:
        """The request as one JSON object; a body that is long or no JSON is in its file."""
        request, body = self.request, None
        if len(request.body) <= _SHOWN and "json" in request.content_type:
            body = json.loads(request.body) if request.body.startswith(b"{") else None
        shown: JsonValue = body
        return {
            "method": request.method,
            "path": request.path,
            "bytes": len(request.body),
            "sha256": hashlib.sha256(request.body).hexdigest(),
            "body": shown,
            "file": self.file,
        }

    def __str__(self) -> str:
        return f"{self.request.method} {self.request.path}: {len(self.request.body):,} bytes, {self.file}"


async def rehearse(
    context: RunContext, settings: Settings | None, *, run: str, dialect: Dialect = "v1"
) -> list[PlannedRequest]:
    """The requests of upload and submission that change something, in order.

    Args:
        context: of the plan, after its stages.
        settings: of the platform, if there is one.
        run: the name that the run will have.
        dialect: the API of the platform.

    Returns:
        None at all where the platform would refuse the job: the run would end before it sends anything.
    """
    plan = context.left(PlanOutput).plan
    if any(finding.level == "error" for finding in plan.findings):
        return _written(context.folder, [])
    async with rehearsed_platform(settings, dialect) as (platform, recorded):
        name = dataset_name(context.recipe, context.left(CurateOutput).digest)
        uploaded = await platform.upload(name, context.curated)
        output = UploadOutput(dataset=uploaded.name, files_url=uploaded.files_url)
        later = replace(context, outputs={**context.outputs, "upload": output})
        key = intent_key(later, stage_digest(Customize(), later), attempt=0)
        await platform.submit(job_intent(later, plan.hyperparameters, key, run=run))
    return _written(context.folder, [request for request in recorded if not request.reads])


def _written(folder: Path, requests: Sequence[RehearsedRequest]) -> list[PlannedRequest]:
    found = []
    for number, request in enumerate(requests, 1):
        kind = "json" if request.body.startswith(b"{") and b"\n" not in request.body else "txt"
        file = f"{FOLDER}/{number:02}.{kind}"
        atomic_write_bytes(folder / file, request.body)
        found.append(PlannedRequest(request, file))
    lines = "".join(json.dumps(each.as_json(), ensure_ascii=False) + "\n" for each in found)
    atomic_write_text(folder / FOLDER / "requests.jsonl", lines)
    return found
