"""Errors of the Data Store, with the error codes that Hugging Face clients expect."""

from __future__ import annotations

from starlette.responses import Response

from lawtags_client.errors import BadRequestError, LawtagsError, NotFoundError
from lawtags_stack.http.responses import response_for_error


class RepositoryMissingError(NotFoundError):
    """The repository does not exist."""

    code = "RepoNotFound"


class RevisionMissingError(NotFoundError):
    """The repository has no such branch, tag or commit."""

    code = "RevisionNotFound"


class EntryMissingError(NotFoundError):
    """The revision has no such file."""

    code = "EntryNotFound"


class BadPathError(BadRequestError):
    """The path is not allowed in a repository."""


def hub_error_response(error: Exception) -> Response:
    """Create an error response, with ``X-Error-Code`` and ``X-Error-Message`` for Hugging Face clients."""
    response = response_for_error(error)
    code = getattr(error, "code", None)
    if isinstance(code, str):
        response.headers["X-Error-Code"] = code
    if isinstance(error, LawtagsError):
        response.headers["X-Error-Message"] = header_text(error.message)
    return response


def header_text(message: str) -> str:
    """Convert a message to a valid header value: one line of printable ASCII."""
    line = " ".join(message.split()).encode("ascii", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in line)
