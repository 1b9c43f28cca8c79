"""Applying a function to the texts of a batch, keeping its index, its gaps and its type."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def map_texts(texts: pd.Series, function: Callable[[str], str]) -> pd.Series:
    """A new batch with the function applied to each text; what is no text stays.

    Args:
        texts: a batch of texts and gaps.
        function: what to do with one text.
    """
    return like(texts, [function(text) if isinstance(text, str) else text for text in texts])


def map_pairs(texts: pd.Series, other: Iterable[object], function: Callable[[str, Any], str]) -> pd.Series:
    """As :func:`map_texts`, with a second value for each row."""
    pairs = zip(texts, other, strict=True)
    return like(texts, [function(text, value) if isinstance(text, str) else text for text, value in pairs])


def like(texts: pd.Series, values: list[Any]) -> pd.Series:
    """A batch of these values with the index, the name and the type of another."""
    import pandas

    return pandas.Series(values, index=texts.index, name=texts.name, dtype=texts.dtype)
