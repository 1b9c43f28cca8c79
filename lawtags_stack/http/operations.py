"""What a route says of itself, so that the description of the API is made from the routes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

JSON = "application/json"
BINARY = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a query string.

    Args:
        name: its name.
        kind: its type in JSON Schema; ``object`` is written with brackets, ``filter[name]=value``.
        about: what it means.
        values: the values it may have, if not all.
        least: the least number it may be.
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
        body: type of the request's body; ``None`` where it has none, ``bytes`` where it is not JSON.
        answers: type of what it answers with; ``None`` where that is empty, ``bytes`` where it is not JSON.
        status: the status of success.
        query: parameters of the query string.
        accepts: media types of the body.
        gives: media type of the answer.
        summary: what it does.
    """

    body: object = None
    answers: object = None
    status: int = 200
    query: tuple[Parameter, ...] = ()
    accepts: tuple[str, ...] = (JSON,)
    gives: str = JSON
    summary: str = ""


def list_parameters(sorts: Collection[str], *, search: bool = True) -> tuple[Parameter, ...]:
    """The parameters that every list takes.

    Args:
        sorts: the fields it can be sorted by.
        search: whether the real service searches in it, too.
    """
    orders = tuple(f"{sign}{name}" for name in sorts for sign in ("", "-"))
    found = [
        Parameter("page", "integer", "Counted from one; beyond the last page `data` is empty.", least=1),
        Parameter("page_size", "integer", "Entries per page.", least=1),
        Parameter("sort", "string", "A leading `-` is descending.", values=orders),
        Parameter("filter", "object", "Equality: `filter[name]=value`; nested names and ranges as well."),
    ]
    if search:
        found.append(Parameter("search", "object", "Containment: `search[name]=part`; repeated: either."))
    return tuple(found)


def summary_of(handler: Callable[..., object], otherwise: str) -> str:
    """The first sentence of a handler's docstring, without the path that it may begin with."""
    inner = handler.func if isinstance(handler, partial) else handler
    text = (getattr(inner, "__doc__", None) or "").strip().partition("\n")[0]
    if text.startswith("``"):
        text = text.partition("``: ")[2]
    return text[:1].upper() + text[1:] or otherwise
