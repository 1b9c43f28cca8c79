"""Filters, sorts and pages documents for list requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import ge, gt, le, lt

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.http.query import Conditions, ListQuery, plain
from lawtags_stack.times import read_moment

_COMPARISONS = {"gte": ge, "gt": gt, "lte": le, "lt": lt, "start": ge, "end": le}
_RANGE_KEYS = {*_COMPARISONS, "eq", "neq"}


@dataclass(frozen=True, slots=True)
class EntityPage:
    """One page of a list, with the totals."""

    data: Sequence[JsonObject]
    total: int
    query: ListQuery

    def envelope(self) -> JsonObject:
        """The page as a response; ``data`` is empty after the last page."""
        size = self.query.page_size
        return {
            "object": "list",
            "data": self.data,
            "pagination": {
                "page": self.query.page,
                "page_size": size,
                "current_page_size": len(self.data),
                "total_pages": -(-self.total // size),
                "total_results": self.total,
            },
            "sort": self.query.sort,
            "filter": plain(self.query.filter),
            "search": plain(self.query.search),
        }


def select(
    documents: Iterable[JsonObject], query: ListQuery, *, found_by: Callable[[JsonObject], JsonObject] = dict
) -> EntityPage:
    """Select the page of documents for a query.

    Args:
        documents: all documents, oldest first; the sort is stable.
        query: the list request.
        found_by: returns the fields of a document that conditions apply to.
    """
    chosen = [
        each
        for each in documents
        if matches(looked_at := found_by(each), query.filter)
        and matches(looked_at, query.search, search=True)
    ]
    field = query.sort.removeprefix("-")
    descending = query.sort.startswith("-")
    if descending:
        chosen.reverse()
    # Missing values are last in both directions.
    present = [each for each in chosen if _look_up(each, field) is not None]
    absent = [each for each in chosen if _look_up(each, field) is None]
    present.sort(key=lambda each: _sort_key(_look_up(each, field)), reverse=descending)
    start = (query.page - 1) * query.page_size
    return EntityPage((present + absent)[start : start + query.page_size], len(chosen), query)


def matches(document: JsonValue, conditions: Conditions, *, search: bool = False) -> bool:
    """Whether a document meets all conditions.

    Args:
        document: the document, or a part of it.
        conditions: nested field names; a leaf lists alternatives.
        search: whether a text must only contain the value, ignoring case.
    """
    return all(_meets(_look_up(document, name), wanted, search) for name, wanted in conditions.items())


def _meets(value: JsonValue, wanted: Conditions | Sequence[str], search: bool) -> bool:
    if isinstance(wanted, dict):
        if not isinstance(value, dict) and wanted.keys() <= _RANGE_KEYS:
            return value is not None and all(
                _compare(value, operator, [*bounds]) for operator, bounds in wanted.items()
            )
        return matches(_nested(value, wanted), wanted, search=search)
    if isinstance(value, list) and not search:
        return any(_equal(each, text) for each in value for text in wanted)
    if search:
        return any(_contains(value, text) for text in wanted)
    return any(_equal(value, text) for text in wanted)


def _nested(value: JsonValue, wanted: Conditions) -> JsonValue:
    # A reference "namespace/name" matches like the object it refers to: filter[base_model][name]=ns/name.
    if isinstance(value, str) and "name" in wanted:
        namespace, _, name = value.rpartition("/")
        return {"name": value if "/" in str(wanted["name"]) else name, "namespace": namespace}
    return value


def _look_up(document: JsonValue, name: str) -> JsonValue:
    return document.get(name) if isinstance(document, dict) else None


def _equal(value: JsonValue, text: str) -> bool:
    if isinstance(value, bool):
        return text.lower() == ("true" if value else "false")
    if value is None or isinstance(value, dict):
        # filter[peft]=true matches if the attribute is present.
        return text.lower() == ("true" if value else "false")
    if isinstance(value, int | float):
        try:
            return float(text) == float(value)
        except (ValueError, OverflowError):
            return False
    return str(value) == text


def _contains(value: JsonValue, text: str) -> bool:
    if isinstance(value, dict):
        return any(_contains(each, text) for each in value.values())
    if isinstance(value, list):
        return any(_contains(each, text) for each in value)
    if isinstance(value, bool):
        return text.lower() == ("true" if value else "false")
    return value is not None and text.lower() in str(value).lower()


def _compare(value: JsonValue, operator: str, bounds: Sequence[str]) -> bool:
    return all(_compare_one(value, operator, bound) for bound in bounds)


def _compare_one(value: JsonValue, operator: str, bound: str) -> bool:
    left, right = _comparable(value), _comparable(bound)
    if type(left) is not type(right):
        left, right = str(value), bound
    if operator in ("eq", "neq"):
        return (left == right) is (operator == "eq")
    return bool(_COMPARISONS[operator](left, right))


def _comparable(value: JsonValue) -> float | datetime | str:
    for read in (float, read_moment):
        try:
            return read(str(value))
        except (ValueError, OverflowError):
            continue
    return str(value)


def _sort_key(value: JsonValue) -> tuple[int, float, str]:
    if isinstance(value, bool | int | float):
        return (0, float(value), "")
    return (1, 0.0, str(value))
