"""The rows of a training, as a server that keeps track of experiments shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrackedDataset:
    """The rows of a training.

    Attributes:
        name: on the platform.
        digest: of all rows.
        rows: how many there are, by part.
    """

    name: str
    digest: str
    rows: Mapping[str, int]
