"""The optional parts of lawtags, and which of them a missing package belongs to."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence

from lawtags_client.errors import MissingExtraError

MARKERS: Mapping[str, tuple[str, ...]] = {
    "curate": ("nemo_curator", "spacy", "ftfy"),
    "tag": ("numpy", "scipy", "sklearn"),
    "local": ("torch", "transformers", "peft", "uvicorn", "starlette"),
    "embed": ("torch", "transformers", "tokenizers"),
    "report": ("matplotlib", "jinja2"),
}
"""Extra to packages that tell whether it is installed."""

_OTHERS: Mapping[str, tuple[str, ...]] = {
    "curate": (
        *("dask", "distributed", "pandas", "pyarrow", "datasets", "zstandard", "lxml", "phonenumbers"),
        *("threadpoolctl", "fsspec"),
    ),
    "local": (
        *("multipart", "python_multipart", "safetensors", "tokenizers", "gguf", "llguidance", "sacrebleu"),
        "rouge_score",
    ),
    "report": ("tensorboard",),
}


def absent(extra: str) -> list[str]:
    """The packages of an extra that are not installed; none where it is whole."""
    return [package for package in MARKERS[extra] if importlib.util.find_spec(package) is None]


def require(extras: Sequence[str], purpose: str) -> None:
    """Check before any work that extras are installed.

    Args:
        extras: their names.
        purpose: what they are needed for, e.g. ``"lawtags demo"``.

    Raises:
        MissingExtraError: names all that are missing, in one install command.
    """
    missing = {extra: packages for extra in extras if (packages := absent(extra))}
    if missing:
        raise MissingExtraError(next(iter(missing.values()))[0], ",".join(missing), purpose)


def explained(error: ModuleNotFoundError) -> MissingExtraError | None:
    """What to say where a package of an extra could not be imported; None where it is of no extra."""
    package = (error.name or "").partition(".")[0]
    for packages in (MARKERS, _OTHERS):
        for extra, names in packages.items():
            if package in names:
                return MissingExtraError(package, extra, "this")
    return None
