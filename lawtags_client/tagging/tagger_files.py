"""Reads the files of a tagger, and checks them before memory is taken for what they claim to hold."""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lawtags_client.errors import DataError
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.tagger_document import ArraysDocument, TaggerDocument

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

SCHEMA_VERSION = 5
"""Version 4 and below have a smaller stack, in which the new columns weigh nothing; their documents lack
``blend`` (up to 3), ``encoder`` (up to 2) or ``asking`` (1) where it would be null."""
KIND = "lawtags-tagger"
JSON_NAME = "tagger.json"
ARRAYS_NAME = "tagger.npz"
TOKENIZER_NAME = "tokenizer.json"

_MOST_JSON_BYTES = 64 << 20
_MOST_ARRAY_BYTES = 2 << 30
_KEYS = frozenset(
    ("schema_version", "kind", "digest", "style", "vocabulary", "retriever", "decision", "mix", "report")
) | {"arrays"}
_ADDED = {1: frozenset[str](), 2: frozenset({"asking"}), 3: frozenset({"asking", "encoder"})}
_ADDED[4] = _ADDED[5] = _ADDED[3] | {"blend"}


def read_bounded(path: Path, most: int, too_large: str) -> bytes:
    """The content of a file.

    Args:
        path: the file.
        most: bytes that it may have.
        too_large: what to say of a larger one.

    Raises:
        DataError: it cannot be read, or is larger.
    """
    try:
        if path.stat().st_size > most:
            raise refuse(path, too_large)
        return path.read_bytes()
    except OSError as error:
        raise refuse(path, f"cannot be read: {error.strerror}") from error


def refuse(path: Path, message: str) -> DataError:
    """The error of a file that is not part of a tagger that can be loaded."""
    return DataError(message, path=path, hint="Fit the tagger again, or copy its files again.")


def document_digest(document: Mapping[str, object]) -> str:
    """SHA-256 of a description without its own digest."""
    content = {name: value for name, value in document.items() if name != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_document(path: Path) -> TaggerDocument:
    """Read ``tagger.json``, and check its version, its keys, its digest and every value.

    Raises:
        DataError: it does not describe a tagger that this release reads.
    """
    try:
        document = json.loads(read_bounded(path, _MOST_JSON_BYTES, "is too large for a tagger's description"))
    except (ValueError, RecursionError) as error:
        raise refuse(path, "is not valid JSON") from error
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise refuse(path, "does not describe a tagger")
    version = document.get("schema_version")
    if type(version) is not int or version not in _ADDED:
        raise refuse(path, f"has schema version {version!r}; this release reads 1 to {SCHEMA_VERSION}")
    keys = _KEYS | _ADDED[version]
    if set(document) != keys:
        raise refuse(path, f"has unknown or missing keys: {sorted(set(document) ^ keys)}")
    try:
        intact = document["digest"] == document_digest(document)
    except ValueError:  # NaN and Infinity, which Python's reader accepts
        intact = False
    if not intact:
        raise refuse(path, "was changed after it was written: its digest is wrong")
    # From version 5 on, what a tagger lacks is null.
    absent = {name for name in ("encoder", "blend") if version >= 5 and document[name] is None}
    if version >= 3 and "encoder" not in absent and not _names_encoder(document["encoder"]):
        raise refuse(path, "does not name the encoder of its embeddings")
    if version >= 4 and "blend" not in absent and not _describes_blend(document["blend"]):
        raise refuse(path, "does not describe the blend of its encoder")
    if document.get("blend") is not None and document.get("encoder") is None:
        raise refuse(path, "blends an encoder that it does not name")
    return _checked(document, path)


def _checked(document: dict[str, object], path: Path) -> TaggerDocument:
    """The document, once every value is of its type and within its bounds."""
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter(TaggerDocument).validate_python(document, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise refuse(path, f"does not describe a tagger: {place}: {first['msg']}") from None
    return cast(TaggerDocument, document)


def _names_encoder(described: object) -> bool:
    return (
        isinstance(described, dict) and set(described) == {"identity"} and type(described["identity"]) is str
    )


def _describes_blend(described: object) -> bool:
    keys = {"weights", "decision", "encoder"}
    return isinstance(described, dict) and set(described) == keys and isinstance(described["encoder"], str)


def read_arrays(path: Path, described: ArraysDocument) -> dict[str, Array]:
    """Read ``tagger.npz``.

    Args:
        path: the file.
        described: its digest, and type and shape of each array.

    Raises:
        DataError: it is damaged, or holds something else.
    """
    data = read_bounded(path, _MOST_ARRAY_BYTES, "is too large for a tagger")
    if hashlib.sha256(data).hexdigest() != described["sha256"]:
        raise refuse(path, f"does not belong to {JSON_NAME}: its digest is wrong")
    members = described["members"]
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if sorted(entry.filename for entry in entries) != sorted(f"{name}.npy" for name in members):
                raise refuse(path, f"holds other arrays than {JSON_NAME} names")
            if sum(entry.file_size for entry in entries) > _MOST_ARRAY_BYTES:
                raise refuse(path, "unpacks to more than a tagger can be")
            return {
                name: _read_array(archive, name, members[name]["dtype"], tuple(members[name]["shape"]))
                for name in members
            }
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise refuse(path, f"is damaged: {error}") from error


def _read_array(archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...]) -> Array:
    """Read one array whose header says what was promised, and no byte more than that takes."""
    with archive.open(f"{name}.npy") as stream:
        if np.lib.format.read_magic(stream) != (1, 0):  # type: ignore[no-untyped-call]
            raise ValueError(f"array {name!r} has an unknown format")
        header = np.lib.format.read_array_header_1_0(stream)  # type: ignore[no-untyped-call]
        if header != (shape, False, np.dtype(dtype)) or np.dtype(dtype).hasobject:
            raise ValueError(f"array {name!r} is not of the type and shape that were promised")
        size = math.prod(shape) * np.dtype(dtype).itemsize
        content = stream.read(size + 1)
    if len(content) != size:
        raise ValueError(f"array {name!r} has {len(content)} bytes instead of {size}")
    return np.frombuffer(content, dtype=dtype).reshape(shape)
