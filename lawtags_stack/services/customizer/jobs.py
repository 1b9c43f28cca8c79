"""Training jobs: create, list, read and cancel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from lawtags_client.errors import ConflictError, NotFoundError
from lawtags_client.json_value import JsonObject
from lawtags_client.types.common import FINAL_JOB_STATES
from lawtags_stack.http.query import ListQuery
from lawtags_stack.http.select import EntityPage, select
from lawtags_stack.service import StackContext
from lawtags_stack.services.customizer.configs import Configs
from lawtags_stack.services.customizer.creation import JobResolver, build_job, claim_output, validate_job
from lawtags_stack.services.customizer.points import MetricPoints
from lawtags_stack.services.customizer.protocols import CustomizerDataStore, CustomizerEntityStore
from lawtags_stack.services.customizer.records import JOB, JOBS_TABLE, JobDetails, JobFields, JobRecord
from lawtags_stack.services.customizer.targets import Targets
from lawtags_stack.store import Documents, Records
from lawtags_stack.store.codec import Codec
from lawtags_stack.times import naive

_FIELDS = Codec(JobFields)
_DETAILS = Codec(JobDetails)
_LISTED = (
    "id", "created_at", "updated_at", "namespace", "project", "status", "description", "output_model",
    "custom_fields",
)  # fmt: skip
_PLANNED = ("finetuning_type", "training_type", "batch_size", "epochs", "log_every_n_steps")


class TrainingJobs:
    """All training jobs.

    Args:
        context: the stack.
        targets: base models.
        configs: the configs.
        entities: datasets, and the models that jobs create.
        files: the rows of datasets.
    """

    def __init__(
        self,
        context: StackContext,
        targets: Targets,
        configs: Configs,
        entities: CustomizerEntityStore,
        files: CustomizerDataStore,
    ) -> None:
        self._context = context
        self._targets = targets
        self._entities = entities
        self._resolver = JobResolver(targets, configs, entities, files, context.blobs)
        self._records = Records(Documents(context.database, JOBS_TABLE), JOB.read, JOB.write)
        self.points = MetricPoints(context.database)
        self.on_change: Callable[[], None] = lambda: None

    def create(self, sent: JsonObject) -> JsonObject:
        """Create a job; every error that can be detected now is raised here.

        Args:
            sent: the request body.

        Raises:
            BadRequestError: config, target, training option or dataset do not allow it.
            UnprocessableError: a field has the wrong type, or a hyperparameter or name is invalid.
            NotFoundError: the config or dataset does not exist.
            ConflictError: the output model exists.
        """
        wish = validate_job(sent)
        resolved = self._resolver.resolve(wish)
        record = build_job(resolved, self.now())
        self._store(record)
        return self.shown(record)

    def get(self, job_id: str) -> JsonObject:
        """Return a job as a response.

        Raises:
            NotFoundError: it does not exist.
        """
        return self.shown(self.stored(job_id))

    def stored(self, job_id: str) -> JobRecord:
        """Return a job's record.

        Raises:
            NotFoundError: it does not exist.
        """
        record = self._records.get(job_id)
        if record is None:
            raise NotFoundError(f"Customization job {job_id} not found")
        return record

    def status(self, job_id: str) -> JsonObject:
        """The status of a job with its metric series.

        Raises:
            NotFoundError: it does not exist.
        """
        # In one transaction, since the points of a step and the step count are also written together.
        with self._context.database.transaction():
            record, series = self.stored(job_id), self.points.series(job_id)
        details = {**_DETAILS.write(record.details)}
        logs = details.pop("status_logs")
        return {"status": record.job.status, **details, "metrics": series, "status_logs": logs}

    def cancel(self, job_id: str) -> JsonObject:
        """Request the cancellation of a job; a waiting job ends at once.

        Raises:
            NotFoundError: it does not exist.
            ConflictError: it has already ended.
        """

        def cancelled(record: JobRecord) -> JobRecord | None:
            status = record.job.status
            if status in ("completed", "failed"):
                raise ConflictError(f"Customization job {job_id} cannot be cancelled: it is {status}")
            if status in ("created", "pending"):
                return record.moved("cancelled", "cancelled", self.now())
            return record.moved("cancelling", "cancelling", self.now()) if status == "running" else None

        record = self.update(job_id, cancelled)
        if record.job.status == "cancelled":
            self.set_artifact(record, "upload_failed")
        self.on_change()
        return self.shown(record)

    def update(self, job_id: str, change: Callable[[JobRecord], JobRecord | None]) -> JobRecord:
        """Update a stored job in one transaction; see ``Records.update``.

        Raises:
            NotFoundError: it does not exist.
        """
        record = self._records.update(job_id, change)
        if record is None:
            raise NotFoundError(f"Customization job {job_id} not found")
        return record

    def now(self) -> str:
        """The current time in the Customizer's format."""
        return naive(self._context.clock())

    def unfinished(self) -> list[JobRecord]:
        """The unfinished jobs, oldest first."""
        return [each for each in self._records if each.job.status not in FINAL_JOB_STATES]

    def counts(self) -> dict[str, int]:
        """The number of jobs by state."""
        return dict(Counter(each.job.status for each in self._records))

    def uses_target(self, reference: str) -> bool:
        """Whether an unfinished job trains on a target."""
        return any(each.work.target == reference for each in self.unfinished())

    def select(self, query: ListQuery) -> EntityPage:
        """Return the page of jobs for a list request."""
        shown: dict[str, JsonObject] = {}
        views = []
        for record in self._records:
            shown[record.job.id] = self.shown(record)
            views.append(_view(record, shown[record.job.id]))
        page = select(views, query)
        return EntityPage([shown[str(view["id"])] for view in page.data], page.total, query)

    def shown(self, record: JobRecord) -> JsonObject:
        """Convert a stored job to a response."""
        details = {"status": record.job.status, **_DETAILS.write(record.details)}
        return {**_FIELDS.write(record.job), "status_details": details}

    def set_artifact(self, record: JobRecord, status: str) -> None:
        """Record the status of a job's weights in the model entity, unless the entity was deleted."""
        job = record.job
        if job.output_model:
            self._entities.artifact_status(job.output_model, status, job.config_snapshot.precision)

    def _store(self, record: JobRecord) -> None:
        with self._context.database.transaction():
            claim_output(record, self._entities, self._targets)
            self._records.insert(record.job.id, record)
        self.on_change()


def _view(record: JobRecord, shown: JsonObject) -> JsonObject:
    # A list can also be filtered by nested fields of a job.
    job = record.job
    return {
        **{name: shown[name] for name in _LISTED},
        **{name: job.hyperparameters.get(name) for name in _PLANNED},
        "base_model": job.config_snapshot.base_model,
        "dataset": [job.dataset, record.work.files_url],
    }
