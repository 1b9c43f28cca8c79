"""Request bodies: limited in size, checked against the wire types."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Sequence
from typing import NoReturn, TypedDict, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from lawtags_client.errors import APIError, PayloadTooLargeError, UnprocessableError
from lawtags_client.json_value import JsonValue
from lawtags_stack.http.operations import BINARY, JSON

M = TypeVar("M", bound=BaseModel)

LARGEST_JSON = 16 << 20
DEEPEST = 100
MOST_VALUES = 500_000
_MOST_FAULTS = 1000
_MOST_DIGITS = 20
_JSON_TYPE = re.compile(r"application/([\w.!#$&^+-]+\+)?json")
_LARGE = re.compile(r"[0-9]{19}|[0-9][eE][+]?[0-9]{3}")
_log = logging.getLogger(__name__)


class Fault(TypedDict):
    """What is wrong with a body, in the form that FastAPI gives it."""

    loc: list[str | int]
    msg: str
    type: str


class UnsupportedMediaTypeError(APIError):
    """A body of a type that the route does not read."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=415)


async def read_limited(request: Request, limit: int = LARGEST_JSON) -> bytes:
    """A whole body, unless it is too large.

    Raises:
        PayloadTooLargeError: it holds more than ``limit`` bytes.
    """
    announced = request.headers.get("content-length", "")
    # Not int(): a number of thousands of digits is a ValueError there.
    if len(announced) > 15 or (announced.isdigit() and int(announced) > limit):
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def check_media_type(request: Request, accepted: Sequence[str]) -> None:
    """Refuse a body that is not declared as what the route reads.

    A web page can make a browser send forms and plain text to any address, but not JSON. A route that takes
    JSON takes every ``+json`` type; one that takes bytes takes any type.

    Raises:
        UnsupportedMediaTypeError: it is declared as something else, or not at all.
    """
    if BINARY in accepted or not _has_body(request):
        return
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared in accepted or (JSON in accepted and _JSON_TYPE.fullmatch(declared)):
        return
    shown = f"not {declared[:80]!r}" if declared else "and the request has none"
    raise UnsupportedMediaTypeError(f"Content-Type must be {' or '.join(accepted)}, {shown}")


def parse_json(body: bytes) -> JsonValue:
    """A body as JSON.

    Raises:
        UnprocessableError: it is not JSON, with the detail that FastAPI gives for it.
    """
    if not body.strip():
        raise _unprocessable([{"loc": ["body"], "msg": "Field required", "type": "missing"}])
    try:
        return strict_json(body)
    except ValueError as error:
        at = getattr(error, "pos", 0)
        raise _unprocessable(
            [{"loc": ["body", at], "msg": f"JSON decode error: {error}", "type": "json_invalid"}]
        ) from None


def strict_json(text: bytes) -> JsonValue:
    """JSON that every part of the stack can hold and write again.

    That leaves out NaN and numbers beyond a double or 64 bits, half of a surrogate pair, whether as an escape
    or as bytes, values that are nested more than ``DEEPEST`` levels, and more than ``MOST_VALUES`` of them.

    Raises:
        ValueError: it is none.
    """
    try:
        plain = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
    try:
        # Calls for each number cost seconds on large bodies, and few have a number that needs them.
        large = _LARGE.search(plain) is not None
        value: JsonValue = json.loads(
            plain,
            parse_constant=_no_constant,
            parse_float=_finite_float if large else None,
            parse_int=_bounded_int if large else None,
        )
    except RecursionError:
        raise _too_deep() from None
    # Each level opens with a bracket, and values stand between commas: most bodies need no walk.
    if plain.count("[") + plain.count("{") > DEEPEST or plain.count(",") > MOST_VALUES:
        _check_shape(value)
    if "\\ud" in plain or "\\uD" in plain:
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("a string contains half of a surrogate pair") from None
    return value


def validate(model: type[M], value: object, *, within: Sequence[str] = ()) -> M:
    """A value as one of the wire types.

    Args:
        model: the type.
        value: what came.
        within: where in the body it stands.

    Raises:
        UnprocessableError: it does not fit; ``detail`` lists ``loc``, ``msg`` and ``type`` of each fault.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        if error.error_count() > _MOST_FAULTS:  # to write them out would take longer than to find them
            message = f"{error.error_count()} values have the wrong type for their field"
            raise _unprocessable([{"loc": ["body", *within], "msg": message, "type": "too_many"}]) from None
        raise _unprocessable(
            [
                {"loc": ["body", *within, *fault["loc"]], "msg": fault["msg"], "type": fault["type"]}
                for fault in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from None


def sent_fields(model: BaseModel, *, extra: bool = False) -> dict[str, JsonValue]:
    """What was sent, as JSON: unset fields left out, unknown ones too unless asked for."""
    sent = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    unknown = set() if extra else set(model.model_extra or {})
    return {name: value for name, value in sent.items() if name not in unknown}


def _has_body(request: Request) -> bool:
    if "transfer-encoding" in request.headers:
        return True
    return request.headers.get("content-length", "0").strip() != "0"


def _too_large(limit: int) -> PayloadTooLargeError:
    _log.warning("refused a body larger than %s bytes", limit)
    return PayloadTooLargeError(f"The request body is larger than {limit} bytes")


def _check_shape(value: JsonValue) -> None:
    if not isinstance(value, dict | list):
        return
    level: list[list[JsonValue] | dict[str, JsonValue]] = [value]
    values = 0
    for _ in range(DEEPEST + 1):
        inner = [[*each.values()] if isinstance(each, dict) else each for each in level]
        values += sum(map(len, inner))
        if values > MOST_VALUES:
            raise ValueError(f"JSON of more than {MOST_VALUES} values")
        level = [child for each in inner for child in each if isinstance(child, dict | list)]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"JSON nested deeper than {DEEPEST} levels")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not valid JSON")


def _finite_float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"the number {digits[:20]} is too large")
    return value


def _bounded_int(digits: str) -> int:
    # SQLite, arrays and most readers of JSON hold 64 bits.
    if len(digits) <= _MOST_DIGITS:
        value = int(digits)
        if -(1 << 63) <= value < 1 << 64:
            return value
    raise ValueError(f"the number {digits[:20]} does not fit into 64 bits")


def _unprocessable(faults: list[Fault]) -> UnprocessableError:
    first = faults[0]
    place = ".".join(str(part) for part in first["loc"])
    return UnprocessableError(f"{place}: {first['msg']}", detail=faults)
