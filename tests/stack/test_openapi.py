"""The stack held to its own OpenAPI documents: made-up requests get documented answers.

``FUZZ_EXAMPLES`` says how many requests an operation gets; ``make fuzz`` asks for many.
"""

from __future__ import annotations

import json
import os
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.failures import Failure
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from lawtags_stack.stack import StackThread

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "3"))
PORTS = ("platform", "data_store", "inference")
# Requests that are to be refused but are not, and the other way round, are no fault here: the services read
# leniently, and most of what is sent names something that does not exist.
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


@schemathesis.serializer("application/x-ndjson")
def ndjson(context: Any, value: Any) -> bytes:
    lines = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(line) for line in lines).encode()


def described(stack: StackThread, port: str) -> Any:
    return schemathesis.openapi.from_url(f"{getattr(stack, f'{port}_url')}/openapi.json")


@pytest.fixture(scope="module", params=PORTS)
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with StackThread(tmp_path_factory.mktemp("fuzz") / "stack") as running:
        yield described(running, request.param)


def test_made_up_requests_get_documented_answers(api: Any) -> None:
    faults = []
    for found in api.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=EXAMPLES < 10,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def answered(case: Any) -> None:
            response = case.call()
            refuse_server_errors(response)
            case.validate_response(response, checks=CHECKS)

        try:
            answered()
        except (Failure, AssertionError, BaseExceptionGroup) as error:
            faults.append(f"{operation.method} {operation.path}: {error}")
    assert not faults, "\n\n".join(faults)


def refuse_server_errors(response: Any) -> None:
    """Of the answers from 500 on, these are meant: what is not offered, and what the real service says so."""
    if response.status_code >= 500:
        assert response.status_code == 501 or "already exists" in response.text, response.text


def test_a_path_with_a_line_break_is_answered_in_json(stack: StackThread) -> None:
    answer = httpx.get(f"{stack.platform_url}/v1/models/a%0Ab")
    assert answer.status_code == 404
    assert answer.json()["detail"]


@pytest.mark.parametrize("port", PORTS)
def test_every_operation_says_what_it_does(stack: StackThread, port: str) -> None:
    document = httpx.get(f"{getattr(stack, f'{port}_url')}/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"].endswith("."), f"{method} {path}"
            assert operation["responses"], f"{method} {path}"
