"""Dividing questions with all of them in view: by the time they were asked, or evenly by tag.

Unlike the division by hash, both move questions from one part to another when rows are added or removed.
What they give depends on the questions alone, not on their partitions.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lawtags_client.curation.options import SplitOptions

_EPOCH = re.compile(r"\d{9,}(?:\.\d+)?")
# Seconds of this size lie beyond the year 5000, so they are milliseconds.
_MILLISECONDS = 1e11


@dataclass(frozen=True, slots=True)
class Divided:
    """A question that is to be put into a part.

    Args:
        row: its place in the input.
        key: of :func:`~lawtags_client.curation.split.split_key`; brings those that are otherwise equal into
            an order that does not hang on the input's.
        moment: when it was asked, in a form that sorts.
        tags: its tags.
    """

    row: int
    key: float
    moment: str = ""
    tags: tuple[str, ...] = ()


def read_moment(created: str | None) -> str | None:
    """A date in a form that sorts: ISO 8601 in UTC.

    Args:
        created: an ISO date with or without a time zone (without: UTC), or seconds or milliseconds since
            1970.

    Returns:
        None where the date is missing or of another form.

    Example:
        >>> read_moment("2020-01-01T01:00:00+01:00")
        '2020-01-01T00:00:00+00:00'
    """
    text = (created or "").strip()
    try:
        if _EPOCH.fullmatch(text):
            seconds = float(text)
            seconds /= 1000 if seconds >= _MILLISECONDS else 1
            return datetime.fromtimestamp(seconds, UTC).isoformat()
        moment = datetime.fromisoformat(text)
        utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return utc.isoformat()


def shares_of(options: SplitOptions, own_test: bool) -> dict[str, float]:
    """The share of each part that gets questions; beside a test file, training gets that of testing."""
    given = {"training": options.training, "validation": options.validation, "testing": options.testing}
    if own_test:
        given["training"] += given.pop("testing")
    total = sum(given.values())
    return {part: share / total for part, share in given.items() if share > 0}


def parts_by_time(rows: Iterable[Divided], shares: Mapping[str, float]) -> dict[int, str]:
    """The oldest questions are for training, the newest for testing.

    Args:
        rows: all of them, with their moments.
        shares: of :func:`shares_of`.
    """
    ordered = sorted(rows, key=lambda one: (one.moment, one.key, one.row))
    parts: dict[int, str] = {}
    begin, passed = 0, 0.0
    for part, share in shares.items():
        passed += share
        end = round(passed * len(ordered))
        parts.update((one.row, part) for one in ordered[begin:end])
        begin = end
    return parts


def parts_by_tags(rows: Sequence[Divided], shares: Mapping[str, float]) -> dict[int, str]:
    """Each part gets its share of every tag, as nearly as questions of several tags allow.

    The rarest tag is dealt out first, each of its questions to the part that lacks that tag most: iterative
    stratification, Sechidis, Tsoumakas and Vlahavas 2011, with the order of questions in the place of chance.

    Args:
        rows: all of them, with their tags.
        shares: of :func:`shares_of`.
    """
    waiting = {one.row: one for one in sorted(rows, key=lambda one: (one.key, one.row))}
    bearers: dict[str, list[int]] = defaultdict(list)
    for one in waiting.values():
        for tag in sorted(set(one.tags)):
            bearers[tag].append(one.row)
    left = Counter({tag: len(found) for tag, found in bearers.items()})
    wanted = {part: share * len(waiting) for part, share in shares.items()}
    lacking = {tag: {part: share * left[tag] for part, share in shares.items()} for tag in bearers}
    heap = [(count, tag) for tag, count in left.items()]
    heapq.heapify(heap)
    parts: dict[int, str] = {}

    def put(one: Divided, part: str) -> None:
        parts[one.row] = part
        wanted[part] -= 1
        del waiting[one.row]
        for tag in set(one.tags):
            lacking[tag][part] -= 1
            left[tag] -= 1
            heapq.heappush(heap, (left[tag], tag))

    while heap:
        count, rarest = heapq.heappop(heap)
        # An older entry of a tag of which fewer are left now.
        if count != left[rarest] or not count:
            continue
        for row in bearers[rarest]:
            if row in waiting:
                lack = lacking[rarest]
                put(waiting[row], max(shares, key=lambda part: (lack[part], wanted[part])))
    for one in list(waiting.values()):
        put(one, max(shares, key=wanted.__getitem__))
    return parts
