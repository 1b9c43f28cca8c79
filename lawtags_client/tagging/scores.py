"""How scores are computed and shown, for all ways to tag."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from lawtags_client.tagging.vocabulary import Vocabulary

BLOCK = 64
"""Rows that are scored together: the last digits of a score may depend on the other rows of a batch."""
BEST = 10
"""Number of tags that are shown with their scores."""


def named_scores(row: Iterable[float], vocabulary: Vocabulary, best: int = BEST) -> dict[str, float]:
    """The scores of the best tags, best first.

    Args:
        row: a score for each tag of the vocabulary.
        vocabulary: the tags.
        best: how many.
    """
    values = [float(value) for value in row]
    ranked = heapq.nsmallest(best, range(len(vocabulary)), key=lambda tag: -values[tag])
    return {vocabulary.tags[tag]: round(values[tag], 6) for tag in ranked}
