"""JSON as types: what requests, answers and stored documents are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    JsonValue: TypeAlias = bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"] | None
    JsonObject: TypeAlias = Mapping[str, JsonValue]
else:
    # Records are read by pydantic, which would walk, and copy, what the JSON decoder has made.
    JsonValue = object
    JsonObject = dict
