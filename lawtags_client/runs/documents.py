"""JSON documents of a run as records: fields of other releases are ignored, wrong ones are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from lawtags_client.errors import ConfigurationError, DataError

T = TypeVar("T")

REBUILD = "Run the recipe again to rebuild it."
_OBJECTS = frozenset({"dataclass_type", "dict_type", "model_type", "typed_dict_type"})
"""Errors of pydantic about a value that is no JSON object."""


def validated(kind: type[T], value: object, *, what: str, hint: str, path: Path | None = None) -> T:
    """A JSON value as a record.

    Args:
        kind: the class of the record.
        value: as it was decoded.
        what: the document, for messages.
        hint: what to do if it cannot be read.
        path: the file it comes from.

    Raises:
        DataError: a field is missing or has another type.
    """
    from pydantic import TypeAdapter, ValidationError

    from lawtags_client.runs.recipe_messages import message_of, place_of

    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in place_of(first))
        message = "must be an object" if first["type"] in _OBJECTS else message_of(first)
        said = f"{place} {message}" if place else f"it {message}"
        raise DataError(f"{what} cannot be read: {said}", path=path, hint=hint) from None


def require_file(folder: Path, path: Path) -> None:
    """Check that a run has written a file.

    Args:
        folder: of the run.
        path: of the file, in it.

    Raises:
        ConfigurationError: it has not, yet.
    """
    if not path.is_file():
        raise ConfigurationError(
            f"run {folder.name!r} has no {path.relative_to(folder)} yet",
            hint=f"Finish the run first: lawtags runs redo {folder.name}",
        )


def read_document(kind: type[T], folder: Path, name: str, *, hint: str = REBUILD) -> T:
    """The record in a file of a run.

    Args:
        kind: the class of the record.
        folder: of the run.
        name: of the file, below the folder.
        hint: what to do if it is damaged.

    Raises:
        ConfigurationError: the run has not written it yet.
        DataError: it is damaged.
    """
    path = folder / name
    require_file(folder, path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as problem:
        raise DataError(f"not valid JSON: {problem}", path=path, hint=hint) from None
    return validated(kind, value, what=name, hint=hint, path=path)
