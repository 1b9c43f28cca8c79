"""Served models, and the files of adapters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """The files of an adapter.

    Args:
        config: ``adapter_config.json``.
        weights: ``adapter_model.safetensors``.
        template: the chat template that it was trained with; None for that of the base model.
    """

    config: Path
    weights: Path
    template: Path | None = None


@dataclass(frozen=True, slots=True)
class ServedEntry:
    """A served model.

    Args:
        id: its name in requests.
        process: its worker process; models of one process share their base weights.
        folder: returns the folder to load; may be slow.
        created: Unix time in seconds.
        parent: an adapter's base model.
        adapter: an adapter's files.
        root: the model's root, as in OpenAI's API.
    """

    id: str
    process: str
    folder: Callable[[], Path]
    created: int
    parent: str | None = None
    adapter: AdapterFiles | None = None
    root: str | None = None
