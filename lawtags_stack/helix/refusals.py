"""Errors of the Helix dialect, in the formats of the real services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.responses import Response

from lawtags_client.errors import APIError, PayloadTooLargeError
from lawtags_stack.http.bodies import UnsupportedMediaTypeError
from lawtags_stack.http.responses import JsonResponse, out_of_space, response_for_error


class HelixError(APIError):
    """A refusal of the Helix API.

    Args:
        status: HTTP status.
        detail: text, or the list of faults of a body.
        headers: additional headers.
        fields: further fields beside ``detail``.
    """

    def __init__(
        self, status: int, detail: object, *, headers: Mapping[str, str] | None = None, **fields: str
    ) -> None:
        super().__init__(str(detail)[:500], status=status)
        self.content = {"detail": detail, **fields}
        self.headers = {"x-should-retry": "false"} if status == 409 else {}
        self.headers |= headers or {}


class InvalidBodyError(HelixError):
    """A body, or a parameter of the query, does not match its schema."""

    def __init__(self, faults: Sequence[Mapping[str, object]]) -> None:
        super().__init__(422, [dict(each) for each in faults])


def invalid_parameter(
    name: str, kind: str, message: str, value: str, context: Mapping[str, object]
) -> InvalidBodyError:
    """The refusal of a query parameter."""
    return InvalidBodyError(
        [{"type": kind, "loc": ["query", name], "msg": message, "input": value, "ctx": dict(context)}]
    )


def helix_error_response(error: Exception) -> Response:
    """Convert an exception to a response of the Helix API."""
    if isinstance(error, HelixError):
        return JsonResponse(error.content, error.status or 500, error.headers)
    if isinstance(error, UnsupportedMediaTypeError | PayloadTooLargeError) or out_of_space(error):
        return response_for_error(error)
    return response_for_error(error)
