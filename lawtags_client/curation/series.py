"""Applying a function to the texts of a batch, keeping its index, its gaps and its type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pandas as pd

Value = TypeVar("Value")


def map_texts(texts: pd.Series, function: Callable[[str], str]) -> pd.Series:
    """A new batch with the function applied to each text; other values are kept.

    Args:
        texts: a batch of texts and gaps.
        function: what to do with one text.
    """
    return like(texts, [function(text) if isinstance(text, str) else text for text in texts])


def map_pairs(texts: pd.Series, other: Iterable[Value], function: Callable[[str, Value], str]) -> pd.Series:
    """As :func:`map_texts`, with a second value for each row."""
    pairs = zip(texts, other, strict=True)
    return like(texts, [function(text, value) if isinstance(text, str) else text for text, value in pairs])


def like(texts: pd.Series, values: Sequence[object]) -> pd.Series:
    """A batch of these values with the index, the name and the type of another."""
    import pandas

    return pandas.Series(values, index=texts.index, name=texts.name, dtype=texts.dtype)
