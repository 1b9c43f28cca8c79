"""How many training jobs of a platform are in which state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from lawtags_client.client import NeMo
from lawtags_client.helix.client import Helix
from lawtags_client.platform.choice import speaks_helix

_MOST_JOBS = 1000


async def count_job_states(nemo: NeMo) -> Mapping[str, int]:
    """Count the newest jobs by state, at most a thousand.

    Raises:
        LawtagsError: the platform does not answer.
    """
    found: Counter[str] = Counter()
    if await speaks_helix(nemo.settings):
        async with Helix(nemo.settings) as helix:
            async for job in helix.jobs.list(workspace="-"):
                found[str(job.status or "unknown")] += 1
                if found.total() == _MOST_JOBS:
                    break
        return found
    async for training in nemo.customizer.jobs.list(sort="-created_at"):
        found[training.status or "unknown"] += 1
        if found.total() == _MOST_JOBS:
            break
    return found
