"""A server, or a proxy before it, that repeats what it was sent."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import httpx
import pytest

from lawtags_client import NeMo
from lawtags_client.errors import LawtagsError
from lawtags_client.transport.hooks import ResponseEvent

TOKEN, HEADER, HOOK = "token-5c1d0e77", "header-90ab12cd", "hook-77ffe012"
SECRETS = (TOKEN, HEADER, HOOK)
SAID = " ".join(SECRETS)
FILL = "x" * 190  # the secrets begin before the place where messages are cut, and end behind it

Reply = Callable[[int], httpx.Response]
REPLIES: dict[str, Reply] = {
    "title": lambda status: httpx.Response(status, html=f"<html><title>{SAID}</title></html>"),
    "page": lambda status: httpx.Response(status, html=f"<html>{FILL}{SAID}</html>"),
    "text": lambda status: httpx.Response(status, text=FILL + SAID),
    "json": lambda status: httpx.Response(status, json={"detail": f"\x1b[31m{SAID}"}),
    "list": lambda status: httpx.Response(status, json=[SAID, {SAID: SAID}]),
    "reason": lambda status: httpx.Response(status, extensions={"reason_phrase": SAID.encode()}),
    "id": lambda status: httpx.Response(
        status, headers=[(b"x-request-id", b"\xff\x1b[31m" + FILL.encode() + SAID.encode())], text="no"
    ),
    "type": lambda status: httpx.Response(status, headers={"content-type": SAID}, content=b"no"),
}


@pytest.mark.parametrize("status", [200, 400, 401, 404, 418, 422, 500, 502])
@pytest.mark.parametrize("place", REPLIES)
async def test_secrets_that_a_server_repeats_are_shown_nowhere(
    place: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    events: list[ResponseEvent] = []

    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.headers["authorization"], request.headers["x-key"]) == (f"Bearer {TOKEN}", HEADER)
        assert request.headers["x-hook"] == HOOK
        return REPLIES[place](status)

    async with NeMo(
        base_url="http://127.0.0.1:9",
        token=TOKEN,
        headers={"x-key": HEADER},
        max_retries=0,
        handler=httpx.MockTransport(answer),
        event_hooks={"request": [lambda _: {"x-hook": HOOK}], "response": [events.append]},
    ) as nemo:
        with pytest.raises(LawtagsError) as caught:
            await nemo.customizer.jobs.get("cust-1")
    error = caught.value
    assert events
    shown = [str(error), repr(error), json.dumps(error.as_dict()), repr(events), caplog.text]
    for text in shown:
        for secret in SECRETS:
            assert secret[:10] not in text, text
    assert "\x1b" not in str(error)
