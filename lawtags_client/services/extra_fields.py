"""Fields that users add to a request because this client does not know them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import TypeVar

from pydantic import ValidationError

from lawtags_client.errors import ConfigurationError
from lawtags_client.json_value import JsonValue
from lawtags_client.transport.body import encoded
from lawtags_client.types.common import WireModel, WireRequest

R = TypeVar("R", bound=WireRequest)
M = TypeVar("M", bound=WireModel)


def extended(
    body: Mapping[str, JsonValue], extra_body: Mapping[str, JsonValue] | None, *, known: Collection[str] = ()
) -> dict[str, JsonValue]:
    """A request's body with further fields; objects are merged at every depth.

    Args:
        body: what the client sends.
        extra_body: the fields to add.
        known: fields that have a parameter of their own, and must be set by it.

    Raises:
        ConfigurationError: a field is set already, has a parameter of its own, or cannot be sent as JSON.
    """
    if not extra_body:
        return dict(body)
    if not isinstance(extra_body, Mapping):
        raise ConfigurationError(
            f"extra_body is a {type(extra_body).__name__}", hint="Pass a dictionary of fields."
        )
    # As it is sent, so that what an intent keeps of it can be compared later.
    fields: dict[str, JsonValue] = json.loads(encoded(dict(extra_body)))
    for name, value in fields.items():
        if name in known and not isinstance(value, Mapping):
            raise ConfigurationError(
                f"extra_body has the field {name!r}, which the client knows",
                hint=f"Set {name!r} in the call or in its request.",
            )
    return _merged(body, fields, "")


def extended_request(request: WireModel, extra_body: Mapping[str, JsonValue] | None) -> dict[str, JsonValue]:
    """The body of a request with further fields, which its type must not have itself; see ``extended``."""
    return extended(request.to_wire(), extra_body, known=type(request).model_fields if extra_body else ())


def constrained(body: Mapping[str, JsonValue], fields: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """A request with the fields of a constraint, which win; objects that both have are merged.

    Args:
        body: the request.
        fields: the constraint, as the server expects it.
    """
    found = {**body, **fields}
    for name in body.keys() & fields.keys():
        present, added = body[name], fields[name]
        if isinstance(present, Mapping) and isinstance(added, Mapping):
            found[name] = {**present, **added}
    return found


def _merged(
    body: Mapping[str, JsonValue], extra: Mapping[str, JsonValue], place: str
) -> dict[str, JsonValue]:
    found = dict(body)
    for name, value in extra.items():
        present = found.get(name)
        if isinstance(present, Mapping) and isinstance(value, Mapping):
            found[name] = _merged(present, value, f"{place}{name}.")
        elif name in found and present != value:
            raise ConfigurationError(
                f"extra_body would overwrite the field {place + name!r} of the request",
                hint="Set it once, in the call or in extra_body.",
            )
        else:
            found[name] = value
    return found


def request_of(kind: type[R], request: R | None, fields: Mapping[str, object]) -> R:
    """A request that was passed whole, or is made of keyword arguments.

    Raises:
        ConfigurationError: both were passed, or a field is unknown, missing or invalid.
    """
    if request is not None:
        if fields:
            raise ConfigurationError(
                f"a {kind.__name__} and {', '.join(sorted(fields))} were passed",
                hint="Pass either the request, or its fields as keyword arguments.",
            )
        _check_name(request)
        return request
    unknown = sorted(set(fields) - set(kind.model_fields))
    if unknown:
        close = get_close_matches(unknown[0], kind.model_fields, n=1, cutoff=0.75)
        known = f"Did you mean {close[0]}?" if close else f"Known are: {', '.join(kind.model_fields)}."
        raise ConfigurationError(
            f"unknown argument {', '.join(unknown)}",
            hint=f"{known} Pass fields that the client does not know in extra_body.",
        )
    made = model_of(kind, fields)
    _check_name(made)
    return made


def wire_filter(filter: WireRequest | None) -> dict[str, JsonValue] | None:
    """A filter of a list, as it is sent.

    Raises:
        ConfigurationError: it is something else, such as a dictionary, whose names nobody would check.
    """
    given: object = filter
    if filter is None:
        return None
    if not isinstance(given, WireRequest):
        raise ConfigurationError(
            f"filter is a {type(given).__name__}",
            hint="Pass the filter of this list, such as CustomizationJobFilter(status='completed').",
        )
    return filter.to_wire()


def _check_name(request: WireRequest) -> None:
    """Refuse ``namespace/name`` as a name, under which the entity would not be found again."""
    name = getattr(request, "name", None)
    if isinstance(name, str) and "/" in name and "namespace" in type(request).model_fields:
        namespace, _, short = name.partition("/")
        raise ConfigurationError(
            f"the name {name!r} contains a slash",
            hint=f"Pass the namespace on its own: namespace={namespace!r}, name={short!r}.",
        )


def model_of(kind: type[M], fields: Mapping[str, object]) -> M:
    """A wire model of arguments.

    Raises:
        ConfigurationError: a field is missing or invalid.
    """
    try:
        return kind.model_validate(dict(fields))
    except ValidationError as error:
        # Pydantic's own text repeats the input, which may be confidential.
        issues = error.errors(include_input=False, include_url=False)
        problems = [f"{'.'.join(map(str, issue['loc']))}: {issue['msg']}"[:200] for issue in issues[:3]]
        raise ConfigurationError(f"the arguments are not valid: {'; '.join(problems)}") from None
