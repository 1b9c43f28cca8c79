"""What a run is told when its training job has gone quiet."""

from __future__ import annotations

from lawtags_client.errors import JobStalledError, LawtagsError, WaitTimeoutError

_CONTINUES = "The job continues and may be waiting for a free GPU. Repeat the command to resume."


def silent_job(
    job_id: str, status: str | None, *, stall: float, late: bool, hint: str = _CONTINUES
) -> LawtagsError:
    """The error of a job that is still running, but is not waited for any longer.

    Args:
        job_id: the job.
        status: its last known state.
        stall: seconds without any sign of progress.
        late: whether the time for the whole training is over.
        hint: what to do about a job that stalls.
    """
    if late:
        return WaitTimeoutError(
            f"{job_id} is still {status} after the time limit",
            hint="The job continues. Repeat the command to resume.",
        )
    return JobStalledError(
        f"{job_id} is {status} and has made no progress for {stall:.0f} s", job_id=job_id, hint=hint
    )
