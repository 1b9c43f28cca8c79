"""Cancels and deletes evaluation jobs of either API version."""

from __future__ import annotations

from lawtags_client.errors import BadRequestError
from lawtags_stack.services.evaluator.queue import EvaluationQueue
from lawtags_stack.services.evaluator.records import EvaluationRecord
from lawtags_stack.services.evaluator.state import EvaluatorState


def cancel(state: EvaluatorState, runner: EvaluationQueue, job: EvaluationRecord) -> EvaluationRecord:
    """Cancel a job, and return its updated record.

    Raises:
        BadRequestError: it has already ended.
    """
    if job.final:
        raise BadRequestError(f"Evaluation job {job.id} is {job.status} and cannot be cancelled")
    runner.cancel(job.id)
    return state.stored(job.id)


def remove(state: EvaluatorState, runner: EvaluationQueue, job: EvaluationRecord) -> None:
    """Delete a job and all its data; cancels it first if it is running."""
    if not job.final:
        runner.cancel(job.id)
    state.job_delete(job.id)
    runner.forget(job.id)
