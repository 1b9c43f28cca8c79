"""What the wire models of all services share: the base, times, states, lists, errors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Generic, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from lawtags_client.errors import ConfigurationError
from lawtags_client.json_value import JsonValue

T = TypeVar("T")


def _assume_utc(value: datetime) -> datetime:
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ValueError("not a moment of the years 1 to 9999 in UTC") from None


def give_turn(value: T) -> T:
    """The same value: a validator that lets other threads run.

    Pydantic keeps the interpreter to itself from beginning to end, unless it calls functions of Python. A
    list that calls one for each entry can be read in a thread beside the event loop.
    """
    return value


def _null_as_list(value: object) -> object:
    return [] if value is None else value


def _null_as_map(value: object) -> object:
    return {} if value is None else value


def _not_finite(value: object, place: str) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield place
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _not_finite(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _not_finite(inner, f"{place}[{index}]")


UtcDateTime: TypeAlias = Annotated[datetime, AfterValidator(_assume_utc)]
"""A moment; the platform writes its times without an offset and means UTC."""

Items: TypeAlias = Annotated[list[Annotated[T, AfterValidator(give_turn)]], BeforeValidator(_null_as_list)]
"""A list that the server may also give as null."""

Mapped: TypeAlias = Annotated[
    dict[str, Annotated[T, AfterValidator(give_turn)]], BeforeValidator(_null_as_map)
]
"""A map that the server may also give as null."""

Size: TypeAlias = Annotated[int, Field(ge=0, lt=1 << 63)]
"""Bytes of a file."""

# Open on purpose: a newer server may know values that this list does not.
JobStatus: TypeAlias = (
    Literal[
        "created", "pending", "running", "cancelled", "cancelling", "failed", "completed", "ready", "unknown"
    ]
    | str
)
ModelPrecision: TypeAlias = Literal["int8", "bf16", "fp16", "fp32", "fp8-mixed", "bf16-mixed"] | str
FinetuningType: TypeAlias = Literal["lora", "lora_merged", "all_weights"] | str
TrainingType: TypeAlias = Literal["sft", "dpo", "distillation", "grpo"] | str

JOB_STATES = (
    "created",
    "pending",
    "running",
    "cancelling",
    "cancelled",
    "failed",
    "completed",
    "ready",
    "unknown",
)
"""The states that the API documents."""

FINAL_JOB_STATES = frozenset({"completed", "failed", "cancelled"})
"""The only states a job does not leave; anything else, known or not, goes on."""


class WireModel(BaseModel):
    """Base of everything read from or written to a service.

    Unknown fields are kept (``model_extra``), unknown enum values are kept, NaN is a number.
    """

    # A model is built when it is first used: building all of them would take longer than importing the rest.
    # Inputs may be confidential or huge, so pydantic's errors do not repeat them.
    model_config = ConfigDict(
        extra="allow",
        protected_namespaces=(),
        populate_by_name=True,
        defer_build=True,
        hide_input_in_errors=True,
    )

    def to_wire(self) -> dict[str, JsonValue]:
        """The JSON object to send: wire names, and only what was set."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class WireRequest(WireModel):
    """Base of request bodies: a server reads them leniently, a client sends no field it does not know."""

    def to_wire(self) -> dict[str, JsonValue]:
        """The JSON object to send.

        Raises:
            ConfigurationError: a field was set that the API does not have, or a number is not finite.
        """
        if self.model_extra:
            known = ", ".join(sorted(type(self).model_fields))
            raise ConfigurationError(
                f"{type(self).__name__} has no field {', '.join(sorted(self.model_extra))}",
                hint=f"It knows: {known}",
            )
        # Dumping as JSON would turn these into null without a word.
        endless = next(_not_finite(self.model_dump(exclude_unset=True), type(self).__name__), None)
        if endless:
            raise ConfigurationError(f"{endless} is not a finite number", hint="JSON has no such value.")
        return super().to_wire()


class CamelModel(WireModel):
    """Base of the parts that the wire spells in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel)


class Ownership(WireModel):
    """Who made a thing and who may see it."""

    created_by: str | None = None
    updated_by: str | None = None
    access_policies: dict[str, str] | None = None


class VersionTag(WireModel):
    """A name for one version of an entity."""

    name: str
    created_at: UtcDateTime | None = None
    created_by: str | None = None


class Pagination(WireModel):
    """Where one page stands among all."""

    page: int
    page_size: int
    current_page_size: int | None = None
    total_pages: int | None = None
    total_results: int | None = None


class Page(WireModel, Generic[T]):
    """One page of a list."""

    object: str | None = "list"
    data: Items[T] = Field(default_factory=list)
    pagination: Pagination | None = None
    sort: str | None = None
    filter: Mapping[str, JsonValue] | None = None
    search: Mapping[str, JsonValue] | None = None


class DeleteResponse(WireModel):
    """The answer to a delete."""

    id: str | None = None
    deleted_at: str | None = None
    message: str | None = None


class ValidationIssue(WireModel):
    """One complaint about a request body."""

    loc: list[str | int]
    msg: str
    type: str


class ErrorBody(WireModel):
    """The body of an error answer."""

    detail: str | list[ValidationIssue] | Mapping[str, JsonValue] | None = None


class APIEndpoint(WireModel):
    """A model reached by an OpenAI-like URL; ``url`` is complete, path included."""

    url: str
    model_id: str
    api_key: str | None = Field(default=None, repr=False)
    format: Literal["nim", "openai", "lama_stack"] | str | None = None


class DateTimeFilter(WireRequest):
    """A range of times for a list filter, as ISO 8601 text."""

    eq: str | None = None
    neq: str | None = None
    gt: str | None = None
    gte: str | None = None
    lt: str | None = None
    lte: str | None = None


def is_final(status: str | None) -> bool:
    """Whether a job in this state has come to its end; unknown states have not."""
    return status in FINAL_JOB_STATES


def reference(value: str | Mapping[str, object] | BaseModel) -> str:
    """The ``namespace/name`` of an entity given as text, object or model.

    Raises:
        ConfigurationError: the entity has no name.
    """
    if isinstance(value, str):
        return value
    found = value.model_dump() if isinstance(value, BaseModel) else value
    name = found.get("name")
    if not name:
        raise ConfigurationError(
            "an entity without a name cannot be referred to", hint="Give its 'namespace/name'."
        )
    return f"{found.get('namespace') or 'default'}/{name}"
