"""Generates the OpenAPI document of a port from its routes and the wire types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import cast

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from lawtags_client.types.common import ErrorBody
from lawtags_stack.http.operations import Operation, Parameter
from lawtags_stack.http.routing import ApiRoute

Schema = JsonSchemaValue

_PLACE = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")
_KINDS = {"int": {"type": "integer", "minimum": 0}}


class _WireSchema(GenerateJsonSchema):
    """JSON Schema with the services' conventions: timestamps need no offset, and null means unset."""

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        return {"type": "string", "description": "ISO 8601; without an offset it is UTC"}

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        # Lists and maps that a service may also return as null.
        inner = super().function_before_schema(schema)
        return {"anyOf": [inner, {"type": "null"}]}


def document(title: str, groups: Iterable[tuple[str, Sequence[ApiRoute]]], url: str) -> Schema:
    """Generate the OpenAPI document.

    Args:
        title: title of the API.
        groups: the routes by the name of their service.
        url: base URL of the API.
    """
    found = [(tag, route) for tag, routes in groups for route in routes]
    adapters, schemas, components = _schemas([route.operation for _, route in found])
    paths: dict[str, Schema] = {}
    for tag, route in found:
        path = _PARAMETER.sub(r"{\1}", route.path)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            described = _operation(route, method, tag, adapters, schemas)
            paths.setdefault(path, {}).setdefault(method.lower(), described)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "servers": [{"url": url}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(operations: list[Operation]) -> tuple[dict[int, int], dict[int, Schema], dict[str, Schema]]:
    """Generate the schemas of all bodies and responses; named ones are returned separately."""
    kinds: list[object] = [kind for each in operations for kind in (each.body, each.answers)] + [ErrorBody]
    known: dict[int, int] = {}
    inputs: list[tuple[int, str, TypeAdapter[object]]] = []
    for kind in kinds:
        if kind not in (None, bytes) and id(kind) not in known:
            known[id(kind)] = len(inputs)
            inputs.append((len(inputs), "validation", TypeAdapter(cast(type[object], kind))))
    found, definitions = TypeAdapter.json_schemas(
        inputs,  # type: ignore[arg-type]
        ref_template=_PLACE,
        schema_generator=_WireSchema,
    )
    by_number = {number: schema for (number, _), schema in found.items()}
    return known, by_number, definitions.get("$defs", {})


def _operation(
    route: ApiRoute, method: str, tag: str, known: dict[int, int], schemas: dict[int, Schema]
) -> Schema:
    operation = route.operation

    def schema_of(kind: object) -> Schema:
        return {} if kind is bytes else schemas[known[id(kind)]]

    error = {"description": "Refused", "content": {"application/json": {"schema": schema_of(ErrorBody)}}}
    answer: Schema = {"description": "Done"}
    if operation.answers is not None:
        answer["content"] = {operation.gives: {"schema": schema_of(operation.answers)}}
    described: Schema = {
        "tags": [tag],
        "operationId": re.sub(r"\W+", "_", f"{method} {route.path}").strip("_").lower(),
        "summary": operation.summary,
        "parameters": [*_path_parameters(route.path), *map(_query_parameter, operation.query)],
        "responses": {str(operation.status): answer, "4XX": error, "5XX": error},
    }
    if operation.body is not None:
        media = {"schema": schema_of(operation.body)}
        described["requestBody"] = {
            "required": True,
            "content": dict.fromkeys(operation.accepts, media),
        }
    return described


def _path_parameters(path: str) -> list[Schema]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _KINDS.get(kind, _text())}
        for name, kind in _PARAMETER.findall(path)
    ]


def _query_parameter(parameter: Parameter) -> Schema:
    schema: Schema = {"type": parameter.kind}
    if parameter.values:
        schema["enum"] = list(parameter.values)
    if parameter.least is not None:
        schema["minimum"] = parameter.least
    shown: Schema = {"name": parameter.name, "in": "query", "description": parameter.about}
    if parameter.kind == "object":
        schema["additionalProperties"] = {"type": "string"}
        shown |= {"style": "deepObject", "explode": True}
    return {**shown, "schema": schema}


def _text() -> Schema:
    return {"type": "string", "minLength": 1}
