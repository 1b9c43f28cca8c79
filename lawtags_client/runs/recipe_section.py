"""The base of every part of a recipe."""

from __future__ import annotations

from typing import get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

_LARGEST_INTEGER = 2**53 - 1


class Section(BaseModel):
    """Base of every part of a recipe: frozen, numbers are finite, and unknown keys are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), hide_input_in_errors=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_exact_everywhere(cls, value: object, field: ValidationInfo) -> object:
        if isinstance(value, bool):
            annotation = cls.model_fields[field.field_name or ""].annotation
            if {int, float} & {annotation, *get_args(annotation)}:
                raise PydanticCustomError(
                    "truth", "must be a number; YAML reads yes, on, no and off as true and false"
                )
        # Estimates reckon in doubles, and so do many servers that read the JSON of a job.
        elif isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
            raise PydanticCustomError(
                "integer_size", f"must be a whole number of at most {_LARGEST_INTEGER}, as in JSON"
            )
        return value
