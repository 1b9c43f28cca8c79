"""All errors that lawtags raises.

* LawtagsError
  x ConfigurationError        a setting, recipe or argument is wrong (exit code 2)
    + MissingExtraError       an optional package is not installed
    + RecipeError             keys or values of a recipe are wrong
    + RunInputsError          a run of this name was made from other inputs
    + ClientClosedError       the client is closed
  x DataError                 a row or file cannot be used; names file, line and field
  x ResourceLimitError        a template, pattern or other untrusted work exceeded a limit
  x TransportError            no usable response arrived
    + ConnectionFailedError   the service could not be reached; nothing was sent
    + DeadlineExceededError   the response did not arrive in time
    + ProtocolError           the response does not conform to the API
    + DoubtfulOutcomeError    the response to a create was lost: it may or may not have taken effect
  x APIError                  the service answered with an error status
    + BadRequestError         400
    + AuthenticationError     401
    + PermissionDeniedError   403
    + NotFoundError           404
    + ConflictError           409
    + PayloadTooLargeError    413
    + UnprocessableError      422
    + UpstreamError           424: the model server behind the gateway refused
    + RateLimitedError        429, carries ``retry_after`` in seconds
    + ServerError             5xx
  x JobError                  a job did not complete
    + JobFailedError
    + JobCancelledError
    + JobStalledError         no progress for longer than allowed; the job is still running
  x WaitTimeoutError          the timeout passed; the job or deployment may still complete
  x RowsFailedError           too many rows of a run have no answer for a verdict
  x GateNotPassedError        a run did not pass a quality gate (exit code 3)
  x BusyError                 another process uses this run or this stack (exit code 75)

Catch ``LawtagsError`` to catch them all. ``exit_code`` is the exit code of the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, TypedDict, Unpack


class RequestContext(TypedDict, total=False):
    """Keyword arguments of every error that name the request concerned; see ``LawtagsError``."""

    service: str | None
    status: int | None
    request_id: str | None
    url: str | None


class ErrorContext(RequestContext, total=False):
    """The keyword arguments of every error; see ``LawtagsError``."""

    hint: str | None
    detail: object


class LawtagsError(Exception):
    """Base of all errors that lawtags raises.

    Args:
        message: what happened, in one sentence.
        hint: what to do next.
        service: the microservice concerned, e.g. ``"customizer"``.
        status: HTTP status, if there was a response.
        request_id: the server's request id, if it sent one.
        url: the URL of the request, without credentials and query.
        detail: the server's error, as decoded JSON or text.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        service: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        url: str | None = None,
        detail: object = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.service = service
        self.status = status
        self.request_id = request_id
        self.url = url
        self.detail = detail

    def __str__(self) -> str:
        where = ", ".join(
            part
            for part in (
                # Most messages name it themselves.
                None if self.service and self.service in self.message else self.service,
                f"HTTP {self.status}" if self.status else None,
                f"request {self.request_id}" if self.request_id else None,
            )
            if part
        )
        text = f"{self.message} ({where})" if where else self.message
        return f"{text}\n{self.hint}" if self.hint else text

    def __reduce__(self) -> tuple[Callable[..., LawtagsError], tuple[object, ...]]:
        # Constructors take other arguments than Exception passes on to another process.
        return _restored, (type(self), self.args, vars(self))

    def as_dict(self) -> dict[str, object]:
        """The error as one JSON object, for ``--json`` and run records."""
        fields = ("message", "hint", "service", "status", "request_id", "url", "detail")
        found = {name: getattr(self, name) for name in fields}
        return {"error": type(self).__name__} | {k: v for k, v in found.items() if v is not None}


def _restored(kind: type[LawtagsError], args: tuple[object, ...], values: dict[str, object]) -> LawtagsError:
    error = kind.__new__(kind, *args)
    vars(error).update(values)
    return error


class ConfigurationError(LawtagsError):
    """A setting, a recipe or an argument is wrong."""

    exit_code = 2


class MissingExtraError(ConfigurationError):
    """An optional package is not installed.

    Args:
        package: the module that could not be imported.
        extra: the extra of lawtags that installs it.
        purpose: what it is needed for, e.g. ``"curation"``.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed",
            hint=f"Install it with: pip install 'lawtags[{extra}]'",
        )
        self.package = package
        self.extra = extra


class RecipeError(ConfigurationError):
    """Keys or values of a recipe are wrong.

    Args:
        faults: what is wrong, one line each, with file, line and key.
        hint: what to do next.
    """

    def __init__(self, faults: Sequence[str], *, hint: str) -> None:
        super().__init__("\n".join(faults), hint=hint, detail=list(faults))
        self.faults = tuple(faults)


class RunInputsError(ConfigurationError):
    """A run of this name was made from other inputs, and holds results that they would replace.

    Args:
        message: which run, and what differs.
        hint: what to do next.
        differences: what differs, one line each.
    """

    def __init__(self, message: str, *, hint: str, differences: Sequence[str]) -> None:
        super().__init__(message, hint=hint, detail=list(differences))
        self.differences = tuple(differences)


class ClientClosedError(ConfigurationError):
    """The client is closed."""

    def __init__(self) -> None:
        super().__init__(
            "the client is closed",
            hint="Make the call before close(), inside the `with` block, or create a new client.",
        )


class DataError(LawtagsError):
    """A file or row cannot be used.

    Args:
        message: what is wrong.
        path: the file.
        line: the line, counted from one.
        column: the character of the line, counted from one.
        field: the field of the row.
        wrong_path: whether the path itself is wrong, such as a file in place of a folder.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | Path | None = None,
        line: int | None = None,
        column: int | None = None,
        field: str | None = None,
        hint: str | None = None,
        wrong_path: bool = False,
    ) -> None:
        place = str(path) if path is not None else ""
        if line is not None:
            place += f":{line}" if column is None else f":{line}:{column}"
        if field is not None:
            place += f"{': ' if place else ''}field {field!r}"
        super().__init__(f"{place}: {message}" if place else message, hint=hint)
        self.path = str(path) if path is not None else None
        self.line = line
        self.column = column
        self.field = field
        self.wrong_path = wrong_path

    def as_dict(self) -> dict[str, object]:
        found = {"path": self.path, "line": self.line, "column": self.column, "field": self.field}
        return super().as_dict() | {k: v for k, v in found.items() if v is not None}


