"""Routes of jobs: those of the jobs API, and those that each service has for its own jobs."""

from __future__ import annotations

import io
import mimetypes
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from starlette.responses import FileResponse, Response, StreamingResponse

from lawtags_client.json_value import JsonObject
from lawtags_stack.helix.files import StoredFile
from lawtags_stack.helix.filesets import Filesets
from lawtags_stack.helix.jobs.logs import JobLogs
from lawtags_stack.helix.jobs.states import ALL_STATES
from lawtags_stack.helix.jobs.store import JobStore
from lawtags_stack.helix.jobs.views import (
    generic_job,
    job_status,
    queued_step,
    service_job,
    shown_step,
    shown_task,
)
from lawtags_stack.helix.lists import ListKind, listed
from lawtags_stack.helix.refusals import HelixError, helix_error_response
from lawtags_stack.helix.routing import WORKSPACE, HelixCall, empty, helix_route
from lawtags_stack.helix.tables import split_reference
from lawtags_stack.http.bodies import LARGEST_JSON, read_limited
from lawtags_stack.http.ids import new_id
from lawtags_stack.http.operations import BINARY
from lawtags_stack.http.routing import ApiRoute, RouteCall, route

_TIMES = ("created_at", "-created_at", "updated_at", "-updated_at")
_OPAQUE = ("config", "custom_fields", "status_details", "error_details")
_JOBS = ListKind(
    fields=("source", "spec", "status"),
    nested=("spec",),
    sorts=(*_TIMES, "source", "-source"),
    size=10,
    opaque=(*_OPAQUE, "spec"),
)
_OF_BACKEND = ListKind(
    fields=("backend", "spec", "status"), nested=("spec",), sorts=_TIMES, size=10, opaque=_OPAQUE
)
_OF_SERVICE = ListKind(fields=("spec", "status"), nested=("spec",), sorts=_TIMES, size=10, opaque=_OPAQUE)
_STEPS = ListKind(sorts=_TIMES, sort="created_at", size=25, opaque=_OPAQUE, echo=("sort",))
_ROOT = f"/apis/jobs{WORKSPACE}/jobs"
_STEP_FILTER = re.compile(r"filter\[(status|source|job|task_cleanup_pending)\]\Z")
_COPY = 1 << 20
Render = Callable[[JsonObject], JsonObject]


