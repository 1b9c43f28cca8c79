"""The Customizer: targets, configs, and training jobs that are submitted once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from lawtags_client.closing import closing
from lawtags_client.errors import ConflictError
from lawtags_client.intents import FIELD, Intent, new_intent
from lawtags_client.json_value import JsonValue
from lawtags_client.services.base import Entities, Owner
from lawtags_client.services.customizer.configs import choose, full_name
from lawtags_client.services.customizer.job import Job
from lawtags_client.services.customizer.jobs import JOBS, Jobs
from lawtags_client.services.customizer.methods import AllWeights, LoRA, LoRAMerged, Method, checked_method
from lawtags_client.services.customizer.sft import check_batch, sft_parameters
from lawtags_client.services.extra_fields import extended_request
from lawtags_client.services.following import EVERY, Follower, JobChange
from lawtags_client.services.parsing import parse
from lawtags_client.services.submission import Submission, carrier, explain_difference, intent_body, submit
from lawtags_client.services.uploaded_dataset import UploadedDataset, dataset_name
from lawtags_client.services.watching import Patience
from lawtags_client.transport.call import Call
from lawtags_client.transport.headers import checked_headers
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.transport.paths import join, split_reference
from lawtags_client.types.customizer import (
    ContainerLogs,
    CustomizationConfig,
    CustomizationConfigFilter,
    CustomizationConfigRequest,
    CustomizationConfigUpdate,
    CustomizationJob,
    CustomizationJobFilter,
    CustomizationJobRequest,
    CustomizationStatusDetails,
    CustomizationTarget,
    CustomizationTargetFilter,
    CustomizationTargetRequest,
    CustomizationTargetUpdate,
    WandBData,
    WandBIntegration,
)
from lawtags_client.types.entity_store import Dataset

if TYPE_CHECKING:
    from lawtags_client.services.customizer.base_models import BaseModels
    from lawtags_client.services.data_store import DataStore
    from lawtags_client.services.entity_store import EntityStore
    from lawtags_client.services.inference import Inference

_VERSION = "lt-"


class CustomizerOwner(Owner, Protocol):
    """The client, as far as the Customizer and its jobs need it."""

    @property
    def data_store(self) -> DataStore: ...
    @property
    def entity_store(self) -> EntityStore: ...
    @property
    def inference(self) -> Inference: ...
    @property
    def customizer(self) -> Customizer: ...


class Customizer:
    """Training on the platform.

    Args:
        http: the transport of the service.
        owner: the client.
    """

    def __init__(self, http: ServiceTransport, owner: CustomizerOwner) -> None:
        self._http = http
        self._owner = owner
        self.targets = Entities[
            CustomizationTarget,
            CustomizationTargetRequest,
            CustomizationTargetUpdate,
            CustomizationTargetFilter,
        ](
            http,
            "/v1/customization/targets",
            CustomizationTarget,
            CustomizationTargetRequest,
            CustomizationTargetUpdate,
        )
        self.configs = Entities[
            CustomizationConfig,
            CustomizationConfigRequest,
            CustomizationConfigUpdate,
            CustomizationConfigFilter,
        ](
            http,
            "/v1/customization/configs",
            CustomizationConfig,
            CustomizationConfigRequest,
            CustomizationConfigUpdate,
        )
        self.jobs = Jobs(http, JOBS, CustomizationJob)

    @cached_property
    def base_models(self) -> BaseModels:
        """Base models that the platform was not shipped with."""
        # It brings what uploads, which few programs need.
        from lawtags_client.services.customizer.base_models import BaseModels

        return BaseModels(self._owner, self.targets, self.configs)

    async def status(self, job_id: str) -> CustomizationStatusDetails:
        """A job's progress with all metrics."""
        data = await self._http.json(Call("GET", f"{JOBS}{join(job_id)}/status"))
        return await parse(CustomizationStatusDetails, data, self._http)

    async def cancel(self, job_id: str) -> CustomizationJob:
        """Cancel a job."""
        # Cancelling twice is the same as once.
        call = Call("POST", f"{JOBS}{join(job_id)}/cancel", repeatable=True)
        return await parse(CustomizationJob, await self._http.json(call), self._http)

    async def logs(self, job_id: str) -> ContainerLogs:
        """The logs of the job's containers."""
        data = await self._http.json(Call("GET", f"{JOBS}{join(job_id)}/container-logs"))
        return await parse(ContainerLogs, data, self._http)

    async def job(self, job_id: str) -> Job:
        """Look up an existing job.

        Raises:
            NotFoundError: the job does not exist.
        """
        return Job(await self.jobs.get(job_id), self._owner)

    async def watch_many(
        self,
        jobs: Iterable[str | Job | CustomizationJob],
        *,
        every: float = EVERY,
        patience: Patience | None = None,
        filter: CustomizationJobFilter | None = None,
    ) -> AsyncIterator[JobChange[CustomizationJob]]:
        """Follow many jobs until all of them have ended.

        It polls the list of jobs, with at most one request per second for any number of jobs.
        The list has states and progress; for the metrics and log lines of one job, use ``job.watch()``.

        Example:
            ``async for change in nemo.customizer.watch_many(jobs): print(change)``

        Args:
            jobs: ids, handles or records; the first change of each is its current state.
            every: seconds between two polls.
            patience: how long to tolerate an unresponsive service.
            filter: narrows the list if the service has many other jobs.

        Raises:
            TransportError: no response for longer than the patience allows.
        """
        clock = self._owner.clock
        follower = Follower(
            self._http, JOBS, CustomizationJob, clock, every=every, patience=patience, filter=filter
        )
        changes = follower.follow(getattr(job, "id", str(job)) for job in jobs)
        async with closing(changes):
            async for change in changes:
                yield change

    async def config(self, wanted: str | None, method: Method | None = None) -> CustomizationConfig:
        """Find a config by name.

        Args:
            wanted: ``namespace/name@version``, or without the version, or None for the only one.
            method: what it must offer; LoRA by default.

        Raises:
            ConfigurationError: none or several match; the hint lists the available ones.
        """
        wanted_type = checked_method(method).finetuning_type
        offered = [config async for config in self.configs.list()]
        return choose(offered, wanted, wanted_type)

    async def fine_tune(
        self,
        *,
        dataset: str | Dataset | UploadedDataset,
        config: str | None = None,
        method: Method | None = None,
        epochs: int = 1,
        batch_size: int = 16,
        learning_rate: float = 1e-4,
        max_steps: int | None = None,
        output_model: str | None = None,
        intent: str | None = None,
        hyperparameters: Mapping[str, object] | None = None,
        namespace: str | None = None,
        project: str | None = None,
        description: str | None = None,
        wandb: WandBData | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> Job:
        """Submit a training job. The call is idempotent, even after a crash or a lost response.

        Example:
            ``job = await nemo.customizer.fine_tune(config="huggingfacetb/smollm2-135m-instruct",
            dataset="law/tags", method=LoRA(adapter_dim=32), epochs=2, output_model="law/tagger")``

        Args:
            dataset: ``namespace/name``, or the result of an upload.
            config: name of the training config; see ``config``.
            method: LoRA by default.
            epochs: passes over the data.
            batch_size: rows per optimizer step; at most the number of validation rows.
            learning_rate: of the optimizer.
            max_steps: maximum number of optimizer steps.
            output_model: ``namespace/name``, optionally with a version.
            intent: idempotency key. By default, it is computed from request and data, so a deliberate
                repeat needs one.
            hyperparameters: others, by their name in the API.
            namespace: of the job.
            project: a label on the platform.
            description: free text, shown on the platform.
            wandb: reports to Weights & Biases, with the key from the settings.
            extra_headers: sent with the request that creates the job; not part of its intent.
            extra_body: fields of the API that have no parameter here; part of the job's intent.

        Raises:
            ConfigurationError: no config matches, or an argument is invalid.
            ConflictError: the intent or the output model is already used otherwise.
            DoubtfulOutcomeError: the response was lost and the job was not found; call again.
        """
        method, name = checked_method(method), dataset_name(dataset)
        training = sft_parameters(method, epochs, batch_size, learning_rate, max_steps, hyperparameters or {})
        if output_model is not None:
            split_reference(output_model, "output model")
        chosen = await self.config(config, method)
        check_batch(training, dataset)
        request = CustomizationJobRequest(config=full_name(chosen), dataset=name, hyperparameters=training)
        options = {
            "output_model": output_model,
            "namespace": namespace,
            "project": project,
            "description": description,
        }
        for key, value in options.items():
            if value is not None:
                setattr(request, key, value)
        if wandb is not None:
            request.integrations = [WandBIntegration(wandb=wandb, type="wandb")]
        return await self.submit(
            request,
            key=intent,
            data=await self._data_digest(dataset, name),
            extra_headers=extra_headers,
            extra_body=extra_body,
        )

    async def submit(
        self,
        request: CustomizationJobRequest,
        *,
        key: str | None = None,
        data: str | None = None,
        token: str | None = None,
        integrations: Sequence[WandBIntegration] = (),
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> Job:
        """Submit a job once per intent; ``fine_tune`` builds the request for you.

        Args:
            request: the job, without a token.
            key: idempotency key; by default computed from the request and ``data``.
            data: a digest of what it trains on.
            token: what the job carries; random by default. It must be unique to the intent.
            integrations: where it is reported, if the request does not say; not part of its intent. By
                default, Weights & Biases if the setting ``wandb_project`` is set.
            extra_headers: sent with the request that creates the job; not part of its intent.
            extra_body: fields of the API that ``request`` does not have; part of the intent.

        Raises:
            ConflictError: the intent or the output model is already used otherwise.
            DoubtfulOutcomeError: the response was lost and the job was not found; call again.
        """
        headers, body = checked_headers(extra_headers), intent_body(request, extra_body)
        address = self._http.address.url
        wanted = new_intent("customization", body, key=key, data=data, service=address, token=token)

        async def post(intent: Intent) -> CustomizationJob:
            secret = self._owner.settings.wandb_api_key
            marked = _with_token(request, intent)
            wanted_reports = [*integrations] or self._default_integrations()
            # An explicit null would differ from what other clients send.
            if wanted_reports and not marked.integrations and "integrations" not in (extra_body or {}):
                marked.integrations = wanted_reports
            return await self.jobs.create(
                marked, wandb_api_key=secret, extra_headers=headers, extra_body=extra_body
            )

        async def find(intent: Intent) -> CustomizationJob | None:
            return await self._find(request, intent)

        async def clash(intent: Intent, error: ConflictError) -> CustomizationJob:
            return await self._adopt(_with_token(request, intent), extra_body, error)

        submission = Submission(post, self.jobs.get, find, lambda job: job.id, clash)
        record = await submit(wanted, submission, store=self._owner.intents, clock=self._owner.clock)
        return Job(record, self._owner)

    def _default_integrations(self) -> list[WandBIntegration]:
        settings = self._owner.settings
        if settings.wandb_project is None:
            return []
        data = WandBData(project=settings.wandb_project)
        if settings.wandb_entity is not None:
            data.entity = settings.wandb_entity
        return [WandBIntegration(wandb=data, type="wandb")]

    async def _find(self, request: CustomizationJobRequest, intent: Intent) -> CustomizationJob | None:
        """The job that carries the token."""
        filter = CustomizationJobFilter()
        if request.project is not None:
            filter.project = request.project
        newest = self.jobs.list(sort="-created_at", filter=filter)
        return await carrier(newest, intent)

    async def _adopt(
        self,
        marked: CustomizationJobRequest,
        extra_body: Mapping[str, JsonValue] | None,
        error: ConflictError,
    ) -> CustomizationJob:
        """The job that already makes this output model, if it is the same one."""
        wanted = extended_request(marked, extra_body)
        names = {"config", "dataset", "hyperparameters", *(extra_body or {})} - {"custom_fields"}
        async for job in self.jobs.list(sort="-created_at"):
            if job.output_model != wanted.get("output_model"):
                continue
            compared = {name: wanted[name] for name in names}
            differing = explain_difference(compared, job.model_dump(mode="json"))
            if not differing:
                return job
            raise ConflictError(
                f"{job.output_model} already belongs to {job.id}, which differs in {', '.join(differing)}",
                hint="Choose another output_model.",
                service="customizer",
                status=409,
            ) from error
        error.hint = "Choose another output_model, or delete that model and its repository."
        raise error

    async def _data_digest(self, dataset: str | Dataset | UploadedDataset, name: str) -> str | None:
        if isinstance(dataset, UploadedDataset):
            return dataset.digest
        entity = await self._owner.entity_store.datasets.find(name) if "://" not in name else None
        return entity.files_url if entity is not None else None


def _with_token(request: CustomizationJobRequest, intent: Intent) -> CustomizationJobRequest:
    """The request with the token where the service shows it again."""
    marked = request.model_copy(deep=True)
    marked.custom_fields = {**(request.custom_fields or {}), FIELD: intent.token}
    if request.output_model is not None and "@" not in request.output_model:
        # With a version of ours the service itself refuses a second job of the same intent.
        marked.output_model = f"{request.output_model}@{_VERSION}{intent.token[:12]}"
    return marked


__all__ = ["AllWeights", "Customizer", "Job", "LoRA", "LoRAMerged"]