class ResourceLimitError(LawtagsError):
    """A template, pattern or other untrusted work needs more time, memory or output than it may use."""


class TransportError(LawtagsError):
    """No usable response arrived."""


class ConnectionFailedError(TransportError):
    """The service could not be reached; nothing was sent.

    Attributes:
        passing: whether trying again may help, as it does not where a certificate is refused.
    """

    passing: bool = True


class DeadlineExceededError(TransportError):
    """The answer did not come in time."""


class ProtocolError(TransportError):
    """The response does not conform to the API."""


class DoubtfulOutcomeError(TransportError):
    """The response to a create was lost: it may or may not have taken effect."""


class APIError(LawtagsError):
    """The service answered with an error status.

    Args:
        message: see ``LawtagsError``.
        field: the field of the request that is wrong, such as ``spec.batch.global_batch_size``, if known.
        context: see ``LawtagsError``.
    """

    def __init__(self, message: str, *, field: str | None = None, **context: Unpack[ErrorContext]) -> None:
        super().__init__(message, **context)
        self.field = field

    def as_dict(self) -> dict[str, object]:
        return super().as_dict() | ({"field": self.field} if self.field is not None else {})


class BadRequestError(APIError):
    """400: the request is invalid."""


class AuthenticationError(APIError):
    """401: the token is missing, wrong or expired."""


class PermissionDeniedError(APIError):
    """403: the token does not allow this."""


class NotFoundError(APIError):
    """404: it does not exist."""


class ConflictError(APIError):
    """409: the name is taken, or the state does not allow it."""


class PayloadTooLargeError(APIError):
    """413: a proxy or the service refuses a body of this size."""


class UnprocessableError(APIError):
    """422: a field of the request is invalid."""


class UpstreamError(APIError):
    """424: the model server behind the gateway refused; ``upstream_status`` is what it answered, if known."""

    def __init__(
        self,
        message: str,
        *,
        upstream_status: int | None = None,
        field: str | None = None,
        **context: Unpack[ErrorContext],
    ) -> None:
        super().__init__(message, field=field, **context)
        self.upstream_status = upstream_status


class RateLimitedError(APIError):
    """429: too many requests; ``retry_after`` is the number of seconds to wait, if known."""

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        field: str | None = None,
        **context: Unpack[ErrorContext],
    ) -> None:
        super().__init__(message, field=field, **context)
        self.retry_after = retry_after


class ServerError(APIError):
    """5xx: the service failed."""


class JobError(LawtagsError):
    """A job did not complete.

    Args:
        message: what happened.
        job_id: the job.
        reason: the service's message.
    """

    def __init__(
        self, message: str, *, job_id: str, reason: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint, detail=reason)
        self.job_id = job_id
        self.reason = reason


class JobFailedError(JobError):
    """The job failed."""


class JobCancelledError(JobError):
    """The job was cancelled."""


class JobStalledError(JobError):
    """The job made no progress for longer than allowed; it is still running."""


class WaitTimeoutError(LawtagsError):
    """The timeout passed; the job or deployment may still complete."""


class RowsFailedError(LawtagsError):
    """Too many rows of a run have no answer for a verdict."""


class GateNotPassedError(LawtagsError):
    """A run did not pass a quality gate."""

    exit_code = 3


class BusyError(LawtagsError):
    """Another process uses this run or this stack."""

    exit_code = 75


__all__ = [
    "APIError", "AuthenticationError", "BadRequestError", "BusyError", "ClientClosedError",
    "ConfigurationError", "ConflictError", "ConnectionFailedError", "DataError",
    "DeadlineExceededError", "DoubtfulOutcomeError", "GateNotPassedError", "JobCancelledError",
    "JobError", "JobFailedError", "JobStalledError", "LawtagsError", "MissingExtraError",
    "NotFoundError", "PayloadTooLargeError", "PermissionDeniedError", "ProtocolError",
    "RateLimitedError", "RecipeError", "ResourceLimitError", "RowsFailedError", "RunInputsError",
    "ServerError", "TransportError", "UnprocessableError", "UpstreamError", "WaitTimeoutError",
]  # fmt: skip
