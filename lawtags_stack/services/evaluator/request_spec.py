"""Requests to models as configs write them: templates and literal values.

The output of a template is known only per row. Everything else is validated before a job is created, so that
a negative limit or a malformed tool does not fail every row.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import Field, FiniteFloat, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.services.evaluator.spec_base import SpecRecord

T = TypeVar("T")


def is_template(value: object) -> bool:
    """Whether a value is a Jinja template."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def _unless_template(value: object, check: ValidatorFunctionWrapHandler) -> object:
    return value if is_template(value) else check(value)


Written = Annotated[T, WrapValidator(_unless_template)]
"""A value of this type, or a template that renders to one."""

_Whole = Annotated[int, Field(strict=True)]
_Real = Annotated[FiniteFloat, Field(strict=True)]
_Limit = Annotated[int, Field(strict=True, ge=1)]
_Share = Annotated[FiniteFloat, Field(strict=True, ge=0, le=1)]
_Penalty = Annotated[FiniteFloat, Field(strict=True, ge=-2, le=2)]
_Flag = Annotated[bool, Field(strict=True)]


class _Message(SpecRecord):
    role: Annotated[str, Field(min_length=1)]
    content: str | list[JsonObject] | None = None


class _Function(SpecRecord):
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: Written[JsonObject] | None = None


class _Tool(SpecRecord):
    type: Annotated[str, Field(min_length=1)]
    function: Written[_Function] | None = None

    @model_validator(mode="after")
    def _has_function(self) -> _Tool:
        if self.type == "function" and self.function is None:
            raise ValueError("a tool of type function needs the field function")
        return self


class RequestSpec(SpecRecord):
    """A request to a model. Fields not declared here are passed to the model unchecked."""

    messages: Written[Annotated[list[Written[_Message]], Field(min_length=1)]] | None = None
    prompt: str | Annotated[list[JsonValue], Field(min_length=1)] | None = None
    max_tokens: Written[_Limit] | None = None
    max_completion_tokens: Written[_Limit] | None = None
    temperature: Written[Annotated[_Real, Field(ge=0)]] | None = None
    top_p: Written[_Share] | None = None
    top_k: Written[Annotated[_Whole, Field(ge=-1)]] | None = None
    min_p: Written[_Share] | None = None
    n: Written[Literal[1]] | None = None
    seed: Written[_Whole] | None = None
    frequency_penalty: Written[_Penalty] | None = None
    presence_penalty: Written[_Penalty] | None = None
    repetition_penalty: Written[Annotated[_Real, Field(gt=0)]] | None = None
    stop: str | list[str] | None = None
    stream: Written[Literal[False]] | None = None
    tools: Written[list[Written[_Tool]]] | None = None
    tool_choice: Written[Literal["none", "auto", "required"] | JsonObject] | None = None
    parallel_tool_calls: Written[_Flag] | None = None
    response_format: Written[JsonObject] | None = None
    nvext: Written[JsonObject] | None = None
    structured_outputs: Written[JsonObject] | None = None

    @model_validator(mode="after")
    def _asks(self) -> RequestSpec:
        if self.messages is None and self.prompt is None:
            raise ValueError("needs messages, or a prompt")
        return self
