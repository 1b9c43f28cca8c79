"""Models and their adapters."""

from __future__ import annotations

from collections.abc import Mapping

from lawtags_client.errors import ConflictError, DoubtfulOutcomeError
from lawtags_client.helix.collection import HelixCollection, Place
from lawtags_client.helix.types.models import (
    AdapterChanges,
    AdapterRequest,
    HelixAdapter,
    HelixModel,
    HelixModelRequest,
    ModelChanges,
)
from lawtags_client.json_value import JsonValue
from lawtags_client.services.extra_fields import extended_request, request_of
from lawtags_client.transport.call import Call


class HelixModels(HelixCollection[HelixModel, HelixModelRequest, ModelChanges]):
    """Models. Deleting one deletes the adapters under it, and leaves the filesets.

    One that points to a fileset makes Helix submit a job of its own, which reads ``spec`` from the weights.
    """

    def __init__(self, place: Place) -> None:
        super().__init__(place, "models", "models", HelixModel, HelixModelRequest, ModelChanges, what="model")


class Adapters(HelixCollection[HelixAdapter, AdapterRequest, AdapterChanges]):
    """Low-rank adapters; names are unique in a workspace, whatever the base."""

    def __init__(self, place: Place) -> None:
        super().__init__(
            place, "models", "adapters", HelixAdapter, AdapterRequest, AdapterChanges, what="adapter"
        )

    async def create_under(
        self,
        base: str,
        request: AdapterRequest | None = None,
        *,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: object,
    ) -> HelixAdapter:
        """Create an adapter under a base model, in the workspace of that model.

        Args:
            base: the model, its name or ``workspace/name``.
            request: the adapter, instead of its fields.
            extra_body: fields of the API that the request type does not have.
            fields: name, fileset, lora_config and so on.

        Raises:
            ConfigurationError: a name breaks the rule, or a field is unknown, missing or invalid.
            ConflictError: the name is taken, by an adapter of this or of another base.
            NotFoundError: there is no such base model.
            BadRequestError: there is no such fileset.
        """
        asked = request_of(AdapterRequest, request, fields)
        self._check(asked)
        workspace, name = self._place.split(base, "base model")
        path = f"{self._place.path('models', workspace)}/models/{name}/adapters"
        body = extended_request(asked, extra_body)
        return await self._made(await self._place.http.json(Call("POST", path, json=body)))

    async def register(
        self, base: str, request: AdapterRequest | None = None, **fields: object
    ) -> HelixAdapter:
        """Create an adapter under a base model, or point the existing one of that base to new weights.

        This is what Helix does itself at the end of a training job.

        Args:
            base: the model, its name or ``workspace/name``.
            request: the adapter, instead of its fields.
            fields: as for ``create_under``.

        Raises:
            ConflictError: the name belongs to an adapter of another base.
        """
        asked = request_of(AdapterRequest, request, fields)
        workspace, name = self._place.split(base, "base model")
        try:
            return await self.create_under(base, asked)
        except (ConflictError, DoubtfulOutcomeError) as error:
            found = await self.find(f"{workspace}/{asked.name}")
            if found is None and isinstance(error, DoubtfulOutcomeError):
                return await self.create_under(base, asked)
            if found is None:
                raise
        self._check_base(found, workspace, name)
        changes = AdapterChanges(
            fileset=asked.fileset, enabled=True if asked.enabled is None else asked.enabled
        )
        if asked.description is not None:
            changes.description = asked.description
        return await self.update(f"{workspace}/{asked.name}", changes)

    async def check_base(self, base: str, name: str) -> None:
        """Check that an adapter of a name could be registered under a base model, now.

        Args:
            base: the model, its name or ``workspace/name``.
            name: of the adapter, which may exist.

        Raises:
            ConflictError: the name belongs to an adapter of another base.
        """
        workspace, model = self._place.split(base, "base model")
        found = await self.find(f"{workspace}/{name}")
        if found is not None:
            self._check_base(found, workspace, model)

    def _check_base(self, found: HelixAdapter, workspace: str, model: str) -> None:
        if found.model not in (None, model, f"{workspace}/{model}"):
            raise ConflictError(
                f"the adapter {found.reference} belongs to the base model {found.model}",
                field="name",
                hint="Adapter names are unique in a workspace. Choose another name, or delete that adapter.",
                service=self._place.http.address.service,
            )
