"""The base of every part of a recipe."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic_core import PydanticCustomError

_LARGEST_INTEGER = 2**53 - 1


class Section(BaseModel):
    """Base of every part of a recipe: frozen, numbers are finite, and unknown keys are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), hide_input_in_errors=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_exact_everywhere(cls, value: object) -> object:
        # Estimates reckon in doubles, and so do many servers that read the JSON of a job.
        if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
            raise PydanticCustomError(
                "integer_size", f"Input should be an integer of at most {_LARGEST_INTEGER}, as in JSON"
            )
        return value
