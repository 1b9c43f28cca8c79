"""Base classes of the parts of configs and targets."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat


def _refuse_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


Template = str | int | FiniteFloat | bool
Whole = Annotated[int, BeforeValidator(_refuse_bool)]
Number = Annotated[FiniteFloat, BeforeValidator(_refuse_bool)]
Count = Annotated[Whole, Field(ge=1, le=1_000_000_000)]


class SpecRecord(BaseModel):
    """A part of a config that may have unknown fields."""

    model_config = ConfigDict(extra="allow", protected_namespaces=(), frozen=True, hide_input_in_errors=True)

    def __bool__(self) -> bool:
        # An empty object counts as missing.
        return bool(self.model_fields_set)


class ClosedRecord(SpecRecord):
    """A part of a config without unknown fields, since all of its fields have an effect."""

    model_config = ConfigDict(extra="forbid")