class HelixJobRoutes:
    """The routes of jobs.

    Args:
        store: the jobs.
        logs: their log lines.
        filesets: the filesets with their results.
    """

    def __init__(self, store: JobStore, logs: JobLogs, filesets: Filesets) -> None:
        self._store = store
        self._logs = logs
        self._filesets = filesets

    def routes(self) -> list[ApiRoute]:
        """The routes of the jobs API, and those for log lines."""
        job, step = f"{_ROOT}/{{name}}", f"{_ROOT}/{{job}}/steps/{{name}}"
        task, result = f"{_ROOT}/{{job}}/steps/{{step}}/tasks/{{name}}", f"{_ROOT}/{{job}}/results/{{name}}"
        logs = f"/apis/files{WORKSPACE}/filesets/{{name}}/otlp/v1/logs"
        return [
            helix_route("POST", _ROOT, self._create, schema="CreateHelixJobRequest", status=201),
            helix_route("POST", f"{job}/pause", self._asker("pausing", generic_job)),
            helix_route("POST", f"{job}/resume", self._asker("resuming", generic_job)),
            helix_route("PATCH", f"{job}/status-details", self._add_details, any_object=True),
            helix_route("GET", f"{_ROOT}/-/steps", self._queue),
            helix_route("GET", f"{job}/steps", self._list_steps),
            helix_route("GET", step, self._read_step),
            helix_route("PATCH", f"{step}/status", self._move_step, schema="HelixJobStatusUpdateRequest"),
            helix_route("GET", f"{step}/tasks", self._list_tasks),
            helix_route("PUT", task, self._put_task, schema="HelixJobTaskUpdate"),
            helix_route("GET", task, self._read_task),
            helix_route("POST", result, self._add_result, schema="HelixJobResultCreateRequest", status=201),
            *self.of_service(_ROOT, None, generic_job, _JOBS),
            route(
                "POST", logs, self._receive_logs, reads=bytes, accepts=(BINARY,), answers=dict,
                on_error=helix_error_response,
            ),
            helix_route("POST", f"{logs}/query", self._query_logs, any_object=True),
        ]  # fmt: skip

    def of_backend(self, root: str, backend: str) -> list[ApiRoute]:
        """The routes that a backend of the customization service has for its jobs.

        Args:
            root: path of its list.
            backend: its name.
        """

        def render(job: JsonObject) -> JsonObject:
            if _backend_of(job) == backend:
                return service_job(job)
            reason = f"the job belongs to the backend {_backend_of(job)!r}, not to {backend!r}"
            raise HelixError(500, f"failed to render job config: {reason}")

        return self.of_service(root, lambda job: _backend_of(job) == backend, render, _OF_BACKEND)

    def of_source(self, root: str, source: str) -> list[ApiRoute]:
        """The routes that a service has for its jobs, which are those of one source.

        Args:
            root: path of its list.
            source: the service, as its jobs name it.
        """
        return self.of_service(root, lambda job: job["source"] == source, service_job, _OF_SERVICE)

    def of_service(
        self, root: str, belongs: Callable[[JsonObject], bool] | None, render: Render, kind: ListKind
    ) -> list[ApiRoute]:
        """The routes that every service has for its jobs.

        Args:
            root: path of the list.
            belongs: which jobs the list contains; None for all.
            render: the format of a job.
            kind: how the list behaves.
        """

        def list_jobs(call: HelixCall) -> JsonObject:
            """List jobs."""
            jobs = (each for each in self._store.within(call.workspace) if belongs is None or belongs(each))
            return listed(jobs, call.query, kind, seen=_seen, shown=render)

        def read(call: HelixCall) -> JsonObject:
            """Get a job by name or id."""
            return render(self._store.get(call.workspace, call.path["name"]))

        def status(call: HelixCall) -> JsonObject:
            """Get the state of a job, with its steps and tasks."""
            return job_status(self._store, self._store.get(call.workspace, call.path["name"]))

        def delete(call: HelixCall) -> Response:
            """Delete a finished job with its fileset."""
            self._store.delete(self._store.get(call.workspace, call.path["name"]))
            return empty()

        def read_logs(call: HelixCall) -> JsonObject:
            """Get log lines of a job's current attempt."""
            job = self._store.get(call.workspace, call.path["name"])
            filters = {"job": str(job["name"]), "job_attempt": str(job["attempt_id"])}
            for name, attribute in (("step_id", "job_step"), ("task_id", "job_task")):
                if name in call.request.query_params:
                    filters[attribute] = call.request.query_params[name]
            return self._logs.read(call.workspace, str(job["fileset"]), filters, call.query)

        def results(call: HelixCall) -> JsonObject:
            """List the results of a job, newest first."""
            job = self._store.get(call.workspace, call.path["name"])
            return {"data": [_with_url(call, root, job, each) for each in self._store.results.of(job)]}

        def result(call: HelixCall) -> JsonObject:
            """Get a result of a job."""
            job = self._store.get(call.workspace, call.path["job"])
            return _with_url(call, root, job, self._store.results.get(job, call.path["name"]))

        one, found = f"{root}/{{name}}", f"{root}/{{job}}/results/{{name}}"
        return [
            helix_route("GET", root, list_jobs),
            helix_route("GET", one, read),
            helix_route("DELETE", one, delete, status=204),
            helix_route("GET", f"{one}/status", status),
            helix_route("POST", f"{one}/cancel", self._asker("cancelling", render)),
            helix_route("GET", f"{one}/logs", read_logs),
            helix_route("GET", f"{one}/results", results),
            helix_route("GET", found, result),
            helix_route("GET", f"{found}/download", self._download),
        ]

    def _asker(self, wanted: str, render: Render) -> Callable[[HelixCall], JsonObject]:
        def ask(call: HelixCall) -> JsonObject:
            """Ask a job to be cancelled, paused or resumed; one that is final is unchanged."""
            job = self._store.get(call.workspace, call.path["name"])
            return render(self._store.request(job, wanted))

        return ask

    def _create(self, call: HelixCall) -> JsonObject:
        """Create a job from its steps."""
        spec, platform = call.body["spec"], call.body["platform_spec"]
        fields = call.body.get("custom_fields")
        assert isinstance(spec, dict)
        assert isinstance(platform, dict)
        job = self._store.create(
            call.workspace,
            str(call.body.get("name") or f"job-{new_id('').strip('-').lower()[:12]}"),
            source=str(call.body["source"]),
            spec=spec,
            platform_spec=platform,
            sent=call.body,
            custom_fields=fields if isinstance(fields, dict) else {},
        )
        return generic_job(job)

    def _add_details(self, call: HelixCall) -> Response:
        """Merge details into those of a job."""
        self._store.merge_details(self._store.get(call.workspace, call.path["name"]), call.sent)
        return _null()

    def _queue(self, call: HelixCall) -> JsonObject:
        """List the steps of all jobs in given states."""
        query, wanted = _step_query(call)
        steps = [
            each
            for each in self._store.all_steps()
            if call.workspace in ("-", each["workspace"])
            and each["status"] in wanted.get("status", [*ALL_STATES])
            and each["source"] in wanted.get("source", [each["source"]])
            and each["job"] in wanted.get("job", [each["job"]])
        ]
        page = listed(steps, query, _STEPS, shown=queued_step)
        echo: JsonObject = {name: each if name == "status" else each[0] for name, each in wanted.items()}
        return {**page, "filter": echo}

    def _list_steps(self, call: HelixCall) -> JsonObject:
        """List the steps of a job that have begun."""
        job = self._store.get(call.workspace, call.path["name"])
        page = listed(self._store.steps(job), call.query, _STEPS, shown=queued_step)
        return {**page, "filter": {"job": job["name"]}}

    def _read_step(self, call: HelixCall) -> JsonObject:
        """Get a step of a job."""
        return shown_step(self._store.step(call.workspace, call.path["job"], call.path["name"])[1])

    def _move_step(self, call: HelixCall) -> JsonObject:
        """Move a step to another state."""
        return shown_step(
            self._store.update_step(call.workspace, call.path["job"], call.path["name"], call.body)
        )

    def _list_tasks(self, call: HelixCall) -> JsonObject:
        """List the tasks of a step."""
        _, step = self._store.step(call.workspace, call.path["job"], call.path["name"])
        return listed(map(shown_task, self._store.tasks(step)), call.query, _STEPS)

    def _put_task(self, call: HelixCall) -> JsonObject:
        """Create or update a task of a step."""
        path = call.path
        found = self._store.put_task(call.workspace, path["job"], path["step"], path["name"], call.body)
        return shown_task(found)

    def _read_task(self, call: HelixCall) -> JsonObject:
        """Get a task of a step."""
        _, step = self._store.step(call.workspace, call.path["job"], call.path["step"])
        found = self._store.task(step, call.path["name"])
        if found is None:
            raise HelixError(404, f"Task '{call.path['name']}' not found in step '{call.path['step']}'.")
        return shown_task(found)

    def _add_result(self, call: HelixCall) -> JsonObject:
        """Register a result of a job; its address is not checked before a download."""
        job = self._store.get(call.workspace, call.path["job"])
        url, storage = str(call.body["artifact_url"]), str(call.body["artifact_storage_type"])
        return {**self._store.results.add(job, call.path["name"], url, storage), "download_url": None}

    def _download(self, call: HelixCall) -> Response:
        """Download a result; a folder as .tar.gz."""
        job = self._store.get(call.workspace, call.path["job"])
        result = self._store.results.get(job, call.path["name"])
        reference, _, path = str(result["artifact_url"]).partition("#")
        workspace, fileset = split_reference(reference, call.workspace)
        self._filesets.get(workspace, fileset)
        files = [*self._filesets.files.within(workspace, fileset, path)]
        exact = [each for each in self._filesets.files.within(workspace, fileset) if each.path == path]
        if exact:
            name = path.rsplit("/", 1)[-1]
            media = mimetypes.guess_type(name)[0] or BINARY
            return FileResponse(self._path(exact[0]), media_type=media, filename=name)
        if not files:
            raise HelixError(404, f"File '{path}' not found in fileset '{workspace}/{fileset}'")
        name = f"{path.rstrip('/').rsplit('/', 1)[-1] or fileset}.tar.gz"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(self._archive(files, path), 200, headers, "application/x-tar")

    def _archive(self, files: list[StoredFile], folder: str) -> Iterator[bytes]:
        """A .tar.gz of files, in chunks."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w|gz") as archive:
            for file in files:
                member = tarfile.TarInfo(file.path.removeprefix(f"{folder.strip('/')}/"))
                member.size = file.size
                with self._path(file).open("rb") as stream:
                    archive.addfile(member, stream)
                if buffer.tell() > _COPY:
                    yield buffer.getvalue()
                    buffer.seek(0)
                    buffer.truncate()
        yield buffer.getvalue()

    def _path(self, file: StoredFile) -> Path:
        return self._filesets.files.blobs.path(file.sha256)

    async def _receive_logs(self, call: RouteCall) -> JsonObject:
        """Receive log lines in OTLP's JSON."""
        from starlette.concurrency import run_in_threadpool

        workspace, fileset = call.path["workspace"], call.path["name"]
        if "protobuf" in call.request.headers.get("content-type", ""):
            raise HelixError(415, "This stack reads OTLP as JSON. Send application/json.")
        body = await read_limited(call.request, LARGEST_JSON)
        await run_in_threadpool(self._filesets.get, workspace, fileset)
        return await run_in_threadpool(self._logs.receive, workspace, fileset, body)

    def _query_logs(self, call: HelixCall) -> JsonObject:
        """Search the log lines in a fileset."""
        self._filesets.get(call.workspace, call.path["name"])
        sent = call.sent.get("filters")
        known = ("job", "job_attempt", "job_step", "job_task")
        pairs = sent.items() if isinstance(sent, dict) else ()
        filters = {name: str(each) for name, each in pairs if name in known and each is not None}
        query = [
            (name, str(call.sent[name]))
            for name in ("limit", "page_cursor", "tail")
            if call.sent.get(name) is not None
        ]
        return self._logs.read(call.workspace, call.path["name"], filters, query)


