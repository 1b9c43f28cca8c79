"""Scores that questions are filtered by. Each filter is a batch function with one score per row."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lawtags_client.curation.clean.words import words_of

if TYPE_CHECKING:
    import pandas as pd


def count_words(text: str) -> int:
    """Number of words; see :mod:`lawtags_client.curation.clean.words` for scripts without spaces."""
    return len(words_of(text))


def repeated_share(text: str, n: int = 5) -> float:
    """The share of a text that only repeats its most repeated phrase of n words.

    The first occurrence does not count, because it is not a repetition: a text without a repeated phrase
    scores zero, however short it is. Occurrences that overlap count once. Among phrases
    repeated equally often the longest counts, so that the score does not depend on the order of a set.

    Args:
        text: the text; case and whitespace do not matter.
        n: words in a phrase.

    Example:
        >>> repeated_share("can my landlord keep the deposit he took from me last year")
        0.0
    """
    words = words_of(text.casefold())
    if len(words) <= n:
        return 0.0
    grams = list(zip(*(words[shift:] for shift in range(n)), strict=False))
    if len(set(grams)) == len(grams):
        return 0.0
    counted = Counter(grams)
    length = sum(map(len, words)) + len(words) - 1
    most = 0
    for gram, times in counted.items():
        if times > 1:
            size = sum(map(len, gram)) + n - 1
            # An upper bound first: looking for overlaps costs another pass.
            if (times - 1) * size > most:
                most = max(most, (_apart(grams, gram) - 1) * size)
    return most / length


def word_counts(texts: pd.Series) -> pd.Series:
    """The batch form of :func:`count_words`; other values count as zero words."""
    return _scores(texts, [count_words(text) if isinstance(text, str) else 0 for text in texts])


def repeated_shares(texts: pd.Series, n: int = 5) -> pd.Series:
    """The batch form of :func:`repeated_share`; other values score zero."""
    return _scores(texts, [repeated_share(text, n) if isinstance(text, str) else 0.0 for text in texts])


def _scores(texts: pd.Series, values: list[float] | list[int]) -> pd.Series:
    import pandas

    return pandas.Series(values, index=texts.index, dtype="float64")


def _apart(grams: list[tuple[str, ...]], gram: tuple[str, ...]) -> int:
    found, free = 0, 0
    for place, other in enumerate(grams):
        if place >= free and other == gram:
            found += 1
            free = place + len(gram)
    return found
