"""Reads decoded answers into wire models; large ones beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, TypeAdapter, ValidationError

from lawtags_client.errors import ProtocolError
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.types.common import give_turn

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

# Up to so many values are read in a few milliseconds; more of them leave the event loop.
_INLINE = 1000
_CONTAINERS = (dict, list)


async def parse(model: type[M], data: object, http: ServiceTransport) -> M:
    """Read a wire model.

    Raises:
        ProtocolError: the answer is JSON, but not what the API promises.
    """
    return await _read(model.__name__, model.model_validate, data, http)


async def parse_list(model: type[M], data: object, http: ServiceTransport) -> list[M]:
    """Read a bare JSON array of wire models; raises ProtocolError as ``parse`` does."""
    entries = TypeAdapter(list[Annotated[model, AfterValidator(give_turn)]])  # type: ignore[valid-type]
    return await _read(f"list of {model.__name__}", entries.validate_python, data, http)


async def _read(what: str, read: Callable[[object], T], data: object, http: ServiceTransport) -> T:
    try:
        return read(data) if _is_small(data) else await asyncio.to_thread(read, data)
    except Exception as error:
        raise _wrong_shape(what, error, http) from _without_input(error)


def _is_small(data: object) -> bool:
    """Whether decoded JSON has few values; looks at no more of them than that."""
    seen = 0
    inside = [data]
    for each in inside:
        if not isinstance(each, _CONTAINERS):
            continue
        values: Collection[object] = each.values() if isinstance(each, dict) else each
        seen += len(values)
        if seen > _INLINE:
            return False
        inside += [value for value in values if isinstance(value, _CONTAINERS)]
    return True


def _without_input(error: Exception) -> Exception | None:
    """What may be chained: a traceback prints pydantic's errors with the values that they are about."""
    return None if isinstance(error, ValidationError) else error


def _wrong_shape(what: str, error: Exception, http: ServiceTransport) -> ProtocolError:
    if isinstance(error, ValidationError):
        # Pydantic's own text repeats the input, which may hold what nobody should read in a log.
        issues = error.errors(include_input=False, include_url=False)
        places = "; ".join(
            f"{'.'.join(map(str, issue['loc'])) or 'body'}: {issue['msg']}"[:200] for issue in issues[:3]
        )
    else:
        # Values at the edge of what Python can hold, or nesting, can break a validator in other ways.
        places = type(error).__name__
    return ProtocolError(
        f"the response is not a valid {what}: {places}",
        hint=f"Check the address; it comes from {http.address.origin}.",
        service=http.address.service,
        url=http.address.url,
    )
