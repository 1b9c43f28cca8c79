"""JSON values as types: requests, responses and stored documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    JsonValue: TypeAlias = bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"] | None
    JsonObject: TypeAlias = Mapping[str, JsonValue]
    JsonRow: TypeAlias = dict[str, JsonValue]
else:
    # Pydantic would otherwise walk and copy values that the JSON decoder has already built.
    JsonValue = object
    JsonObject = JsonRow = dict
