"""Submitting a job once per intent: its name is derived from the intent, and names are Helix's idempotency.

A repeated POST is refused with 409, and with 422 while the first job has not ended; a lost response may hide
a job that was created. In each case the job is looked up by its name, and taken if it carries the token of
this intent and asks for the same; otherwise the name is taken by something else, which is a conflict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from lawtags_client.errors import ConfigurationError, ConflictError, NotFoundError
from lawtags_client.helix.jobs import JobRoutes
from lawtags_client.helix.names import check_name, make_name
from lawtags_client.helix.refusals import holder
from lawtags_client.helix.types.jobs import HelixJob
from lawtags_client.intents import FIELD, Intent, IntentStore, new_intent
from lawtags_client.json_value import JsonValue
from lawtags_client.services.parsing import parse
from lawtags_client.services.submission import Submission, submit
from lawtags_client.transport.call import Call
from lawtags_client.transport.clock import Clock
from lawtags_client.transport.http import ServiceTransport

J = TypeVar("J", bound=HelixJob)


def intent_of(
    kind: str,
    body: Mapping[str, JsonValue],
    *,
    workspace: str,
    address: str,
    name: str | None,
    title: str,
    key: str | None,
) -> tuple[Intent, str]:
    """The intent of a job, and the name of the job.

    Unlike the random token of an intent, this one is derived from the key or the request: the same intent on
    another machine finds the same job.

    Args:
        kind: what is submitted, such as ``customization``.
        body: the request, without name and token.
        workspace: where it goes.
        address: of the platform.
        name: the caller's name for the job.
        title: what a derived name begins with.
        key: the caller's own key of the intent; the request by default.
    """
    _check_custom_fields(body)
    asked = {"workspace": workspace, **({"name": name} if name else {}), **_work(body)}
    intent = new_intent(kind, asked, key=key, service=address)
    token = hashlib.sha256(f"{kind}:{key if key is not None else intent.digest}".encode()).hexdigest()[:32]
    chosen = check_name(name, "job") if name else make_name(title, token=token[:12])
    return replace(intent, token=token), chosen


async def submit_once(
    routes: JobRoutes[J],
    http: ServiceTransport,
    body: Mapping[str, JsonValue],
    intent: Intent,
    *,
    path: str,
    workspace: str,
    name: str,
    store: IntentStore,
    clock: Clock,
) -> J:
    """The job of an intent: found where it exists, created where it does not.

    Args:
        routes: reads the jobs of this kind.
        http: the transport of the platform.
        body: the request, without name and token.
        intent: from ``intent_of``.
        path: where it is posted.
        workspace: where it goes.
        name: of the job.
        store: the memory of intents.
        clock: for pauses between looks.

    Raises:
        BusyError: another process was submitting this intent all the time.
        ConflictError: the key stands for another request, or the name or output belongs to another job.
        DoubtfulOutcomeError: the request was sent, and neither a response nor the job has been seen.
    """
    reference = f"{workspace}/{name}"

    async def post(wanted: Intent) -> J:
        return await parse(routes.model, await http.json(Call("POST", path, json=sent(wanted))), http)

    def sent(wanted: Intent) -> dict[str, JsonValue]:
        fields = body.get("custom_fields")
        named = dict(fields) if isinstance(fields, Mapping) else {}
        return {"name": name, **body, "custom_fields": {**named, FIELD: wanted.token}}

    async def get(job_id: str) -> J:
        try:
            return await routes.get(job_id)
        except NotFoundError:
            # Not every platform takes an id in the place of a name.
            found = await routes.get(reference)
            if identify(found) != job_id:
                raise
            return found

    def identify(job: J) -> str:
        return f"{workspace}/{job.id or name}"

    async def find(wanted: Intent) -> J | None:
        found = await routes.find(reference)
        # One with this token that asks for something else is a conflict, which frees the key.
        return found if found is not None and not _differing(found, body, wanted.token) else None

    async def clash(_: Intent, error: ConflictError) -> J:
        # The transport's errors name the job that holds the name or makes the output.
        other = holder(error)
        if other is not None and other != name:
            raise error
        found = await routes.find(reference)
        if found is not None:
            _check_same(found, body, reference, intent.token)
        raise error

    submission: Submission[J] = Submission(post=post, get=get, find=find, job_id=identify, clash=clash)
    return await submit(intent, submission, store=store, clock=clock)


def _check_same(found: HelixJob, body: Mapping[str, JsonValue], reference: str, token: str) -> None:
    """See that a job was asked for with this request.

    Raises:
        ConflictError: it was not; the message lists the fields that differ.
    """
    if differing := _differing(found, body, token):
        raise ConflictError(
            f"the job {reference} exists and differs in {', '.join(differing[:10])}",
            field=differing[0],
            hint="Choose another name, or delete that job once it has ended.",
            service="platform",
        )


def _differing(found: HelixJob, body: Mapping[str, JsonValue], token: str) -> list[str]:
    """The fields in which a job is not what was asked for; its token, where all else is the same."""
    differing = {
        *differences(_work(body).get("spec") or {}, found.spec, "spec"),
        *differences(body.get("custom_fields") or {}, found.custom_fields, "custom_fields"),
    }
    if not differing and found.custom_fields.get(FIELD) != token:
        return [f"custom_fields.{FIELD}"]
    return sorted(differing)


def _work(body: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """A request without where it is reported to, which makes no other job."""
    spec = body.get("spec")
    if not isinstance(spec, Mapping) or "integrations" not in spec:
        return dict(body)
    return {**body, "spec": {name: value for name, value in spec.items() if name != "integrations"}}


def differences(wanted: object, found: object, place: str) -> list[str]:
    """Where what was found differs from a request; defaults that were filled in do not count.

    Args:
        wanted: the request.
        found: what the platform has.
        place: where both stand, for the names of what differs.
    """
    if isinstance(wanted, Mapping):
        there = found if isinstance(found, Mapping) else {}
        return [
            name
            for key, value in wanted.items()
            for name in differences(value, there.get(key), f"{place}.{key}")
        ]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return [name for index, (one, other) in pairs for name in differences(one, other, f"{place}.{index}")]
    if wanted == found and isinstance(wanted, bool) == isinstance(found, bool):
        return []
    return [place]


def _check_custom_fields(body: Mapping[str, JsonValue]) -> None:
    fields = body.get("custom_fields")
    if isinstance(fields, Mapping) and FIELD in fields:
        raise ConfigurationError(
            f"custom_fields has {FIELD}, by which the client finds its job", hint="Use another name."
        )
