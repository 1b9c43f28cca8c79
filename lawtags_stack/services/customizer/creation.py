"""Creates a job from a request: validate, resolve, build, store."""

from __future__ import annotations

from dataclasses import dataclass

from lawtags_client.errors import BadRequestError, ConflictError, UnprocessableError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_client.types.customizer import CustomizationConfigRequest, CustomizationJobRequest
from lawtags_stack.base_models import has_chat_template
from lawtags_stack.http.bodies import validate
from lawtags_stack.http.ids import check_name, new_id, sent_name, split_reference
from lawtags_stack.services.customizer import hyperparameters
from lawtags_stack.services.customizer.configs import ChosenConfig, Configs, training_option
from lawtags_stack.services.customizer.datasets import TrainingData, find_data, refuse_embedding_rows
from lawtags_stack.services.customizer.protocols import CustomizerDataStore, CustomizerEntityStore
from lawtags_stack.services.customizer.records import (
    ConfigSnapshotRecord,
    JobDetails,
    JobFields,
    JobRecord,
    JobWarningRecord,
    JobWork,
    StatusLogRecord,
    TargetRecord,
)
from lawtags_stack.services.customizer.targets import Targets
from lawtags_stack.store import Blobs

_TRAINED = ("sft", "dpo")


@dataclass(frozen=True, slots=True)
class ValidatedJob:
    """A validated request.

    Args:
        request: its typed fields.
        sent: the raw request: 1 and 1.0 are different validation intervals.
        hyperparameters: the hyperparameters in ``sent``.
        training_type: the training type.
    """

    request: CustomizationJobRequest
    sent: JsonObject
    hyperparameters: JsonObject
    training_type: str


@dataclass(frozen=True, slots=True)
class ResolvedJob:
    """A validated request with everything it refers to."""

    wish: ValidatedJob
    config: ChosenConfig
    option: JsonObject
    target: TargetRecord
    data: TrainingData


def validate_job(sent: JsonObject) -> ValidatedJob:
    """Validate the request for a job.

    Raises:
        UnprocessableError: a field has the wrong type, or a hyperparameter is invalid.
    """
    request = validate(CustomizationJobRequest, sent)
    wanted = sent["hyperparameters"]
    assert isinstance(wanted, dict)  # validated above
    hyperparameters.check(wanted)
    return ValidatedJob(request, sent, wanted, request.hyperparameters.training_type or "sft")


class JobResolver:
    """Looks up everything a job refers to.

    Args:
        targets: base models.
        configs: the configs.
        entities: datasets by name.
        files: their files.
        blobs: the content of these files.
    """

    def __init__(
        self,
        targets: Targets,
        configs: Configs,
        entities: CustomizerEntityStore,
        files: CustomizerDataStore,
        blobs: Blobs,
    ) -> None:
        self._targets = targets
        self._configs = configs
        self._entities = entities
        self._files = files
        self._blobs = blobs

    def resolve(self, wish: ValidatedJob) -> ResolvedJob:
        """Find config, training option, target and dataset.

        Raises:
            BadRequestError: one of them does not allow the job.
            NotFoundError: the config or dataset does not exist.
        """
        request = wish.request
        config = self._config(request.config, wish.sent["config"])
        option = training_option(config, wish.training_type, request.hyperparameters.finetuning_type)
        if wish.training_type not in _TRAINED:
            raise BadRequestError(
                f"Training type {wish.training_type} is not available; choose one of: {', '.join(_TRAINED)}"
            )
        target = self._targets.usable(config.target)
        data = find_data(self._entities, self._files, request.dataset)
        refuse_embedding_rows(self._blobs, data, config.prompt_template)
        return ResolvedJob(wish, config, option, target, data)

    def _config(self, wanted: str | CustomizationConfigRequest, sent: JsonValue) -> ChosenConfig:
        if isinstance(wanted, str):
            found = self._configs.find(wanted)
            if not found.target:
                raise BadRequestError(f"Config {wanted} has no target")
            return ChosenConfig(
                reference=wanted,
                target=found.target,
                max_seq_length=found.max_seq_length,
                options=found.training_options,
                prompt_template=found.prompt_template,
                chat_prompt_template=found.chat_prompt_template,
                precision=found.training_precision,
            )
        if not wanted.target:
            raise BadRequestError("The config has no target")
        if not isinstance(wanted.target, str):
            raise BadRequestError("Inline targets are not supported: create the target, then use its name")
        return ChosenConfig(
            reference=sent,
            target=wanted.target,
            max_seq_length=wanted.max_seq_length,
            options=[option.model_dump(exclude_unset=True) for option in wanted.training_options],
            prompt_template=wanted.prompt_template,
            chat_prompt_template=wanted.chat_prompt_template,
            precision=wanted.training_precision,
        )


