"""A run begins before its platform answers, and asks it what it is once it is needed."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import httpx
import pytest
from shared_launcher import shared_launcher

from lawtags_client.client import NeMo
from lawtags_client.errors import ConnectionFailedError, LawtagsError, NotFoundError
from lawtags_client.intents import SqliteIntents
from lawtags_client.platform.choice import run_platform, speaks_helix
from lawtags_client.settings import Settings
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread


@pytest.fixture
def port() -> int:
    """A port at which nothing answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        number: int = server.getsockname()[1]
    return number


def client(port: int, folder: Path, *, max_retries: int = 0) -> NeMo:
    settings = Settings(platform_url=f"http://127.0.0.1:{port}", max_retries=max_retries, trust_env=False)
    return NeMo(settings, intents=SqliteIntents(folder / "intents.sqlite"))


async def test_a_platform_that_is_not_needed_may_be_down(port: int, tmp_path: Path) -> None:
    async with client(port, tmp_path) as nemo, run_platform(nemo) as platform:
        # Each call tries again, and says what is wrong.
        for _ in range(2):
            with pytest.raises(ConnectionFailedError, match=f"127.0.0.1:{port}"):
                await platform.cancel("law/tagger")


@pytest.mark.parametrize("dialect", ["helix", "v1"])
async def test_a_platform_that_starts_late_is_not_taken_for_the_other_one(
    dialect: str, port: int, tmp_path: Path
) -> None:
    async with client(port, tmp_path, max_retries=5) as nemo, run_platform(nemo) as platform:
        options = StackOptions(dialect=dialect)  # type: ignore[arg-type]
        stack = StackThread(
            tmp_path / "stack", platform_port=port, options=options, launcher=shared_launcher()
        )

        async def refused(job: str) -> LawtagsError:
            with pytest.raises(LawtagsError) as refusal:
                async for _ in platform.follow(job, timeout=60, stall=60):
                    pass
            return refusal.value

        with stack:
            # Two calls at once ask once.
            found = await asyncio.gather(refused("law/tagger"), refused("law/other"))
    # Only Helix has jobs with a slash.
    assert {isinstance(each, NotFoundError) for each in found} == {dialect == "helix"}, found


async def test_a_job_is_followed_and_a_model_awaited_through_an_outage(port: int, tmp_path: Path) -> None:
    # No call is repeated: what waits, waits for the platform itself.
    async with client(port, tmp_path) as nemo, run_platform(nemo) as platform:

        async def refused() -> LawtagsError:
            with pytest.raises(LawtagsError) as refusal:
                async for _ in platform.follow("law/tagger", timeout=60, stall=60):
                    pass
            return refusal.value

        following = asyncio.create_task(refused())
        waiting = asyncio.create_task(platform.served("law/tagger", timeout=60))
        await asyncio.sleep(1)
        assert not following.done() and not waiting.done()
        options = StackOptions(dialect="helix")
        with StackThread(tmp_path / "stack", platform_port=port, options=options, launcher=shared_launcher()):
            found = await following
            waiting.cancel()
    assert isinstance(found, NotFoundError), found


async def test_a_platform_of_v1_that_starts_while_it_is_asked_is_one_of_v1() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if len(asked) == 1:
            raise httpx.ConnectError("it is starting")
        return httpx.Response(501, json={"detail": "not part of this platform"})

    settings = Settings(platform_url="http://nemo.test", max_retries=0)
    assert not await speaks_helix(settings, training=True, handler=httpx.MockTransport(answer))
    assert len(asked) > 1
