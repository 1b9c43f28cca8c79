"""Answers: JSON, and errors in the shape that every service gives them."""

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
# Clients that retry 409 and 5xx by themselves are told where that is in vain.
_FINAL = {409, 500, 501, 507}


class JsonAnswer(JSONResponse):
    """JSON as the services write it: UTF-8, no NaN."""

    def render(self, content: object) -> bytes:
        return json.dumps(
            content, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_encode
        ).encode("utf-8")


def answer(content: object, status: int = 200) -> Response:
    """Whatever a handler returned, as a response; ``None`` is an empty body."""
    if isinstance(content, Response):
        return content
    if content is None:
        return Response(status_code=status)
    return JsonAnswer(content, status)


def error_answer(
    status: int, detail: JsonValue, *, headers: Mapping[str, str] | None = None, **fields: JsonValue
) -> Response:
    """An error: ``{"detail": ...}``, and ``x-should-retry: false`` where trying again cannot help."""
    extra = {"x-should-retry": "false"} if status in _FINAL else {}
    return JsonAnswer({"detail": detail, **fields}, status, {**extra, **(headers or {})})


def answer_for(error: Exception) -> Response:
    """The response that tells a caller of an error raised by a service's state."""
    headers: dict[str, str] = {}
    if out_of_space(error):
        return error_answer(507, "No space left on the stack's disk; free some space and try again")
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), None)
    if isinstance(error, errors.LawtagsError) and (error.status or status):
        if isinstance(error, errors.RateLimitedError) and error.retry_after is not None:
            headers["Retry-After"] = f"{error.retry_after:g}"
        detail = error.detail if error.detail is not None else error.message
        if isinstance(error, errors.DataError) and error.status == 500:  # data of ours, on our disk
            _log.error("%s", error.message)
        return error_answer(error.status or status or 500, detail, headers=headers)
    if isinstance(error, OSError) and error.filename is not None:
        reason = f"The stack cannot use {error.filename}: {error.strerror}. Check its type and permissions."
        _log.error("%s", reason)
        return error_answer(500, reason)
    _log.error("unexpected error", exc_info=error)
    return error_answer(500, f"Internal error: {type(error).__name__}: {error}")


def out_of_space(error: BaseException) -> bool:
    """Whether an error, or what caused it, says that the disk is full."""
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
