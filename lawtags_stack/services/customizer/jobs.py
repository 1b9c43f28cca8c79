"""Training jobs: created, listed, followed and cancelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from lawtags_client.errors import BadRequestError, ConflictError, NotFoundError, UnprocessableError
from lawtags_client.types.common import FINAL_JOB_STATES
from lawtags_stack.base_models import has_chat_template
from lawtags_stack.http.ids import check_name, new_id, split_reference
from lawtags_stack.http.query import ListQuery
from lawtags_stack.http.select import Page, select
from lawtags_stack.service import StackContext
from lawtags_stack.services.customizer import hyperparameters
from lawtags_stack.services.customizer.configs import Configs, training_option
from lawtags_stack.services.customizer.datasets import TrainingData, find_data, refuse_embedding_rows
from lawtags_stack.services.customizer.points import MetricPoints
from lawtags_stack.services.customizer.targets import Targets
from lawtags_stack.store import Documents
from lawtags_stack.times import naive

Document = dict[str, Any]

_TRAINED = ("sft", "dpo")


class Jobs:
    """All training jobs.

    A stored job holds what responses show under ``job``, its status under ``details``, and what only the
    stack needs under ``work``.

    Args:
        context: the stack.
        targets: base models.
        configs: what a job may choose from.
    """

    def __init__(self, context: StackContext, targets: Targets, configs: Configs) -> None:
        self._context = context
        self._targets = targets
        self._configs = configs
        self._documents = Documents(context.database, "customizer_jobs")
        self.points = MetricPoints(context.database)
        self.on_change: Callable[[], None] = lambda: None

    def create(self, sent: Document) -> Document:
        """Accept a job: everything that can be known to be wrong is refused here.

        Args:
            sent: the request's body, its types already checked.

        Raises:
            BadRequestError: config, target, training option or data set do not allow it.
            UnprocessableError: a hyperparameter or name cannot be used.
            NotFoundError: config or data set do not exist.
            ConflictError: the output model exists.
        """
        wanted = sent["hyperparameters"]
        hyperparameters.check(wanted)
        training_type = wanted.get("training_type") or "sft"
        config = self._config(sent["config"])
        option = training_option(config, training_type, wanted["finetuning_type"])
        if training_type not in _TRAINED:
            raise BadRequestError(
                f"Training type {training_type} is not available; choose one of: {', '.join(_TRAINED)}"
            )
        target = self._targets.usable(config["target"])
        data = find_data(self._context, sent["dataset"])
        refuse_embedding_rows(self._context, data, config.get("prompt_template"))
        document = self._document(sent, config, option, target, data)
        with self._context.database.transaction():
            self._claim_output(document)
            self._documents.insert(document["job"]["id"], document)
        self.on_change()
        return self.shown(document)

    def get(self, job_id: str) -> Document:
        """A job as responses show it.

        Raises:
            NotFoundError: there is no such job.
        """
        return self.shown(self.stored(job_id))

    def stored(self, job_id: str) -> Document:
        """A job as it is kept.

        Raises:
            NotFoundError: there is no such job.
        """
        document = self._documents.get(job_id)
        if document is None:
            raise NotFoundError(f"Customization job {job_id} not found")
        return document

    def status(self, job_id: str) -> Document:
        """The status of a job with its metric series.

        Raises:
            NotFoundError: there is no such job.
        """
        # In one view: the points of a step and its count are written together, and are read together.
        with self._context.database.transaction():
            document, series = self.stored(job_id), self.points.series(job_id)
        details = dict(document["details"])
        logs = details.pop("status_logs")
        return {
            "status": document["job"]["status"],
            **details,
            "metrics": series,
            "status_logs": logs,
        }

    def cancel(self, job_id: str) -> Document:
        """Ask a job to end; one that waits ends at once.

        Raises:
            NotFoundError: there is no such job.
            ConflictError: it has come to another end already.
        """

        def cancelled(document: Document) -> Document | None:
            status = document["job"]["status"]
            if status in ("completed", "failed"):
                raise ConflictError(f"Customization job {job_id} cannot be cancelled: it is {status}")
            if status in ("created", "pending"):
                return self.moved(document, "cancelled", "cancelled")
            return self.moved(document, "cancelling", "cancelling") if status == "running" else None

        document = self._documents.update(job_id, cancelled)
        if document is None:
            raise NotFoundError(f"Customization job {job_id} not found")
        if document["job"]["status"] == "cancelled":
            self.set_artifact(document, "upload_failed")
        self.on_change()
        return self.shown(document)

    def update(self, job_id: str, change: Callable[[Document], Document | None]) -> Document:
        """Change a stored job in one transaction; see ``Documents.update``."""
        document = self._documents.update(job_id, change)
        if document is None:
            raise NotFoundError(f"Customization job {job_id} not found")
        return document

    def moved(self, document: Document, status: str, message: str, detail: str | None = None) -> Document:
        """A stored job in another state, with a line in its history."""
        now = naive(self._context.clock())
        details = document["details"]
        log = {"updated_at": now, "message": message, "detail": detail}
        return {
            **document,
            "job": {**document["job"], "status": status, "updated_at": now},
            "details": {**details, "updated_at": now, "status_logs": [*details["status_logs"], log]},
        }

    def unfinished(self) -> list[Document]:
        """Stored jobs that have not come to their end, oldest first."""
        return [each for each in self._documents if each["job"]["status"] not in FINAL_JOB_STATES]

    def counts(self) -> dict[str, int]:
        """How many jobs there are in each state."""
        return dict(Counter(each["job"]["status"] for each in self._documents))

    def uses_target(self, reference: str) -> bool:
        """Whether a job that has not ended trains on a target."""
        return any(each["work"]["target"] == reference for each in self.unfinished())

    def select(self, query: ListQuery) -> Page:
        """The page of jobs that a list request asks for."""
        page = select([self._view(each) for each in self._documents], query)
        return Page([view["job"] for view in page.data], page.total, query)

    def shown(self, document: Document) -> Document:
        """A stored job as responses show it."""
        details = {"status": document["job"]["status"], **document["details"]}
        return {**document["job"], "status_details": details}

    def set_artifact(self, document: Document, status: str, **fields: Any) -> None:
        """Note in the model entity what became of a job's weights; a deleted entity stays deleted."""
        output = document["job"]["output_model"]
        entity = self._context.entity_store.models.find(output) if output else None
        if entity is not None:
            artifact = {**entity["artifact"], "status": status, **fields}
            self._context.entity_store.models.patch(
                entity["namespace"], entity["name"], {"artifact": artifact}
            )

    def _config(self, wanted: str | Mapping[str, Any]) -> Document:
        if isinstance(wanted, str):
            config = self._configs.find(wanted)
            if not config.get("target"):
                raise BadRequestError(f"Config {wanted} has no target")
            return {**config, "reference": wanted}
        if not wanted.get("target"):
            raise BadRequestError("The config has no target")
        if not isinstance(wanted["target"], str):
            raise BadRequestError("An inline target cannot be trained on: create the target, then name it")
        return {"prompt_template": None, "chat_prompt_template": None, **wanted, "reference": dict(wanted)}

    def _document(
        self, sent: Document, config: Document, option: Document, target: Document, data: TrainingData
    ) -> Document:
        job_id = new_id("cust")
        now = naive(self._context.clock())
        output = _output_model(sent.get("output_model"), job_id)
        snapshot = {
            "base_model": target["base_model"],
            "precision": config.get("training_precision") or target["precision"],
            "max_seq_length": config["max_seq_length"],
            "prompt_template": config.get("prompt_template"),
            "chat_prompt_template": config.get("chat_prompt_template"),
            "tokenizer": target.get("tokenizer"),
            "training_option": option,
        }
        job = {
            "id": job_id,
            "namespace": sent.get("namespace") or "default",
            "description": sent.get("description"),
            "project": sent.get("project"),
            "created_at": now,
            "updated_at": now,
            "config": config["reference"],
            "config_snapshot": snapshot,
            "dataset": data.reference,
            "dataset_parameters": sent.get("dataset_parameters"),
            "hyperparameters": hyperparameters.echo(sent["hyperparameters"]),
            "output_model": output,
            "integrations": sent.get("integrations"),
            "ownership": sent.get("ownership"),
            "custom_fields": sent.get("custom_fields") or {},
            "warnings": _warnings(sent),
            "status": "created",
        }
        check_name(job["namespace"], what="namespace", versioned=False)
        details = {
            "created_at": now,
            "updated_at": now,
            "elapsed_time": 0.0,
            "percentage_done": 0.0,
            "epochs_completed": 0,
            "best_epoch": None,
            "steps_completed": 0,
            "steps_per_epoch": None,
            "train_loss": None,
            "val_loss": None,
            "status_logs": [{"updated_at": now, "message": "created", "detail": None}],
        }
        work = {
            "target": config["target"],
            "files_url": data.files_url,
            "num_parameters": target["num_parameters"],
            "crashes": 0,
            "attempts": 0,
            "started_at": None,
        }
        return {"job": job, "details": details, "work": work}

    def _claim_output(self, document: Document) -> None:
        job = document["job"]
        if job["output_model"] is None:
            return
        namespace, name = split_reference(job["output_model"], what="output_model")
        if self._context.entity_store.models.exists(namespace, name):
            raise ConflictError(f"Model {name} already exists in namespace {namespace}")
        snapshot, shown = job["config_snapshot"], job["hyperparameters"]
        fields: Document = {
            "base_model": snapshot["base_model"],
            "project": job["project"],
            "description": job["description"],
            "custom_fields": job["custom_fields"],
            "schema_version": "1.0",
            "spec": {
                "num_parameters": document["work"]["num_parameters"],
                "context_size": snapshot["max_seq_length"],
                "num_virtual_tokens": 0,
                "is_chat": snapshot["chat_prompt_template"] is not None or self._chats(document),
            },
            "artifact": {
                "files_url": f"hf://{job['output_model']}",
                "status": "created",
                "backend_engine": "hugging_face",
                "gpu_arch": None,
                "precision": snapshot["precision"],
                "tensor_parallelism": 1,
            },
        }
        if shown["finetuning_type"] == "lora":
            # The service writes an absent description as this word.
            fields |= {"peft": {"finetuning_type": "lora"}, "description": str(job["description"])}
        self._context.entity_store.model_put(namespace, name, fields)

    def _chats(self, document: Document) -> bool:
        """Whether the base model brings a chat template; one whose files are still to come is taken to."""
        folder = self._targets.folder(document["work"]["target"])
        return folder is None or not folder.exists() or has_chat_template(folder)

    def _view(self, document: Document) -> Document:
        # A list is filtered by what lies deeper in a job, too.
        job, shown = document["job"], document["job"]["hyperparameters"]
        names = ("finetuning_type", "training_type", "batch_size", "epochs", "log_every_n_steps")
        return {
            **{
                name: job[name]
                for name in ("id", "created_at", "updated_at", "namespace", "project", "status")
            },
            **{name: job[name] for name in ("description", "output_model", "custom_fields")},
            **{name: shown.get(name) for name in names},
            "base_model": job["config_snapshot"]["base_model"],
            "dataset": [job["dataset"], document["work"]["files_url"]],
            "job": self.shown(document),
        }


def _output_model(wanted: str | None, job_id: str) -> str | None:
    if wanted is None:
        return None
    namespace, name = split_reference(wanted, what="output_model")
    check_name(namespace, what="namespace", versioned=False)
    base, at, version = name.partition("@")
    check_name(base, what="output_model", versioned=False)
    if at and not version:
        raise UnprocessableError(f"output_model {wanted!r} has an empty version")
    if at:
        check_name(version, what="version of output_model", versioned=False)
    return f"{namespace}/{base}@{version or job_id}"


def _warnings(sent: Document) -> list[Document] | None:
    warnings = []
    if sent["hyperparameters"].get("sequence_packing_enabled"):
        warnings.append(
            {
                "message": "Sequence packing is not used",
                "explanation": "Batches are made of rows of like length instead: less than 2 % of their "
                "tokens are padding, and rows packed into one sequence train a fifth slower on a CPU.",
            }
        )
    if sent.get("integrations"):
        warnings.append(
            {
                "message": "Integrations are not used",
                "explanation": "This stack sends nothing to others; the status of the job has its metrics.",
            }
        )
    return warnings or None
