"""The beginning of a job's id is enough where no other id begins with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from lawtags_client.errors import ConfigurationError, NotFoundError
from lawtags_client.platform.training_jobs import JobRow, PlatformJobs, with_complete_id

IDS = ("cust-AbC123", "cust-AbD456", "law/tagger-1f2e")


class Listed:
    """The list of a platform's jobs."""

    async def list(self, *, status: str | None, namespace: str | None, limit: int) -> Sequence[JobRow]:
        return [JobRow(each, None, None, None, None, None, None) for each in IDS][:limit]


async def look_up(name: str) -> str:
    if name not in IDS:
        raise NotFoundError(f"there is no {name}", status=404)
    return name


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("cust-AbC123", IDS[0]),
        ("cust-AbC", IDS[0]),
        ("AbD", IDS[1]),
        ("law/tagger", IDS[2]),
    ],
)
async def test_a_beginning_finds_the_job(given: str, found: str) -> None:
    assert await with_complete_id(cast(PlatformJobs, Listed()), given, look_up) == found


@pytest.mark.parametrize("given", ["cust-X", "", "tagger"])
async def test_an_unknown_beginning_is_what_the_platform_says(given: str) -> None:
    with pytest.raises(NotFoundError, match="there is no"):
        await with_complete_id(cast(PlatformJobs, Listed()), given, look_up)


async def test_an_unclear_beginning_is_refused_with_the_ids() -> None:
    with pytest.raises(ConfigurationError, match="2 jobs begin with 'cust-Ab'") as caught:
        await with_complete_id(cast(PlatformJobs, Listed()), "cust-Ab", look_up)
    assert "cust-AbD456" in (caught.value.hint or "")
