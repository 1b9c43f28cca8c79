"""From records to JSON and back, at the edge of the store."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from lawtags_client.errors import DataError
from lawtags_client.json_value import JsonObject

RecordT = TypeVar("RecordT")


class UnreadableRecordError(DataError):
    """A stored document is not what the stack writes."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.status = 500


class Codec(Generic[RecordT]):
    """Reads and writes frozen dataclasses as JSON objects.

    Fields that a document lacks take their defaults, and those that the record does not know are left out,
    so that what an earlier release has written can be read.

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
        """The record that a document holds.

        Raises:
            UnreadableRecordError: a field is missing or has another type.
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
        """The document of a record."""
        document: JsonObject = self._adapter.dump_python(record, mode="json")
        return document

    @property
    def _adapter(self) -> TypeAdapter[RecordT]:
        # Built on first use: the import of a service must stay quick.
        if self._built is None:
            self._built = TypeAdapter(self._kind)
        return self._built
