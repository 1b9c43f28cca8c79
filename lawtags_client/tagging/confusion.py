"""Which tag is given in place of which other one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import product

from lawtags_client.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class TagConfusion:
    """A tag that was missed where another one was wrongly given.

    Args:
        true: the tag that the rows have and were not given.
        given: the tag that they were given and do not have.
        rows: how many there are.
        true_rows: how many rows have the true tag.
    """

    true: str
    given: str
    rows: int
    true_rows: int


def confusions(
    true: Sequence[Collection[str]], predicted: Sequence[Collection[str]], *, most: int = 50, least: int = 2
) -> list[TagConfusion]:
    """The most frequent confusions between two tags, most rows first.

    A row with several missed and several wrong tags counts for each pair of them, since nothing says which
    one stands for which.

    Args:
        true: the true tags of each row.
        predicted: the predicted tags of each row.
        most: how many confusions are returned.
        least: rows that make a confusion.

    Raises:
        ConfigurationError: the two differ in length.

    Example:
        >>> confusions([{"tax"}, {"tax"}], [{"vat"}, {"vat", "tax"}], least=1)
        [TagConfusion(true='tax', given='vat', rows=1, true_rows=2)]
    """
    if len(true) != len(predicted):
        raise ConfigurationError(
            f"{len(predicted)} predictions cannot be compared with {len(true)} rows",
            hint="Pass one set of tags per row.",
        )
    pairs: Counter[tuple[str, str]] = Counter()
    rows: Counter[str] = Counter()
    for truth, given in zip(map(set, true), map(set, predicted), strict=True):
        rows.update(truth)
        pairs.update(product(truth - given, given - truth))
    found = [TagConfusion(a, b, count, rows[a]) for (a, b), count in pairs.items() if count >= least]
    return sorted(found, key=lambda each: (-each.rows, each.true, each.given))[:most]
