"""Request bodies: limited in size, checked against the wire types."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from lawtags_client.errors import PayloadTooLargeError, UnprocessableError

M = TypeVar("M", bound=BaseModel)

LARGEST_JSON = 16 << 20


async def read_limited(request: Request, limit: int = LARGEST_JSON) -> bytes:
    """A whole body, unless it is too large.

    Raises:
        PayloadTooLargeError: it holds more than ``limit`` bytes.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise PayloadTooLargeError(f"The request body is larger than {limit} bytes")
    return bytes(body)


def parse_json(body: bytes) -> Any:
    """A body as JSON.

    Raises:
        UnprocessableError: it is not JSON, with the detail that FastAPI gives for it.
    """
    if not body.strip():
        raise _unprocessable([{"loc": ["body"], "msg": "Field required", "type": "missing"}])
    try:
        return strict_json(body)
    except RecursionError:
        raise _unprocessable(
            [{"loc": ["body"], "msg": "JSON nested too deeply", "type": "json_invalid"}]
        ) from None
    except ValueError as error:
        at = getattr(error, "pos", 0)
        raise _unprocessable(
            [{"loc": ["body", at], "msg": f"JSON decode error: {error}", "type": "json_invalid"}]
        ) from None


def strict_json(text: bytes) -> Any:
    """JSON that can be written again: no NaN, and no half of a surrogate pair, which UTF-8 cannot hold.

    Raises:
        ValueError: it is none.
        RecursionError: it is nested too deeply.
    """
    value = json.loads(text, parse_constant=_no_constant)
    if b"\\ud" in text.lower():
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("a text holds half of a surrogate pair") from None
    return value


def validate(model: type[M], value: Any) -> M:
    """A value as one of the wire types.

    Raises:
        UnprocessableError: it does not fit; ``detail`` lists ``loc``, ``msg`` and ``type`` of each fault.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _unprocessable(
            [
                {"loc": ["body", *fault["loc"]], "msg": fault["msg"], "type": fault["type"]}
                for fault in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from None


def sent_fields(model: BaseModel, *, extra: bool = False) -> dict[str, Any]:
    """What was sent, as JSON: unset fields left out, unknown ones too unless asked for."""
    sent = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    unknown = set() if extra else set(model.model_extra or {})
    return {name: value for name, value in sent.items() if name not in unknown}


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _unprocessable(faults: list[dict[str, Any]]) -> UnprocessableError:
    first = faults[0]
    place = ".".join(str(part) for part in first["loc"])
    return UnprocessableError(f"{place}: {first['msg']}", detail=faults)
