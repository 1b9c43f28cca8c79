"""Request bodies: size limits and validation against the wire types."""

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


class FieldError(TypedDict):
    """One validation error of a body, in FastAPI's format."""

    loc: list[str | int]
    msg: str
    type: str


class UnsupportedMediaTypeError(APIError):
    """The route does not accept the body's media type."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=415)


async def read_limited(request: Request, limit: int = LARGEST_JSON) -> bytes:
    """Read a whole body, up to a limit.

    Raises:
        PayloadTooLargeError: it has more than ``limit`` bytes.
    """
    announced = request.headers.get("content-length", "")
    # Not int(), which raises ValueError for thousands of digits.
    if len(announced) > 15 or (announced.isdigit() and int(announced) > limit):
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def check_media_type(request: Request, accepted: Sequence[str]) -> None:
    """Reject a body whose media type the route does not accept.

    A web page can make a browser send forms and plain text to any address, but not JSON. A route that accepts
    JSON accepts every ``+json`` type; one that accepts bytes accepts any type.

    Raises:
        UnsupportedMediaTypeError: the media type is missing or not accepted.
    """
    if BINARY in accepted or not _has_body(request):
        return
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared in accepted or (JSON in accepted and _JSON_TYPE.fullmatch(declared)):
        return
    shown = f"not {declared[:80]!r}" if declared else "and the request has none"
    raise UnsupportedMediaTypeError(f"Content-Type must be {' or '.join(accepted)}, {shown}")


def parse_json(body: bytes) -> JsonValue:
    """Parse a body as JSON.

    Raises:
        UnprocessableError: it is not valid JSON; ``detail`` is in FastAPI's format.
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
    """Parse JSON, restricted to what every part of the stack can store and serialize.

    That excludes NaN, numbers beyond a double or 64 bits, unpaired surrogates (escaped or as bytes), nesting
    deeper than ``DEEPEST`` levels, and more than ``MOST_VALUES`` values.

    Raises:
        ValueError: the text is not such JSON.
    """
    try:
        plain = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
    try:
        # A call per number takes seconds on large bodies, and few contain a number that needs one.
        large = _LARGE.search(plain) is not None
        value: JsonValue = json.loads(
            plain,
            parse_constant=_reject_constant,
            parse_float=_finite_float if large else None,
            parse_int=_bounded_int if large else None,
        )
    except RecursionError:
        raise _too_deep() from None
    # Each level opens with a bracket, and commas separate values: counting both spares most bodies the walk.
    if plain.count("[") + plain.count("{") > DEEPEST or plain.count(",") > MOST_VALUES:
        _check_shape(value)
    if "\\ud" in plain or "\\uD" in plain:
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("a string contains an unpaired surrogate") from None
    return value


def validate(model: type[M], value: object, *, within: Sequence[str] = ()) -> M:
    """Validate a value as a wire type.

    Args:
        model: the type.
        value: the value.
        within: its path in the body.

    Raises:
        UnprocessableError: it is invalid; ``detail`` lists ``loc``, ``msg`` and ``type`` of each error.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        if error.error_count() > _MOST_FAULTS:  # formatting them would take longer than finding them
            message = f"{error.error_count()} values have the wrong type for their field"
            raise _unprocessable([{"loc": ["body", *within], "msg": message, "type": "too_many"}]) from None
        raise _unprocessable(
            [
                {"loc": ["body", *within, *fault["loc"]], "msg": fault["msg"], "type": fault["type"]}
                for fault in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from None


def sent_fields(model: BaseModel, *, extra: bool = False) -> dict[str, JsonValue]:
    """The fields that were sent, as JSON; ``extra`` includes undeclared ones."""
    sent = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    unknown = set() if extra else set(model.model_extra or {})
    return {name: value for name, value in sent.items() if name not in unknown}


def _has_body(request: Request) -> bool:
    if "transfer-encoding" in request.headers:
        return True
    return request.headers.get("content-length", "0").strip() != "0"


def _too_large(limit: int) -> PayloadTooLargeError:
    _log.warning("rejected a body larger than %s bytes", limit)
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


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not valid JSON")


def _finite_float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"the number {digits[:20]} is too large")
    return value


def _bounded_int(digits: str) -> int:
    # SQLite, arrays and most JSON readers support 64 bits.
    if len(digits) <= _MOST_DIGITS:
        value = int(digits)
        if -(1 << 63) <= value < 1 << 64:
            return value
    raise ValueError(f"the number {digits[:20]} does not fit into 64 bits")


def _unprocessable(faults: list[FieldError]) -> UnprocessableError:
    first = faults[0]
    place = ".".join(str(part) for part in first["loc"])
    return UnprocessableError(f"{place}: {first['msg']}", detail=faults)
