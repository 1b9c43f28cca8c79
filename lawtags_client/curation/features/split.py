"""Splitting questions into training, validation and testing by hash.

A question's part depends on its title, the seed and the shares alone: it stays where it is when rows are
added, removed or reordered, and questions with the same title stay together. Splits that need all
questions are in :mod:`lawtags_client.curation.select.stratified_split`.
"""

from __future__ import annotations

import hashlib

from lawtags_client.curation.options import SplitOptions
from lawtags_client.curation.read.columns import normalize_text


def split_key(title: str, seed: int) -> float:
    """The position of a question between zero and one, uniformly distributed.

    Args:
        title: the title; case, punctuation and whitespace do not matter.
        seed: another seed gives other positions.
    """
    digest = hashlib.sha256(f"{seed}\0{normalize_text(title)}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def part_of(key: float, options: SplitOptions, own_test: bool = False) -> str:
    """The part for a position.

    Args:
        key: of :func:`split_key`.
        options: the shares.
        own_test: whether the testing rows come from elsewhere; their share then goes to training.

    Example:
        >>> part_of(0.85, SplitOptions())
        'validation'
    """
    total = options.training + options.validation + options.testing
    # Training takes both ends, so that validation is the same with and without a test file.
    if key < options.training / total:
        return "training"
    if key < (options.training + options.validation) / total:
        return "validation"
    # Rounding must not fill a part without a share.
    return "training" if own_test or not options.testing else "testing"
