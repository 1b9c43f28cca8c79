"""Secrets."""

from __future__ import annotations

from collections.abc import Mapping

from lawtags_client.errors import APIError
from lawtags_client.helix.collection import HelixCollection, Place
from lawtags_client.helix.types.secrets import Secret, SecretChanges, SecretRequest, SecretValue
from lawtags_client.json_value import JsonValue
from lawtags_client.services.extra_fields import request_of
from lawtags_client.services.parsing import parse
from lawtags_client.transport.call import Call
from lawtags_client.transport.redact import Redactor


class HelixSecrets(HelixCollection[Secret, SecretRequest, SecretChanges]):
    """Secrets, which jobs and providers name; their values appear in no message, log or repr."""

    def __init__(self, place: Place) -> None:
        super().__init__(place, "secrets", "secrets", Secret, SecretRequest, SecretChanges, what="secret")

    async def create(
        self,
        request: SecretRequest | None = None,
        *,
        workspace: str | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: object,
    ) -> Secret:
        """Create a secret; arguments and errors as for other entities."""
        asked = request_of(SecretRequest, request, fields)
        try:
            return await super().create(asked, workspace=workspace, extra_body=extra_body)
        except APIError as error:
            raise _masked(error, asked.value) from None

    async def update(
        self,
        reference: str,
        changes: SecretChanges | None = None,
        *,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: object,
    ) -> Secret:
        """Change a secret; arguments and errors as for other entities."""
        asked = request_of(SecretChanges, changes, fields)
        try:
            return await super().update(reference, asked, extra_body=extra_body)
        except APIError as error:
            raise _masked(error, asked.value or "") from None

    async def value(self, reference: str) -> str:
        """The value of a secret.

        Raises:
            NotFoundError: it does not exist.
        """
        data = await self._place.http.json(Call("GET", f"{self._of(reference)}/access"))
        return (await parse(SecretValue, data, self._place.http)).value or ""


def _masked(error: APIError, value: str) -> APIError:
    """An error in which a value that the server repeats is masked."""
    redactor = Redactor([value])
    error.message = redactor.text(error.message)
    error.args = (error.message,)
    error.hint = error.hint and redactor.text(error.hint)
    if isinstance(error.detail, str):
        error.detail = redactor.text(error.detail)
    elif error.detail is not None:
        error.detail = None
    return error
