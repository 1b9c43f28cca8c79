"""Replays the whole recording against an embedded stack, with the model servers behind its gateway."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

from dialect_replay import Outcome, Replay
from model_server import ModelServer, model_server
from served_stack import wait_for
from shared_launcher import shared_launcher
from transcripts import Exchange, exchanges

from lawtags_stack.helix import service as helix_service
from lawtags_stack.helix.service import HelixService
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

# The recorded addresses of model servers, with their models.
_SERVERS = {
    "http://127.0.0.1:32925": ("stub/gemma-2-2b-it", "lawtags--law-lora"),
    "http://127.0.0.1:36817": ("lawtags/gemma-2-2b-it", "lawtags--law-lora"),
    "http://127.0.0.1:39353": ("gemma-named", "lora-named"),
    "http://127.0.0.1:38825": ("stub/gemma-2-2b-it", "lawtags--law-lora"),
}
# Before these exchanges the recording waited for the platform to look at its providers and deployments.
_WAITED = {359, 364, 385, 394, 427, 434, 442}


def replay_recording(folder: Path) -> list[Outcome]:
    """Replay all exchanges in order.

    Args:
        folder: of the stack.
    """
    # Providers are asked for their models where the recording waited for it.
    options = StackOptions(dialect="helix", refresh_interval=3600)
    with ExitStack() as cleanup:
        # A deleted workspace keeps its contents: the recording asked for them at times of its own.
        cleanup.enter_context(mock.patch.object(helix_service, "_PURGE_SECONDS", 3600.0))
        servers = {
            url: cleanup.enter_context(model_server(base, adapter))
            for url, (base, adapter) in _SERVERS.items()
        }
        stack = StackThread(folder, options=options, launcher=shared_launcher())
        cleanup.enter_context(stack)
        replay = Replay(stack.platform_url, str(folder), lambda text: _renamed(text, servers))
        found = []
        for each in exchanges():
            if each.note == "at the end":
                _wait_until_final(replay, each)
            if each.number in _WAITED:
                _look_at_providers(stack)
            found.append(replay.one(each))
        return found


def _look_at_providers(stack: StackThread) -> None:
    """Let the stack ask its providers once what they serve."""
    [helix] = [each for each in stack.stack.services if isinstance(each, HelixService)]
    asyncio.run_coroutine_threadsafe(helix.discovery.run(), stack.loop).result(120)


def _wait_until_final(replay: Replay, exchange: Exchange) -> None:
    """Wait until the job whose state an exchange asks for is final."""
    wait_for(lambda: replay.one(exchange).answer.get("status") in ("completed", "error", "cancelled", None))


def _renamed(text: str, servers: dict[str, ModelServer]) -> str:
    for recorded, server in servers.items():
        text = text.replace(recorded, server.url)
    return text
