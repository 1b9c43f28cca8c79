"""One intent, one job: when the looking fails, when much has happened since, when the task is cancelled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from client_kit import PLATFORM, StillTime, client
from small_customizer import SmallCustomizer

from lawtags_client.client import NeMo
from lawtags_client.errors import (
    AuthenticationError,
    ConflictError,
    DoubtfulOutcomeError,
    LawtagsError,
    UnprocessableError,
)
from lawtags_client.intents import SqliteIntents
from lawtags_client.settings import Settings
from lawtags_client.types.customizer import CustomizationJobRequest, Hyperparameters

NAMED = CustomizationJobRequest(
    config="a/b@v1",
    dataset="law/tags",
    hyperparameters=Hyperparameters(finetuning_type="lora", epochs=2),
    output_model="law/tagger",
)
NAMELESS = NAMED.model_copy(update={"output_model": None})


@pytest.fixture
def server() -> SmallCustomizer:
    return SmallCustomizer()


def nemo_for(server: SmallCustomizer, folder: Path) -> NeMo:
    return client(server, folder, StillTime(), max_retries=0)


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
@pytest.mark.parametrize("request_", [NAMED, NAMELESS], ids=["named", "nameless"])
async def test_lost_reply_followed_by_an_unreadable_list_leaves_one_job(
    server: SmallCustomizer, tmp_path: Path, status: int, request_: CustomizationJobRequest
) -> None:
    server.fault, server.blind = "lose reply", status
    with pytest.raises(DoubtfulOutcomeError, match="Could not check whether a job was created"):
        await nemo_for(server, tmp_path).customizer.submit(request_)
    server.blind = None
    job = await nemo_for(server, tmp_path).customizer.submit(request_)
    assert (list(server.jobs), server.posts) == ([job.id], 1)


async def test_name_taken_by_a_late_request_of_its_own_is_found_once_the_list_can_be_read(
    server: SmallCustomizer, tmp_path: Path
) -> None:
    server.fault, server.blind = "lose reply", 401
    with pytest.raises(DoubtfulOutcomeError):
        await nemo_for(server, tmp_path).customizer.submit(NAMED)
    # The job is left out of the list for a while, and yet its name is taken.
    hidden, server.jobs = server.jobs, {}
    server.blind = None
    taken = httpx.Response(409, json={"detail": "exists"})

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            server.jobs, server.blind = hidden, 401
            return taken
        return server(request)

    with pytest.raises(AuthenticationError):
        await client(answer, tmp_path, StillTime(), max_retries=0).customizer.submit(NAMED)
    server.blind = None
    job = await nemo_for(server, tmp_path).customizer.submit(NAMED)
    assert [job.id] == list(server.jobs)


async def test_job_is_found_after_hundreds_of_later_submissions(
    server: SmallCustomizer, tmp_path: Path
) -> None:
    server.now = (await _intent_time(server, tmp_path)).isoformat()
    before = server.posts
    for number in range(450):
        server.jobs[f"cust-other-{number}"] = {"id": f"cust-other-{number}", "created_at": server.now}
    job = await nemo_for(server, tmp_path).customizer.submit(NAMELESS)
    assert (job.id, server.posts) == ("cust-0", before)


async def test_looking_ends_at_jobs_that_are_older_than_the_intent(
    server: SmallCustomizer, tmp_path: Path
) -> None:
    for number in range(1000):
        old = {"id": f"cust-old-{number}", "created_at": "2001-01-01T00:00:00"}
        server.jobs[f"cust-old-{number}"] = old
    lists = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal lists
        lists += request.url.path.endswith("/jobs") and request.method == "GET"
        return server(request)

    server.fault = "lose request"
    nemo = client(answer, tmp_path, StillTime(), max_retries=0)
    with pytest.raises(DoubtfulOutcomeError):
        await nemo.customizer.submit(NAMELESS)
    assert lists == 3 * 2  # three looks of two pages


async def test_refusal_that_names_nothing_of_ours_leaves_the_key_free(
    server: SmallCustomizer, tmp_path: Path
) -> None:
    taken = NAMED.model_copy(update={"output_model": "law/tagger@v1"})
    await nemo_for(server, tmp_path / "one").customizer.submit(taken)
    other = taken.model_copy(update={"dataset": "law/others"})
    nemo = nemo_for(server, tmp_path / "two")
    with pytest.raises(ConflictError, match="dataset"):
        await nemo.customizer.submit(other, key="mine")
    renamed = other.model_copy(update={"output_model": "law/tagger@v2"})
    assert (await nemo.customizer.submit(renamed, key="mine")).output_model == "law/tagger@v2"


async def test_cancelled_submission_releases_its_lock_and_is_found_again(
    server: SmallCustomizer, tmp_path: Path
) -> None:
    posted = asyncio.Event()

    class Hangs(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            server(request)
            posted.set()
            await asyncio.Event().wait()
            raise AssertionError

    settings = Settings(platform_url=PLATFORM)
    store = SqliteIntents(tmp_path / "intents.sqlite")
    async with NeMo(settings, intents=store, handler=Hangs()) as nemo:
        task = asyncio.create_task(nemo.customizer.submit(NAMED))
        async with asyncio.timeout(10):
            await posted.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    (intent,) = store.all()
    with store.lock(intent.key):
        pass
    job = await nemo_for(server, tmp_path).customizer.submit(NAMED)
    assert (list(server.jobs), server.posts) == ([job.id], 1)


async def test_clear_refusal_frees_the_key_and_other_errors_do_not(
    server: SmallCustomizer, tmp_path: Path
) -> None:
    nemo = nemo_for(server, tmp_path)
    store = SqliteIntents(tmp_path / "intents.sqlite")
    server.fault = "refuse"
    with pytest.raises(UnprocessableError):
        await nemo.customizer.submit(NAMED)
    assert store.all() == []
    server.fault = "lose request"
    with pytest.raises(LawtagsError):
        await nemo.customizer.submit(NAMED)
    assert len(store.all()) == 1


async def _intent_time(server: SmallCustomizer, folder: Path):  # type: ignore[no-untyped-def]
    """Submit, lose the answer and the sight of the job; when the intent was written down."""
    server.fault, server.blind = "lose reply", 500
    with pytest.raises(DoubtfulOutcomeError):
        await nemo_for(server, folder).customizer.submit(NAMELESS)
    server.blind = None
    (intent,) = SqliteIntents(folder / "intents.sqlite").all()
    return intent.created_at
