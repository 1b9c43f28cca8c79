"""A model may take longer to start than a service is allowed to be silent for."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from client_kit import StillTime, client

from lawtags_client.errors import ConfigurationError, WaitTimeoutError

LOADING = 800.0


def starting(time: StillTime) -> httpx.MockTransport:
    """A server that answers nothing but 503 while it loads its weights."""

    def answer(_: httpx.Request) -> httpx.Response:
        if time.seconds < LOADING:
            return httpx.Response(503)
        return httpx.Response(200, json={"object": "list", "data": [{"id": "law/tagger", "object": "model"}]})

    return httpx.MockTransport(answer)


async def test_model_is_awaited_for_the_whole_time_even_if_nothing_answers(tmp_path: Path) -> None:
    time = StillTime()
    nemo = client(starting(time).handle_request, tmp_path, time, max_retries=0)
    assert await nemo.inference.served("law/tagger", timeout=900) == "law/tagger"
    assert time.seconds >= LOADING
    with pytest.raises(WaitTimeoutError, match="law/other"):
        await nemo.inference.served("law/other", timeout=0)
    with pytest.raises(ConfigurationError, match="timeout is not a number"):
        await nemo.inference.served("law/tagger", timeout=float("nan"))