def _step_query(call: HelixCall) -> tuple[list[tuple[str, str]], dict[str, list[str]]]:
    """The parameters of a list of steps: page and order, and the filter."""
    query: list[tuple[str, str]] = []
    wanted: dict[str, list[str]] = {}
    for name, value in call.query:
        found = _STEP_FILTER.match(name)
        if found is None:
            query.append((name, value))
        else:
            wanted[found[1]] = value.split(",")
    states = wanted.get("status")
    if states is not None and (len(states) < 2 or not set(states) <= {*ALL_STATES}):
        raise HelixError(
            422,
            "The request contains invalid values. filter.status: Input should be a valid list Expected one "
            f"or more of: {', '.join(ALL_STATES)}..",
        )
    return query, wanted


def _seen(job: JsonObject) -> JsonObject:
    return {**job, "backend": _backend_of(job)}


def _backend_of(job: JsonObject) -> str:
    spec = job["spec"]
    backend = spec.get("backend") if isinstance(spec, dict) else None
    return str(backend) if job["source"] == "customization" else ""


def _with_url(call: HelixCall, root: str, job: JsonObject, result: JsonObject) -> JsonObject:
    base = str(call.request.base_url).rstrip("/")
    path = root.replace("{workspace}", str(job["workspace"]))
    url = f"{base}{path}/{job['name']}/results/{result['name']}/download"
    return {**result, "download_url": url}


def _null() -> Response:
    return Response(b"null", media_type="application/json")
