"""Training jobs: LoRA, merged LoRA and all weights (automodel, unsloth), and DPO (rl)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Generic, TypeVar

from lawtags_client.errors import ConfigurationError
from lawtags_client.helix.collection import Filter, Place
from lawtags_client.helix.jobs import JobRoutes
from lawtags_client.helix.names import check_name
from lawtags_client.helix.submission import intent_of, submit_once
from lawtags_client.helix.types.automodel import AutomodelSpec
from lawtags_client.helix.types.common import HelixRequest
from lawtags_client.helix.types.customization import HelixTrainingJob
from lawtags_client.helix.types.platform import CustomizationHealth
from lawtags_client.helix.types.rl import RlSpec
from lawtags_client.helix.types.unsloth import UnslothSpec
from lawtags_client.json_value import JsonValue
from lawtags_client.services.base import Owner
from lawtags_client.services.extra_fields import extended
from lawtags_client.services.parsing import parse
from lawtags_client.transport.call import Call

S = TypeVar("S", bound=HelixRequest)

_SOURCE = "customization"
"""The service that a training job belongs to, as the list of all jobs calls it."""


class Backend(JobRoutes[HelixTrainingJob], Generic[S]):
    """The jobs of one training backend.

    Args:
        place: where requests go.
        owner: the client, which has the intents.
        name: of the backend.
        spec: the type of its specs.
    """

    def __init__(self, place: Place, owner: Owner, name: str, spec: type[S]) -> None:
        super().__init__(place, "customization", f"{name}/jobs", HelixTrainingJob)
        self._owner = owner
        self._name = name
        self._spec = spec

    async def submit(
        self,
        spec: S,
        *,
        name: str | None = None,
        key: str | None = None,
        workspace: str | None = None,
        description: str | None = None,
        project: str | None = None,
        custom_fields: Mapping[str, JsonValue] | None = None,
        output_location: str | None = None,
        profile: str | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> HelixTrainingJob:
        """Submit a job, or find the one that was submitted for the same intent before.

        Example:
            ``await helix.customization.automodel.submit(AutomodelSpec(model="gemma-2-2b-it", ...))``

        Args:
            spec: what to train, on what, and how.
            name: of the job, and of its output if the spec names none; derived from the intent by default.
            key: what makes two submissions the same; the request by default. Pass another one to train the
                same thing once more.
            workspace: if not the default one.
            description: for people.
            project: a label.
            custom_fields: kept with the job; lists cannot be filtered by them.
            output_location: a fileset for logs and results, which outlives the job.
            profile: how the platform carries the steps out, if not by its default.
            extra_body: fields of the API that have no parameter here.

        Raises:
            ConfigurationError: a name breaks the rule, or a field is unknown or missing.
            UnprocessableError: Helix refuses the request; the error names the field and the remedy.
            ConflictError: the name or the output belongs to another job, or to an adapter of another base.
            DoubtfulOutcomeError: the request was sent, and neither a response nor the job has been seen;
                repeating the call looks the job up first.
        """
        chosen = workspace or self._place.workspace
        check_name(chosen, "workspace")
        wanted = spec.to_wire()
        output = wanted.get("output")
        output_name = output.get("name") if isinstance(output, Mapping) else None
        if isinstance(output_name, str):
            check_name(output_name, "output")
        envelope: dict[str, JsonValue] = {
            "description": description,
            "project": project,
            "custom_fields": dict(custom_fields) if custom_fields else None,
            "output_location": output_location,
            "profile": profile,
        }
        body: dict[str, JsonValue] = {"spec": wanted}
        body |= {field: value for field, value in envelope.items() if value is not None}
        body = extended(body, extra_body)
        intent, job = intent_of(
            "customization",
            {"backend": self._name, **body},
            workspace=chosen,
            address=self._place.http.address.url,
            name=name or (output_name if isinstance(output_name, str) else None),
            title=self._title(wanted),
            key=key,
        )
        if not isinstance(output_name, str):
            body["spec"] = {
                **wanted,
                "output": {**(output if isinstance(output, Mapping) else {}), "name": job},
            }
        return await submit_once(
            self,
            self._place.http,
            body,
            intent,
            path=self._path(chosen),
            workspace=chosen,
            name=job,
            store=self._owner.intents,
            clock=self._owner.clock,
        )

    def _title(self, spec: Mapping[str, JsonValue]) -> str:
        """What a derived name begins with: the model and the dataset."""
        model, dataset = spec.get("model"), spec.get("dataset")
        parts = [
            model.get("name") if isinstance(model, Mapping) else model,
            (dataset.get("training") or dataset.get("path")) if isinstance(dataset, Mapping) else dataset,
        ]
        if not all(isinstance(part, str) for part in parts):
            raise ConfigurationError("the spec names no model or no dataset", hint="Set both.")
        return "-".join(str(part).rpartition("/")[2].partition("#")[0] for part in parts)


class Customization:
    """Training, by backend.

    Args:
        place: where requests go.
        owner: the client.
    """

    def __init__(self, place: Place, owner: Owner) -> None:
        self._place = place
        self.automodel: Backend[AutomodelSpec] = Backend(place, owner, "automodel", AutomodelSpec)
        self.rl: Backend[RlSpec] = Backend(place, owner, "rl", RlSpec)
        self.unsloth: Backend[UnslothSpec] = Backend(place, owner, "unsloth", UnslothSpec)

    def jobs(
        self, *, workspace: str | None = None, sort: str | None = None, filter: Filter | None = None
    ) -> AsyncIterator[HelixTrainingJob]:
        """The jobs of all backends, from all pages.

        Args:
            workspace: if not the default one; ``-`` for all.
            sort: a field; ``-created_at`` gives the newest first.
            filter: as for the other lists.

        Raises:
            APIError: the service refused.
        """
        every = JobRoutes(self._place, "jobs", "jobs", HelixTrainingJob)
        return every.list(workspace=workspace, sort=sort, filter={**(filter or {}), "source": _SOURCE})

    async def backends(self) -> list[str]:
        """The backends that the platform has."""
        data = await self._place.http.json(Call("GET", "/apis/customization/v2/healthz"))
        return (await parse(CustomizationHealth, data, self._place.http)).contributors
