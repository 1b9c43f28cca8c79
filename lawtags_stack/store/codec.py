"""Converts records to JSON and back."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from lawtags_client.errors import DataError
from lawtags_client.json_value import JsonObject

RecordT = TypeVar("RecordT")


class UnreadableRecordError(DataError):
    """A stored document does not match its record type."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.status = 500


class Codec(Generic[RecordT]):
    """Converts frozen dataclasses to JSON objects and back.

    Missing fields take their defaults and unknown fields are ignored, so documents of earlier releases can be
    read.

    Example:
        >>> points = Codec(Point)
        >>> points.read({"x": 1, "y": 2})
        Point(x=1, y=2)

    Args:
        kind: the dataclass.
    """

    def __init__(self, kind: type[RecordT]) -> None:
        self._kind = kind
        self._built: TypeAdapter[RecordT] | None = None

    def read(self, document: JsonObject) -> RecordT:
        """Convert a document to a record.

        Raises:
            UnreadableRecordError: a field is missing or has the wrong type.
        """
        try:
            return self._adapter.validate_python(document)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise UnreadableRecordError(
                f"stored data cannot be read as {self._kind.__name__}: {place}: {first['msg']}",
                hint="Use the release that wrote this folder, or start over with: lawtags local reset",
            ) from None

    def write(self, record: RecordT) -> JsonObject:
        """Convert a record to a document."""
        document: JsonObject = self._adapter.dump_python(record, mode="json")
        return document

    @property
    def _adapter(self) -> TypeAdapter[RecordT]:
        # Built on first use, to keep the import of services fast.
        if self._built is None:
            self._built = TypeAdapter(self._kind)
        return self._built
