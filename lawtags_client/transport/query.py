"""Query strings of lists: paging, sorting, and filters in deep-object brackets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

Pairs = list[tuple[str, str]]


def list_query(
    *,
    page: int,
    page_size: int,
    sort: str | None = None,
    filter: Mapping[str, object] | None = None,
    search: Mapping[str, object] | None = None,
) -> Pairs:
    """The query of one page.

    Args:
        page: its number, from one.
        page_size: how many entries a page has.
        sort: a field, with ``-`` in front for descending.
        filter: exact matches, nested maps allowed.
        search: substring matches; a list of values means any of them.
    """
    pairs: Pairs = [("page", str(page)), ("page_size", str(page_size))]
    if sort:
        pairs.append(("sort", sort))
    pairs.extend(_brackets("filter", filter or {}))
    pairs.extend(_brackets("search", search or {}))
    return pairs


def _brackets(name: str, value: object) -> Iterator[tuple[str, str]]:
    if value is None:
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _brackets(f"{name}[{key}]", inner)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for inner in value:
            yield from _brackets(name, inner)
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    else:
        yield name, str(value)
