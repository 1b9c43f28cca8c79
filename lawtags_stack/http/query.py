"""Parses list requests: page, order, filter and search, in the API's bracket notation."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias, Union

from lawtags_client.errors import UnprocessableError
from lawtags_client.json_value import JsonObject, JsonValue

DEFAULT_PAGE_SIZE = 10
LARGEST_PAGE_SIZE = 1000
_KEY = re.compile(r"(filter|search)((?:\[[^\[\]]*\])+)(?:\[\])?\Z")
_MOST_DEPTH = 4

# A tree of field names; a leaf lists values, one of which must match.
Conditions: TypeAlias = dict[str, Union["Conditions", list[str]]]


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A list request.

    Args:
        page: page number, starting at 1.
        page_size: entries per page.
        sort: a field name, with a leading ``-`` for descending.
        filter: equality conditions: nested names, with lists of texts as leaves.
        search: containment conditions, in the same form.
    """

    page: int = 1
    page_size: int = DEFAULT_PAGE_SIZE
    sort: str = "created_at"
    filter: Conditions = field(default_factory=dict)
    search: Conditions = field(default_factory=dict)


def parse_list_query(
    items: Iterable[tuple[str, str]], *, sorts: Collection[str] = ("created_at",)
) -> ListQuery:
    """Parse a list request from the pairs of a query string.

    ``filter[peft][lora]=true`` nests; a repeated key, or commas within a value, are alternatives. Unknown
    parameters are ignored, as the real services do.

    Args:
        items: decoded names and values, in order.
        sorts: the fields to sort by, without ``-``; the first is the default.

    Raises:
        UnprocessableError: a page number is not positive, or the sort field is unknown.
    """
    page, page_size, sort = 1, DEFAULT_PAGE_SIZE, next(iter(sorts))
    conditions: dict[str, Conditions] = {"filter": {}, "search": {}}
    for name, value in items:
        if name == "page":
            page = _positive(name, value)
        elif name == "page_size":
            page_size = min(_positive(name, value), LARGEST_PAGE_SIZE)
        elif name == "sort":
            if value.removeprefix("-") not in sorts:
                allowed = ", ".join(f"{each}, -{each}" for each in sorts)
                raise _invalid(("query", "sort"), f"Input should be one of: {allowed}", "enum")
            sort = value
        elif found := _KEY.match(name):
            keys = re.findall(r"\[([^\[\]]+)\]", found[2])
            if keys:
                _add(conditions[found[1]], keys[:_MOST_DEPTH], value)
    return ListQuery(page, page_size, sort, conditions["filter"], conditions["search"])


def plain(conditions: Conditions) -> JsonObject | None:
    """Conditions as the response echoes them: single values without a list, and ``null`` for none."""
    echoed: dict[str, JsonValue] = {}
    for name, value in conditions.items():
        if isinstance(value, dict):
            echoed[name] = plain(value)
        else:
            echoed[name] = value[0] if len(value) == 1 else value
    return echoed or None


def _add(tree: Conditions, keys: list[str], value: str) -> None:
    for key in keys[:-1]:
        inner = tree.get(key)
        if not isinstance(inner, dict):
            inner = tree[key] = {}
        tree = inner
    values = [each for each in value.split(",") if each] or [value]
    known = tree.get(keys[-1])
    tree[keys[-1]] = known + values if isinstance(known, list) else values


def _positive(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise _invalid(("query", name), "Input should be a valid integer", "int_parsing")
    if int(value) < 1:
        raise _invalid(("query", name), "Input should be greater than or equal to 1", "greater_than_equal")
    return int(value)


def _invalid(place: tuple[str, ...], message: str, kind: str) -> UnprocessableError:
    return UnprocessableError(message, detail=[{"loc": list(place), "msg": message, "type": kind}])
