"""Metadata of routes, from which the OpenAPI document is generated."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

JSON = "application/json"
BINARY = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter.

    Args:
        name: its name.
        kind: its JSON Schema type; ``object`` is written with brackets, ``filter[name]=value``.
        about: its description.
        values: the allowed values, if limited.
        least: the minimum, for numbers.
    """

    name: str
    kind: str = "string"
    about: str = ""
    values: tuple[str, ...] = ()
    least: int | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API.

    Args:
        body: type of the request body; ``None`` if there is none, ``bytes`` if it is not JSON.
        answers: type of the response body; ``None`` if it is empty, ``bytes`` if it is not JSON.
        status: the HTTP status of success.
        query: the query parameters.
        accepts: media types of the request body.
        gives: media type of the response.
        summary: short description.
    """

    body: object = None
    answers: object = None
    status: int = 200
    query: tuple[Parameter, ...] = ()
    accepts: tuple[str, ...] = (JSON,)
    gives: str = JSON
    summary: str = ""


def list_parameters(sorts: Collection[str], *, search: bool = True) -> tuple[Parameter, ...]:
    """The query parameters of every list.

    Args:
        sorts: the fields that it can be sorted by.
        search: whether the real service supports search, too.
    """
    orders = tuple(f"{sign}{name}" for name in sorts for sign in ("", "-"))
    found = [
        Parameter("page", "integer", "Starts at 1; `data` is empty after the last page.", least=1),
        Parameter("page_size", "integer", "Entries per page.", least=1),
        Parameter("sort", "string", "A leading `-` sorts in descending order.", values=orders),
        Parameter("filter", "object", "Equality: `filter[name]=value`; also nested names and ranges."),
    ]
    if search:
        found.append(Parameter("search", "object", "Containment: `search[name]=part`; repeatable."))
    return tuple(found)


def summary_of(handler: Callable[..., object], otherwise: str) -> str:
    """The first sentence of a handler's docstring, without a leading path."""
    inner = handler.func if isinstance(handler, partial) else handler
    text = (getattr(inner, "__doc__", None) or "").strip().partition("\n")[0]
    if text.startswith("``"):
        text = text.partition("``: ")[2]
    return text[:1].upper() + text[1:] or otherwise
