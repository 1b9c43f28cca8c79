"""Checks of a base model's folder, before and after transformers loads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lawtags_client.errors import ConfigurationError
from lawtags_client.weights import tensors


def check_folder(folder: Path) -> None:
    """See that the folder of a base model exists; transformers would take its path for a name on the Hub.

    Args:
        folder: of a Hugging Face model.

    Raises:
        ConfigurationError: it does not.
    """
    if not folder.is_dir():
        raise ConfigurationError(
            f"the folder of the base model does not exist: {folder}", hint="Put it back, or offer it again."
        )


def check_weight_files(folder: Path) -> None:
    """See that a folder has weights whose headers fit their files.

    Args:
        folder: of a Hugging Face model.

    Raises:
        ConfigurationError: the folder or its weights are missing.
        DataError: a weights file is corrupt.
    """
    check_folder(folder)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ConfigurationError(f"{folder} has no safetensors weights; other formats are not supported")
    for path in files:
        tensors(path)


def check_loaded(info: Mapping[str, Any]) -> None:
    """See that every weight came from a file: transformers would silently use random values instead.

    Args:
        info: ``output_loading_info`` of ``from_pretrained``.

    Raises:
        ConfigurationError: weights are missing, or do not have the shape that the config says.
    """
    mismatched: Iterable[Any] = info["mismatched_keys"]
    if missing := sorted([*info["missing_keys"], *(name for name, *_ in mismatched)]):
        raise ConfigurationError(
            f"the model cannot be loaded: its weights lack {len(missing)} tensors, such as {missing[0]}",
            hint="Upload all of its safetensors files.",
        )
