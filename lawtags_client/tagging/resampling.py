"""Resamples of rows, for intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lawtags_client.errors import ConfigurationError
from lawtags_client.tagging._numpy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Resamples that are made at a time, to bound the memory.
_BLOCK = 100


def row_weights(rows: int, *, samples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield resamples in blocks: how often each row was drawn, resamples by rows.

    Args:
        rows: how many there are.
        samples: how many resamples.
        seed: decides the resamples; those of one seed and number of rows are the same for all systems.

    Raises:
        ConfigurationError: there is to be no resample.
    """
    if samples < 1:
        raise ConfigurationError("an interval needs at least one resample", hint="Try 1000.")
    generator = np.random.default_rng(seed)
    for start in range(0, samples, _BLOCK):
        size = min(_BLOCK, samples - start)
        if rows:
            drawn = generator.integers(0, rows, size=(size, rows))
            yield np.stack([np.bincount(each, minlength=rows) for each in drawn]).astype(np.float64)
        else:
            yield np.zeros((size, 0))
