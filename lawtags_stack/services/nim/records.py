"""Models that requests may name, and the files of adapters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """Where an adapter's files are.

    Args:
        config: ``adapter_config.json``.
        weights: ``adapter_model.safetensors``.
        template: the chat template that it was trained with; None where that is the base model's.
    """

    config: Path
    weights: Path
    template: Path | None = None


@dataclass(frozen=True, slots=True)
class ServedEntry:
    """A model that requests may name.

    Args:
        id: what requests call it.
        process: which worker process holds it; models of one process share their base weights.
        folder: finds the folder that the process loads; may take its time.
        created: seconds since 1970.
        parent: an adapter's base model.
        adapter: an adapter's files.
        root: what the model is made of.
    """

    id: str
    process: str
    folder: Callable[[], Path]
    created: int
    parent: str | None = None
    adapter: AdapterFiles | None = None
    root: str | None = None
