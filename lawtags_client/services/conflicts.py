"""Names that are taken, and whether by the same thing."""

from __future__ import annotations

from collections.abc import Mapping

from lawtags_client.errors import APIError, ConflictError, ServerError, UnprocessableError

__all__ = ["conflict", "differences", "says_exists"]


def conflict(error: APIError) -> ConflictError:
    """The same error as a conflict."""
    return ConflictError(
        error.message,
        hint="Choose another name, change the existing one, or delete it.",
        service=error.service,
        status=error.status,
        request_id=error.request_id,
        url=error.url,
        detail=error.detail,
    )


def says_exists(error: APIError) -> bool:
    """Whether an error means that the name is taken; services use 409, 422 and even 500 for it."""
    if isinstance(error, ConflictError):
        return True
    told = f"{error.message} {error.detail}".lower()
    return isinstance(error, UnprocessableError | ServerError) and "exist" in told


def differences(wanted: Mapping[str, object], found: Mapping[str, object]) -> list[str]:
    """The fields that were asked for and are otherwise in what was found."""
    return sorted(name for name, value in wanted.items() if found.get(name) != value)
