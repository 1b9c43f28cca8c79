"""Bringing evaluation jobs of either version to an early end."""

from __future__ import annotations

from lawtags_client.errors import BadRequestError
from lawtags_stack.services.evaluator.queue import Runner
from lawtags_stack.services.evaluator.records import EvaluationRecord
from lawtags_stack.services.evaluator.state import EvaluatorState


def cancel(state: EvaluatorState, runner: Runner, job: EvaluationRecord) -> EvaluationRecord:
    """End a job; gives it as it stands then.

    Raises:
        BadRequestError: it has come to an end already.
    """
    if job.final:
        raise BadRequestError(f"Evaluation job {job.id} is {job.status} and cannot be cancelled")
    runner.cancel(job.id)
    return state.stored(job.id)


def remove(state: EvaluatorState, runner: Runner, job: EvaluationRecord) -> None:
    """Forget a job and all it left; it is ended first where it is at work."""
    if not job.final:
        runner.cancel(job.id)
    state.job_delete(job.id)
    runner.forget(job.id)
