"""What carries out jobs in place of the platform's own executors: it moves steps, and reports on tasks.

Helix creates the next step when one is completed, with the config that was planned; the last one completes
the job. Claims are not exclusive: two that move a step to ``pending`` both succeed, so that runners need a
claim of their own (``claim``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lawtags_client.errors import ConflictError
from lawtags_client.helix.collection import Place
from lawtags_client.helix.jobs import HelixJobs
from lawtags_client.helix.names import check_name
from lawtags_client.helix.types.jobs import (
    JobResult,
    JobState,
    JobStep,
    JobTask,
    LogLine,
    QueuedStep,
    ResultRequest,
    StepUpdate,
    TaskUpdate,
)
from lawtags_client.json_value import JsonValue
from lawtags_client.services.parsing import parse
from lawtags_client.transport.call import Call
from lawtags_client.transport.paths import join

Details = Mapping[str, JsonValue]

_DIGITS = 20


class StepCalls(HelixJobs):
    """The calls of a runner, beside those of all jobs.

    Args:
        place: where requests go.
    """

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._logged = 0

    async def move_step(
        self,
        reference: str,
        step: str,
        state: JobState,
        *,
        details: Details | None = None,
        error: Details | None = None,
        expected_id: str | None = None,
    ) -> JobStep:
        """Move a step to a state.

        Args:
            reference: the job, ``workspace/name``.
            step: its name.
            state: the new state; the same one again changes nothing.
            details: merged into the step's details, key by key.
            error: why it failed: ``message``, ``type``, ``detail``.
            expected_id: the step's id; that of another attempt is refused.

        Raises:
            ConflictError: the step cannot go to this state from its own, such as out of ``cancelling``.
            NotFoundError: the step does not exist yet, or the job is gone.
        """
        update = StepUpdate(status=state)
        if details is not None:
            update.status_details = dict(details)
        if error is not None:
            update.error_details = dict(error)
        if expected_id is not None:
            update.expected_step_id = expected_id
        path = f"{self._of(reference)}/steps{join(step)}/status"
        data = await self._place.http.json(Call("PATCH", path, json=update.to_wire()))
        return await parse(JobStep, data, self._place.http)

    async def report(
        self,
        reference: str,
        step: str,
        task: str,
        state: JobState,
        *,
        details: Details | None = None,
        error: Details | None = None,
        stack: str | None = None,
    ) -> JobTask:
        """Create or update a task of a step; its details are copied to those of the job.

        Args:
            reference: the job, ``workspace/name``.
            step: its step.
            task: a name for the process that reports.
            state: of the task; one that it cannot go to is passed over silently.
            details: merged into the task's details, key by key, so that a series is sent whole.
            error: why it failed.
            stack: a traceback.
        """
        update = TaskUpdate(status=state)
        if details is not None:
            update.status_details = dict(details)
        if error is not None:
            update.error_details = dict(error)
        if stack is not None:
            update.error_stack = stack
        path = f"{self._of(reference)}/steps{join(step)}/tasks{join(task)}"
        data = await self._place.http.json(Call("PUT", path, json=update.to_wire()))
        return await parse(JobTask, data, self._place.http)

    async def add_details(self, reference: str, details: Details) -> None:
        """Merge details into those of a job, also after its end."""
        await self._place.http.json(
            Call("PATCH", f"{self._of(reference)}/status-details", json=dict(details))
        )

    async def add_result(self, reference: str, name: str, artifact_url: str) -> JobResult:
        """Register a result of a job.

        Args:
            reference: the job.
            name: of the result.
            artifact_url: ``workspace/fileset#path``; it is not checked before a download.

        Raises:
            ConflictError: the job has a result of that name.
        """
        body = ResultRequest(artifact_url=artifact_url).to_wire()
        path = f"{self._of(reference)}/results{join(check_name(name, 'result'))}"
        return await parse(
            JobResult, await self._place.http.json(Call("POST", path, json=body)), self._place.http
        )

    async def claim(self, reference: str, step: str, runner: str) -> bool:
        """Take a step for one runner alone, by a result of the job that can exist once.

        Args:
            reference: the job, ``workspace/name``.
            step: its name.
            runner: who takes it; the same one may claim again after a crash.

        Returns:
            Whether the step belongs to this runner.
        """
        name, mark = f"claim-{step}", f"runner:{runner}"
        try:
            await self.add_result(reference, name, mark)
        except ConflictError:
            return (await self.result(reference, name)).artifact_url == mark
        return True

    async def send_logs(self, step: QueuedStep, task: str, lines: Sequence[LogLine]) -> int:
        """Add lines to a job's log.

        Args:
            step: as the queue lists it, with its fileset and attempt.
            task: the task that wrote the lines.
            lines: text and timestamp; those without one get the time of the call. Times that do not increase
                are moved by microseconds, since Helix pages through a log by time.

        Returns:
            How many lines the platform refused.
        """
        if not lines:
            return 0
        attributes = {
            "job": step.job,
            "job_attempt": step.attempt_id or "",
            "job_step": step.name,
            "job_task": task,
        }
        records: list[JsonValue] = [
            {
                "timeUnixNano": str(self._stamp(line) * 1000),
                "severityText": "INFO",
                "body": {"stringValue": line.message},
            }
            for line in lines
        ]
        resource: JsonValue = {
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
        }
        body: dict[str, JsonValue] = {
            "resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": records}]}]
        }
        fileset = step.fileset or f"job-fileset-{step.job}"
        path = f"{self._place.path('files', step.workspace)}/filesets{join(fileset)}/otlp/v1/logs"
        # A line that appears twice is better than one that is missing.
        data = await self._place.http.json(Call("POST", path, json=body, repeatable=True))
        partial = data.get("partialSuccess") if isinstance(data, dict) else None
        refused = partial.get("rejectedLogRecords") if isinstance(partial, dict) else 0
        # OTLP spells numbers of 64 bits as text.
        if isinstance(refused, str):
            return int(refused) if refused.isascii() and refused.isdigit() and len(refused) < _DIGITS else 0
        return refused if isinstance(refused, int) else 0

    def _stamp(self, line: LogLine) -> int:
        """The microsecond of a line, later than that of the line before.

        Helix pages through a log by time: of lines of one moment it may show some twice and others never.
        """
        moment = line.timestamp or self._place.clock.now()
        self._logged = max(int(moment.timestamp() * 1_000_000), self._logged + 1)
        return self._logged
