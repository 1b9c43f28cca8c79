"""All methods of the official SDK, held against the stack and against the table in the docs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
from nemo_microservices import NeMoMicroservices
from sdk_conformance import NO_GPU, REASONS, Outcome, call_all, methods, rendered, service_of
from served_stack import ServedStack, served_stack
from tiny_models import make_adapter, make_model

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStack]:
    folder = tmp_path_factory.mktemp("conformance")
    base = make_model(folder / "base")
    with served_stack(folder / "stack", base, make_adapter(folder / "adapter", base), chaos=NO_GPU) as served:
        yield served


@pytest.fixture(scope="module")
def outcomes(stack: ServedStack) -> list[Outcome]:
    return call_all(stack)


@pytest.fixture(scope="module")
def everything(stack: ServedStack) -> list[str]:
    with NeMoMicroservices(base_url=stack.thread.platform_url) as sdk:
        return methods(sdk)


def test_every_method_for_these_services_is_called(outcomes: list[Outcome], everything: list[str]) -> None:
    assert {each.method for each in outcomes} == {each for each in everything if service_of(each)}


def test_what_is_answered_is_as_the_types_of_the_sdk_say(outcomes: list[Outcome]) -> None:
    refused = [each for each in outcomes if not each.ok]
    assert {each.method.partition(".")[0] for each in refused} == REASONS.keys(), refused
    assert {each.status for each in refused} == {501}


@pytest.mark.parametrize("port", ["platform", "inference"])
def test_what_is_answered_is_as_the_openapi_document_says(
    stack: ServedStack, outcomes: list[Outcome], port: str
) -> None:
    url = getattr(stack.thread, f"{port}_url")
    api = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for each in outcomes:
        if str(each.answer.request.url).startswith(url) and each.status != 501:
            request = each.answer.request
            operation = api.find_operation_by_path(request.method, request.url.path)
            assert operation is not None, each.request
            operation.validate_response(each.answer)


def test_the_table_in_the_docs_is_true(outcomes: list[Outcome], everything: list[str]) -> None:
    assert DOCUMENT.read_text("utf-8").startswith(rendered(outcomes, everything)), "run: make conformance"


@pytest.mark.parametrize(
    "path",
    ["/v1/guardrail/configs", "/v1/jobs", "/v1/data-designer/settings", "/v2/models", "/v1/intake/apps"],
)
def test_other_services_answer_501_and_name_what_exists(stack: ServedStack, path: str) -> None:
    answer = httpx.get(stack.thread.platform_url + path)
    assert answer.status_code == 501
    assert "get" in httpx.get(answer.json()["available"], timeout=60).json()["paths"]["/v1/models"]
    assert answer.headers["x-should-retry"] == "false"
