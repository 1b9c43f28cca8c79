"""A model is served once the gateway routes to it, which is some seconds after a provider lists it."""

from __future__ import annotations

import httpx
import pytest
from simulated_time import simulate, simulated_clock

from lawtags_client.errors import WaitTimeoutError
from lawtags_client.helix.client import Helix

ADAPTER = "law/base&adapters/law/tagger"
PAGE = {"page": 1, "page_size": 100, "current_page_size": 1, "total_pages": 1, "total_results": 1}


def gateway(answers: list[int]) -> tuple[httpx.MockTransport, list[str]]:
    """A platform whose provider has the adapter, and what its gateway answers; the last answer stays."""
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/providers"):
            served = [{"model_entity_id": ADAPTER, "served_model_name": "law--tagger"}]
            provider = {"name": "p", "workspace": "law", "served_models": served, "status": "READY"}
            return httpx.Response(200, json={"data": [provider], "pagination": PAGE})
        asked.append(request.url.path)
        status = answers.pop(0) if len(answers) > 1 else answers[0]
        if status == 200:
            return httpx.Response(200, json={"choices": [{"index": 0, "text": " a"}]})
        detail = "Model entity not found for base model law/base with adapter law/tagger"
        return httpx.Response(status, json={"detail": detail})

    return httpx.MockTransport(handle), asked


async def wait(answers: list[int], timeout: float) -> list[str]:
    handler, asked = gateway(answers)
    async with Helix(
        base_url="http://helix.test", workspace="law", handler=handler, clock=simulated_clock(), max_retries=0
    ) as helix:
        await helix.gateway.models().served(ADAPTER, timeout=timeout)
    return asked


def test_a_route_that_comes_late_is_waited_for() -> None:
    asked = simulate(lambda: wait([404, 404, 200], timeout=60))
    assert len(asked) == 3
    assert all(path.endswith("/openai/-/v1/completions") for path in asked)


@pytest.mark.parametrize("status", [400, 422, 424, 500])
def test_another_answer_is_left_to_the_real_questions(status: int) -> None:
    assert len(simulate(lambda: wait([status], timeout=60))) == 1


def test_a_route_that_never_comes_is_an_error_that_says_so() -> None:
    with pytest.raises(WaitTimeoutError, match="the gateway has no route to it after 30 s"):
        simulate(lambda: wait([404], timeout=30))
