"""JSON responses and error responses, in the format of every service."""

from __future__ import annotations

import errno
import json
import logging
import sqlite3
from collections.abc import Mapping

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from lawtags_client import errors
from lawtags_client.json_value import JsonObject, JsonValue

_log = logging.getLogger(__name__)

_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (errors.BadRequestError, 400),
    (errors.AuthenticationError, 401),
    (errors.PermissionDeniedError, 403),
    (errors.NotFoundError, 404),
    (errors.ConflictError, 409),
    (errors.PayloadTooLargeError, 413),
    (errors.UnprocessableError, 422),
    (errors.RateLimitedError, 429),
    (errors.ServerError, 500),
    (errors.DataError, 400),
    (errors.ConfigurationError, 400),
)
# Tells clients that retry 409 and 5xx automatically which of these are not retryable.
_FINAL = {409, 500, 501, 507}


class JsonResponse(JSONResponse):
    """A JSON response: UTF-8, without NaN."""

    def render(self, content: object) -> bytes:
        return json.dumps(
            content, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_encode
        ).encode("utf-8")


def to_response(content: object, status: int = 200) -> Response:
    """Convert a handler's return value to a response; ``None`` becomes an empty body."""
    if isinstance(content, Response):
        return content
    if content is None:
        return Response(status_code=status)
    return JsonResponse(content, status)


def error_response(
    status: int, detail: object, *, headers: Mapping[str, str] | None = None, **fields: JsonValue
) -> Response:
    """Create an error response: ``{"detail": ...}``, and ``x-should-retry: false`` if it is not retryable."""
    extra = {"x-should-retry": "false"} if status in _FINAL else {}
    return JsonResponse({"detail": detail, **fields}, status, {**extra, **(headers or {})})


def response_for_error(error: Exception) -> Response:
    """Convert an exception of a service to an error response."""
    headers: dict[str, str] = {}
    if out_of_space(error):
        return error_response(507, "No space left on the stack's disk; free some space and try again")
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), None)
    if isinstance(error, errors.LawtagsError) and (error.status or status):
        if isinstance(error, errors.RateLimitedError) and error.retry_after is not None:
            headers["Retry-After"] = f"{error.retry_after:g}"
        detail = error.detail if error.detail is not None else error.message
        if isinstance(error, errors.DataError) and error.status == 500:  # the stack's own data on disk
            _log.error("%s", error.message)
        return error_response(error.status or status or 500, detail, headers=headers)
    if isinstance(error, OSError) and error.filename is not None:
        reason = f"The stack cannot use {error.filename}: {error.strerror}. Check its type and permissions."
        _log.error("%s", reason)
        return error_response(500, reason)
    _log.error("unexpected error", exc_info=error)
    return error_response(500, f"Internal error: {type(error).__name__}: {error}")


def out_of_space(error: BaseException) -> bool:
    """Whether an error, or its cause, means that the disk is full."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    if isinstance(error, sqlite3.OperationalError) and "disk is full" in str(error):
        return True
    return error.__cause__ is not None and out_of_space(error.__cause__)


def _encode(value: object) -> JsonValue:
    if isinstance(value, BaseModel):
        dumped: JsonObject = value.model_dump(mode="json")
        return dumped
    raise TypeError(f"cannot be written as JSON: {type(value).__name__}")
