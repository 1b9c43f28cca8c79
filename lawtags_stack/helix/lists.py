"""Lists of the Helix API: pages, order and filters, echoed and refused as the real services do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.refusals import HelixError, invalid_parameter

_BRACKETS = re.compile(r"filter\[([^\[\]]+)\](?:\[(\$?\w+)\])?\Z")
_ALWAYS = ("created_at", "id", "name", "project", "updated_at", "workspace", "entity_type")
_OPERATORS = ("$eq", "$like", "$in", "$nin", "$gte", "$lte", "$gt", "$lt")
_MOST_DEPTH = 20
_TIMES = ("created_at", "-created_at", "updated_at", "-updated_at")


@dataclass(frozen=True, slots=True)
class ListKind:
    """How one list behaves.

    Args:
        fields: the fields to filter by, besides those of every entity.
        nested: fields whose inner fields can be filtered, too: ``spec.output.name``.
        sorts: the accepted orders; a leading ``-`` is for descending.
        sort: the default order.
        size: the default page size.
        most: the maximum page size; None for no limit.
        echo: the parts of the request that the response repeats.
        keep_nulls: keep null fields of the entries.
        opaque: fields whose values are kept as they are, with nulls.
        unknown: the status for an unknown field in a filter.
    """

    fields: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()
    sorts: tuple[str, ...] = (*_TIMES, "name", "-name")
    sort: str = "-created_at"
    size: int = 100
    most: int | None = None
    echo: tuple[Literal["sort", "filter"], ...] = ("sort", "filter")
    keep_nulls: bool = False
    opaque: tuple[str, ...] = ("custom_fields",)
    unknown: int = 400


@dataclass(slots=True)
class _Asked:
    page: int
    size: int
    sort: str
    filter: JsonObject | None = None
    conditions: list[JsonObject] = field(default_factory=list)


def listed(
    entries: Iterable[JsonObject],
    query: Sequence[tuple[str, str]],
    kind: ListKind,
    *,
    seen: Callable[[JsonObject], JsonObject] = dict,
    shown: Callable[[JsonObject], JsonObject] = dict,
) -> JsonObject:
    """Select the page of a list, and return the response.

    Args:
        entries: all entries, oldest first.
        query: the pairs of the query string.
        kind: how the list behaves.
        seen: returns the fields of an entry that filters apply to.
        shown: returns an entry in the API's format; called for those on the page alone.

    Raises:
        HelixError: a parameter is invalid, or the filter names an unknown field.
    """
    asked = _read(query, kind)
    chosen = [
        each for each in entries if all(_meets(seen(each), condition) for condition in asked.conditions)
    ]
    name = asked.sort.removeprefix("-")
    if asked.sort.startswith("-"):
        chosen.reverse()
    chosen.sort(key=lambda each: str(seen(each).get(name) or ""), reverse=asked.sort.startswith("-"))
    start = (asked.page - 1) * asked.size
    data: list[JsonValue] = [shown(each) for each in chosen[start : start + asked.size]]
    response: dict[str, JsonValue] = {
        "data": data if kind.keep_nulls else [without_nulls(each, kind.opaque) for each in data],
        "pagination": {
            "page": asked.page,
            "page_size": asked.size,
            "current_page_size": len(data),
            "total_pages": max(1, -(-len(chosen) // asked.size)),
            "total_results": len(chosen),
        },
    }
    if "sort" in kind.echo:
        response["sort"] = asked.sort
    if "filter" in kind.echo and (asked.filter is not None or kind.keep_nulls):
        response["filter"] = asked.filter
    return response


def without_nulls(value: JsonValue, opaque: Collection[str] = ()) -> JsonValue:
    """Drop null fields of objects, at any depth, as the services do in lists.

    Args:
        value: a JSON value.
        opaque: names of fields whose values are kept as they are.
    """
    if isinstance(value, dict):
        return {
            name: each if name in opaque else without_nulls(each, opaque)
            for name, each in value.items()
            if each is not None
        }
    if isinstance(value, list):
        return [without_nulls(each, opaque) for each in value]
    return value


def positive(name: str, value: str, most: int | None = None) -> int:
    """Parse a positive number in a query.

    Raises:
        InvalidBodyError: it is not one, or too large.
    """
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", value):
        message = "Input should be a valid integer, unable to parse string as an integer"
        raise invalid_parameter(name, "int_parsing", message, value, {})
    if int(value) < 1:
        message = "Input should be greater than or equal to 1"
        raise invalid_parameter(name, "greater_than_equal", message, value, {"ge": 1})
    if most is not None and int(value) > most:
        message = f"Input should be less than or equal to {most}"
        raise invalid_parameter(name, "less_than_equal", message, value, {"le": most})
    return int(value)


def one_of(values: Sequence[str]) -> str:
    """Quoted alternatives, as in the messages of the services: ``'a', 'b' or 'c'``."""
    quoted = [f"'{each}'" for each in values]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else quoted[0]


def _read(query: Sequence[tuple[str, str]], kind: ListKind) -> _Asked:
    asked = _Asked(1, kind.size, kind.sort)
    echoed: dict[str, JsonValue] = {}
    for name, value in query:
        if name == "page":
            asked.page = positive(name, value)
        elif name == "page_size":
            asked.size = positive(name, value, kind.most)
        elif name == "sort":
            if value not in kind.sorts:
                expected = one_of(kind.sorts)
                raise invalid_parameter(
                    name, "enum", f"Input should be {expected}", value, {"expected": expected}
                )
            asked.sort = value
        elif name == "filter":
            echoed |= _tree(value)
        elif found := _BRACKETS.match(name):
            operator = f"${found[2].removeprefix('$')}" if found[2] else "$eq"
            echoed[found[1]] = {operator: value.split(",") if operator in ("$in", "$nin") else value}
    if echoed:
        asked.conditions.append(_checked(echoed, kind))
        asked.filter = echoed
    return asked


def _tree(text: str) -> dict[str, JsonValue]:
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        tree = None
    if not isinstance(tree, dict):
        raise HelixError(400, "Invalid filter: expected a JSON object")
    return tree


def _checked(tree: JsonObject, kind: ListKind, depth: int = 0) -> JsonObject:
    """Check the fields of a filter."""
    if depth > _MOST_DEPTH:
        raise HelixError(400, "Invalid filter: nested too deeply")
    valid = {*_ALWAYS, *kind.fields}
    for name, condition in tree.items():
        if name in ("$and", "$or", "$not"):
            inner = condition if isinstance(condition, list) else [condition]
            for each in inner:
                if not isinstance(each, dict):
                    raise HelixError(400, f"Invalid filter: {name} expects objects")
                _checked(each, kind, depth + 1)
        elif name not in valid and name.partition(".")[0] not in kind.nested:
            if kind.unknown == 500:
                raise HelixError(500, "An unexpected error occurred.")
            raise HelixError(400, f"Unknown filter field {name!r}. Valid fields: {sorted(valid)}")
        elif isinstance(condition, dict) and not set(condition) <= {*_OPERATORS, "$not"}:
            raise HelixError(
                400, f"Unknown operator in the filter of {name!r}. Valid operators: {_OPERATORS}"
            )
    return tree


def _meets(entry: JsonObject, tree: Mapping[str, JsonValue]) -> bool:
    return all(_condition(entry, name, condition) for name, condition in tree.items())


def _condition(entry: JsonObject, name: str, condition: JsonValue) -> bool:
    if name == "$not":
        return not _meets(entry, condition if isinstance(condition, dict) else {})
    if name in ("$and", "$or"):
        inner = condition if isinstance(condition, list) else [condition]
        results = [_meets(entry, each) for each in inner if isinstance(each, dict)]
        return all(results) if name == "$and" else any(results)
    value = _look_up(entry, name)
    operators = condition if isinstance(condition, dict) else {"$eq": condition}
    return all(_compare(value, operator, wanted) for operator, wanted in operators.items())


def _look_up(entry: JsonValue, name: str) -> JsonValue:
    if isinstance(entry, dict) and name in entry:
        value: JsonValue = entry[name]
        return value
    first, dot, rest = name.partition(".")
    return _look_up(entry.get(first), rest) if dot and isinstance(entry, dict) else None


def _compare(value: JsonValue, operator: str, wanted: JsonValue) -> bool:
    if operator == "$not":
        inner = wanted if isinstance(wanted, dict) else {"$eq": wanted}
        return not all(_compare(value, each, bound) for each, bound in inner.items())
    if operator in ("$in", "$nin"):
        among = any(_equal(value, each) for each in (wanted if isinstance(wanted, list) else [wanted]))
        return among is (operator == "$in")
    if operator == "$eq":
        return _equal(value, wanted)
    if operator == "$like":
        pattern = re.escape(str(wanted)).replace("%", ".*").replace("_", ".")
        return value is not None and re.fullmatch(pattern, str(value), re.DOTALL | re.IGNORECASE) is not None
    if value is None:
        return False
    left, right = str(value), str(wanted)
    return {"$gte": left >= right, "$lte": left <= right, "$gt": left > right, "$lt": left < right}[operator]


def _equal(value: JsonValue, wanted: JsonValue) -> bool:
    if isinstance(wanted, str) and wanted in ("true", "false") and not isinstance(value, str):
        return bool(value) is (wanted == "true")
    if isinstance(value, list):
        return any(_equal(each, wanted) for each in value)
    return value == wanted or (value is not None and str(value) == str(wanted))