def build_job(resolved: ResolvedJob, now: str) -> JobRecord:
    """Build the record to store.

    Raises:
        UnprocessableError: its namespace or output model has an invalid name.
    """
    wish, target = resolved.wish, resolved.target
    job_id = new_id("cust")
    work = JobWork(
        target=resolved.config.target,
        files_url=resolved.data.files_url,
        num_parameters=target.num_parameters,
        precision=resolved.config.precision,
    )
    details = JobDetails(now, now, status_logs=[StatusLogRecord(now, "created")])
    sent = wish.sent
    job = JobFields(
        id=job_id,
        namespace=sent_name(wish.request.namespace, "default", what="namespace", versioned=False),
        description=wish.request.description,
        project=wish.request.project,
        created_at=now,
        updated_at=now,
        config=resolved.config.reference,
        config_snapshot=_snapshot(resolved),
        dataset=resolved.data.reference,
        dataset_parameters=_object(sent.get("dataset_parameters")),
        hyperparameters=hyperparameters.echo(wish.hyperparameters),
        output_model=_output_model(wish.request.output_model, job_id),
        integrations=sent.get("integrations"),
        ownership=_object(sent.get("ownership")),
        custom_fields=_object(sent.get("custom_fields")) or {},
        warnings=_warnings(wish.request),
        status="created",
    )
    return JobRecord(job, details, work)


def claim_output(record: JobRecord, entities: CustomizerEntityStore, targets: Targets) -> None:
    """Create the entity of a job's output model, in the transaction that stores the job.

    Raises:
        ConflictError: the model exists.
    """
    job, snapshot = record.job, record.job.config_snapshot
    if job.output_model is None:
        return
    namespace, name = split_reference(job.output_model, what="output_model")
    if entities.model_find(job.output_model) is not None:
        raise ConflictError(f"Model {name} already exists in namespace {namespace}")
    fields: dict[str, JsonValue] = {
        "base_model": snapshot.base_model,
        "project": job.project,
        "description": job.description,
        "custom_fields": job.custom_fields,
        "schema_version": "1.0",
        "spec": {
            "num_parameters": record.work.num_parameters,
            "context_size": snapshot.max_seq_length,
            "num_virtual_tokens": 0,
            "is_chat": snapshot.chat_prompt_template is not None or _chats(record.work.target, targets),
        },
        "artifact": {
            "files_url": f"hf://{job.output_model}",
            "status": "created",
            "backend_engine": "hugging_face",
            "gpu_arch": None,
            "precision": snapshot.precision,
            "tensor_parallelism": 1,
        },
    }
    if hyperparameters.planned(job.hyperparameters).finetuning_type == "lora":
        # The real service uses this text for a missing description.
        fields |= {"peft": {"finetuning_type": "lora"}, "description": str(job.description)}
    entities.model_put(namespace, name, fields)


def _chats(target: str, targets: Targets) -> bool:
    """Whether the base model has a chat template; assumed while its files are still being copied."""
    folder = targets.folder(target)
    return folder is None or not folder.exists() or has_chat_template(folder)


def _snapshot(resolved: ResolvedJob) -> ConfigSnapshotRecord:
    config, target = resolved.config, resolved.target
    return ConfigSnapshotRecord(
        base_model=target.base_model or target.reference,
        precision=config.precision or target.precision,
        max_seq_length=config.max_seq_length,
        prompt_template=config.prompt_template,
        chat_prompt_template=config.chat_prompt_template,
        tokenizer=target.tokenizer,
        training_option=resolved.option,
    )


def _object(value: JsonValue) -> JsonObject | None:
    return value if isinstance(value, dict) else None


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


def _warnings(request: CustomizationJobRequest) -> list[JobWarningRecord] | None:
    warnings = []
    if request.hyperparameters.sequence_packing_enabled:
        warnings.append(
            JobWarningRecord(
                "Sequence packing is not used",
                "Batches contain rows of similar length instead: less than 2 % of their tokens are "
                "padding, and rows packed into one sequence train a fifth slower on a CPU.",
            )
        )
    if request.integrations:
        warnings.append(
            JobWarningRecord(
                "Integrations are not used",
                "This stack sends no data to other services; the job's status has the metrics.",
            )
        )
    return warnings or None
