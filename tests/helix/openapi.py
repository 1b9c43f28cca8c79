"""Validates requests and responses against the OpenAPI document of NeMo Helix 0.8.1."""

from __future__ import annotations

import functools
import gzip
import json
import re
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from transcripts import RECORDED

_DOCUMENT = "urn:helix"
_GREEDY = {"path", "trailing_uri"}
# The real server's responses break its own document here: lists leave out nulls of required fields, and the
# target of an evaluation fits none of the declared alternatives.
_NULL_LEFT_OUT = re.compile(r"/apis/inference-gateway/v2/workspaces/[^/]+/virtual-models\Z")
_TARGET = "/apis/evals/v2/workspaces/{workspace}/evaluate/jobs"


class Undeclared(LookupError):
    """The document declares no such operation."""


class Mismatch(AssertionError):
    """A body does not match the schema that the document declares for it."""


@functools.cache
def document() -> dict[str, Any]:
    """The whole document."""
    found: dict[str, Any] = json.loads(gzip.decompress((RECORDED / "openapi-0.8.1.json.gz").read_bytes()))
    return found


def operation(method: str, path: str) -> tuple[str, dict[str, Any]]:
    """Find an operation.

    Args:
        method: HTTP method.
        path: a path as sent, with or without a query.

    Returns:
        The path template and the operation.

    Raises:
        Undeclared: there is none.
    """
    plain = path.partition("?")[0]
    for pattern, template in _templates():
        if pattern.fullmatch(plain) and method.lower() in document()["paths"][template]:
            return template, document()["paths"][template][method.lower()]
    raise Undeclared(f"{method} {plain}")


def check_request(method: str, path: str, body: Any) -> bool:
    """Validate a JSON request body, and return whether the document declares one.

    Raises:
        Undeclared: the document has no such operation.
        Mismatch: the body is invalid.
    """
    template, found = operation(method, path)
    content = found.get("requestBody", {}).get("content", {})
    if "application/json" not in content:
        return False
    at = ["paths", template, method.lower(), "requestBody", "content", "application/json", "schema"]
    _check(at, body, f"request {method} {path}")
    return True


def check_response(method: str, path: str, status: int, body: Any) -> bool:
    """Validate a JSON response body, and return whether the document declares one for this status.

    Statuses that the document does not declare, such as 404 and 409, are not checked.

    Raises:
        Undeclared: the document has no such operation.
        Mismatch: the body is invalid.
    """
    template, found = operation(method, path)
    content = found["responses"].get(str(status), {}).get("content", {})
    # Refusals of the service itself have a text as detail, but are declared as a list.
    textual = status == 422 and isinstance(body, dict) and isinstance(body.get("detail"), str)
    if "application/json" not in content or textual or isinstance(body, str):
        return False
    if _NULL_LEFT_OUT.fullmatch(unquote(path.partition("?")[0])) and status == 200:
        body = {**body, "data": [{"parent": None, **each} for each in body["data"]]}
    if template.startswith(_TARGET) and isinstance(body, dict):
        body = _without_target(body)
    at = ["paths", template, method.lower(), "responses", str(status), "content", "application/json"]
    _check([*at, "schema"], body, f"response {status} of {method} {path}")
    return True


def schema_errors(name: str, value: Any) -> list[str]:
    """The errors of a value as one of the named schemas, empty if it is valid."""
    return _errors(["components", "schemas", name], value)


def _without_target(body: dict[str, Any]) -> dict[str, Any]:
    if isinstance(body.get("data"), list):
        return {**body, "data": [_without_target(each) for each in body["data"]]}
    if isinstance(body.get("spec"), dict):
        return {**body, "spec": {name: each for name, each in body["spec"].items() if name != "target"}}
    return body


def _check(at: list[str], value: Any, what: str) -> None:
    errors = _errors(at, value)
    if errors:
        raise Mismatch(f"{what} does not match the OpenAPI document:\n" + "\n".join(errors))


def _errors(at: list[str], value: Any) -> list[str]:
    found = sorted(_validator(tuple(at)).iter_errors(value), key=lambda error: list(map(str, error.path)))
    return [f"{error.json_path}: {error.message[:400]}" for error in found]


@functools.cache
def _validator(at: tuple[str, ...]) -> Validator:
    registry = Registry().with_resource(_DOCUMENT, DRAFT202012.create_resource(document()))
    pointer = "/".join(part.replace("~", "~0").replace("/", "~1") for part in at)
    return Draft202012Validator({"$ref": f"{_DOCUMENT}#/{_escaped(pointer)}"}, registry=registry)


def _escaped(pointer: str) -> str:
    return pointer.replace("{", "%7B").replace("}", "%7D")


@functools.cache
def _templates() -> list[tuple[re.Pattern[str], str]]:
    def pattern(template: str) -> re.Pattern[str]:
        parts = re.split(r"\{(\w+)\}", template)
        names = [".*" if name in _GREEDY else "[^/]+" for name in parts[1::2]]
        texts = [re.escape(text) for text in parts[::2]]
        return re.compile("".join(a + b for a, b in zip(texts, [*names, ""], strict=True)))

    # Fixed paths before templates: .../openai/-/v1/models before .../openai/-/{trailing_uri}.
    return [(pattern(each), each) for each in sorted(document()["paths"], key=lambda each: each.count("{"))]
