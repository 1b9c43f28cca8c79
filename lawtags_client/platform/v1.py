"""A run's intents carried out by the v1 microservices."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from lawtags_client.client import NeMo
from lawtags_client.closing import closing
from lawtags_client.errors import (
    APIError,
    ConfigurationError,
    ConflictError,
    JobFailedError,
    JobStalledError,
    WaitTimeoutError,
)
from lawtags_client.json_value import JsonValue
from lawtags_client.platform import prompting
from lawtags_client.platform.diagnosis import advised, explained
from lawtags_client.platform.protocol import (
    EvaluationIntent,
    EvaluationSummary,
    FineTuneIntent,
    JobReference,
    JobUpdate,
    ModelAnswer,
    PlatformDataset,
    PlatformItem,
    PromptInput,
    RemovedItem,
    TrainingConfig,
    TrainingLayout,
)
from lawtags_client.platform.silence import silent_job
from lawtags_client.platform.v1_removal import V1Removal
from lawtags_client.platform.v1_updates import UpdateReader
from lawtags_client.platform.validations import validation_share
from lawtags_client.services.customizer.configs import full_name
from lawtags_client.services.evaluator import rows_scored, scores
from lawtags_client.services.watching import Patience, Poller
from lawtags_client.settings import ServiceName, Settings
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.types.customizer import (
    CustomizationConfig,
    CustomizationJobRequest,
    CustomizationTarget,
    Hyperparameters,
    TrainingOption,
    WandBData,
    WandBIntegration,
)
from lawtags_client.types.evaluator import EvaluationConfigRequest, EvaluationTargetRequest

_TASK = "tags"
_SERVICES: tuple[ServiceName, ...] = ("data_store", "entity_store", "customizer", "inference", "evaluator")
_PROGRESS_PAUSE = 1.0


class V1Platform:
    """The v1 microservices as a platform for runs.

    Args:
        nemo: an open client; the caller closes it.
        target_timeout: seconds to wait for a base model that is still being fetched.
    """

    def __init__(self, nemo: NeMo, *, target_timeout: float = 1800) -> None:
        self._nemo = nemo
        self._target_timeout = target_timeout

    async def config(self, name: str) -> TrainingConfig:
        """The training configuration of that name, once its base model is ready to train.

        Raises:
            ConfigurationError: there is none of that name, or its target cannot be trained.
            WaitTimeoutError: the base model was not fetched in time.
        """
        found = await self._nemo.customizer.config(name)
        target = await self._target(found)
        base = (target.base_model if target else None) or full_name(found).split("@")[0]
        return TrainingConfig(
            name=full_name(found),
            base_model=base,
            max_seq_length=found.max_seq_length,
            methods=tuple(
                (option.training_type, option.finetuning_type) for option in found.training_options
            ),
            prompt_template=found.prompt_template,
            chat=found.chat_prompt_template is not None,
            num_parameters=target.num_parameters if target else None,
            precision=found.training_precision or (target.precision if target else None),
            layouts={
                (option.training_type, option.finetuning_type): _layout(option)
                for option in found.training_options
            },
        )

    async def _target(self, config: CustomizationConfig) -> CustomizationTarget | None:
        if not isinstance(config.target, str):
            return config.target
        clock = self._nemo.clock
        begin = clock.monotonic()
        while True:
            target = await self._nemo.customizer.targets.get(config.target)
            if target.enabled is False:
                raise ConfigurationError(
                    f"the target {config.target} is not enabled for training",
                    hint="Ask an administrator to enable it: PATCH its `enabled`, or change the Helm values.",
                )
            # Releases that do not fill the status in have the model at hand.
            if target.status in ("ready", None):
                return target
            if target.status in ("failed", "cancelled", "deleted", "delete_failed"):
                raise ConfigurationError(
                    f"the target {config.target} cannot be trained: {target.status}",
                    hint="Ask an administrator to check the source of its model and to recreate it.",
                )
            if clock.monotonic() - begin > self._target_timeout:
                raise WaitTimeoutError(
                    f"the base model of {config.target} is still {target.status}", hint="Try again later."
                )
            await clock.sleep(0.5)

    async def upload(
        self, name: str, folder: Path, *, on_bytes: Callable[[int, int], None] | None = None
    ) -> PlatformDataset:
        """Put the three parts of a curated folder on the platform, or find them there unchanged."""
        done = await self._nemo.data_store.upload_dataset(
            name, folder, description="Curated legal questions with their tags", on_bytes=on_bytes
        )
        return PlatformDataset(name=done.name, files_url=done.files_url, files=done.files)

    async def submit(self, intent: FineTuneIntent) -> JobReference:
        """Start training, or find the job that this intent started before."""
        request = CustomizationJobRequest(
            config=intent.config,
            dataset=intent.dataset,
            hyperparameters=Hyperparameters.model_validate(dict(intent.hyperparameters)),
            output_model=intent.output_model,
            namespace=intent.output_model.split("/")[0],
            description=intent.description,
        )
        # The key is unique to the run, and so is its token: a plan can say what will be sent.
        token = hashlib.sha256(intent.key.encode()).hexdigest()[:32]
        try:
            job = await self._nemo.customizer.submit(
                request, key=intent.key, token=token, integrations=_integrations(intent)
            )
        except APIError as problem:
            raise advised(problem, dataset=intent.dataset) from None
        if job.output_model is None:
            raise ConfigurationError(
                f"job {job.id} produces no model", hint="Set output_model in the recipe."
            )
        return JobReference(job.id, job.output_model)

    async def follow(self, job_id: str, *, timeout: float, stall: float) -> AsyncIterator[JobUpdate]:
        """Signs of life of a training until it is complete.

        Raises:
            JobFailedError: it failed.
            JobCancelledError: it was cancelled.
            JobStalledError: nothing happened for ``stall`` seconds; it is still running.
            WaitTimeoutError: it took longer than ``timeout`` seconds; it is still running.
        """
        patience = Patience().within(timeout)
        # The platform may restart between the submission and the first look at the job.
        job = await Poller(self._nemo.clock, patience).look(lambda: self._nemo.customizer.job(job_id))
        share = await validation_share(self._nemo, job.record)
        looks, reader = job.looks(), UpdateReader(job.record, validation_share=share)
        clock = self._nemo.clock
        begin = clock.monotonic()
        while True:
            left = timeout - (clock.monotonic() - begin)
            try:
                events = await asyncio.wait_for(anext(looks), max(0.0, min(stall, left)))
            except StopAsyncIteration:
                break
            except TimeoutError:
                silence = silent_job(job.id, job.status, stall=stall, late=left <= stall)
                if isinstance(silence, JobStalledError):
                    silence = await explained(self._nemo, job.id, silence)
                raise silence from None
            yield reader.read(events)
        # The job has come to an end: this raises unless it is a good one.
        try:
            await job.wait()
        except JobFailedError as problem:
            raise await explained(self._nemo, job.id, problem) from None

    async def cancel(self, job_id: str) -> None:
        """Request that a training ends; one that has ended already stays as it is."""
        with contextlib.suppress(ConflictError):
            await self._nemo.customizer.cancel(job_id)

    async def served(self, model: str, *, timeout: float) -> None:
        """Wait until the model answers at the inference endpoint."""
        await self._nemo.inference.served(model, timeout=timeout)

    async def first_tokens(
        self, model: str, prompts: Sequence[PromptInput], *, top: int
    ) -> AsyncIterator[tuple[int, Mapping[str, float] | Exception]]:
        """Log-probabilities of the likeliest next tokens of each prompt, as they come."""
        async with closing(prompting.first_tokens(self._nemo.inference, model, prompts, top=top)) as found:
            async for each in found:
                yield each

    async def answers(
        self,
        model: str,
        prompts: Sequence[PromptInput],
        *,
        vocabulary: Vocabulary,
        most: int,
        max_tokens: int,
    ) -> AsyncIterator[tuple[int, ModelAnswer | Exception]]:
        """Greedy answers of at most so many tags, constrained to a vocabulary if the server can."""
        asked = prompting.answers(
            self._nemo.inference, model, prompts, vocabulary=vocabulary, most=most, max_tokens=max_tokens
        )
        async with closing(asked) as found:
            async for each in found:
                yield each

    async def evaluate(
        self,
        intent: EvaluationIntent,
        *,
        timeout: float,
        on_progress: Callable[[float], None] | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> EvaluationSummary:
        """Have the platform score a served model's free answers with string metrics."""
        config = EvaluationConfigRequest.model_validate(evaluation_config(intent))
        target = EvaluationTargetRequest.model_validate(
            {"type": "model", "namespace": intent.namespace, "model": self._endpoint(intent)}
        )
        started = await self._nemo.evaluator.evaluate(
            config=config, target=target, intent=self._evaluation_key(intent), namespace=intent.namespace
        )

        async def tell() -> None:
            while True:
                if on_progress is not None:
                    on_progress(started.progress or 0.0)
                await self._nemo.clock.sleep(_PROGRESS_PAUSE)

        teller = asyncio.create_task(tell())
        try:
            result = await started.wait(timeout=timeout)
        finally:
            teller.cancel()
        return EvaluationSummary(
            started.id, scores(result), result.model_dump(mode="json"), rows_scored(result)
        )

    def _evaluation_key(self, intent: EvaluationIntent) -> str:
        # A job asks the address it was given: at another address, a job of its own.
        address = hashlib.sha256(self._nemo.settings.address("inference").url.encode()).hexdigest()
        return f"{intent.key}-{address[:8]}"

    def _endpoint(self, intent: EvaluationIntent) -> dict[str, JsonValue]:
        address = self._nemo.settings.address("inference")
        endpoint = {"url": f"{address.url}/v1/completions", "model_id": intent.model, "format": "nim"}
        # The Evaluator asks in our stead, and shows the key to nobody; intents are kept without it.
        return {"api_endpoint": endpoint | ({"api_key": address.token} if address.token else {})}

    async def publish(self, model: str, files: Mapping[str, bytes]) -> None:
        """Add files to the tuned model's repository; its version is a revision, the files go to ``main``."""
        await self._nemo.data_store.upload_files(
            model.split("@")[0], dict(files), repo_type="model", message="Add the model card and the tagger"
        )

    async def remove(self, item: PlatformItem) -> Sequence[RemovedItem]:
        """Remove what a run has made; training jobs are cancelled, since the API cannot delete them."""
        return await V1Removal(self._nemo).remove(item)


def _layout(option: TrainingOption) -> TrainingLayout:
    return TrainingLayout(
        gpus=1 if option.num_gpus is None else option.num_gpus,
        nodes=option.num_nodes or 1,
        micro_batch_size=option.micro_batch_size or 1,
        tensor_parallel=option.tensor_parallel_size or 1,
        pipeline_parallel=option.pipeline_parallel_size or 1,
    )


def _integrations(intent: FineTuneIntent) -> list[WandBIntegration]:
    if not intent.wandb:
        return []
    # The key comes from the settings here, and not from a secret of the platform.
    named = {name: value for name, value in intent.wandb.items() if name != "api_key_secret"}
    return [WandBIntegration(wandb=WandBData.model_validate(named), type="wandb")]


def service_addresses(settings: Settings) -> dict[str, str]:
    """The address of each service that a run depends on, of those that are set."""
    return {name: settings.address(name).url for name in _SERVICES if settings.has_address(name)}


def evaluation_config(intent: EvaluationIntent) -> dict[str, JsonValue]:
    """The evaluation that a run asks for: completions of the test prompts, compared as strings.

    The metrics are those of ``custom`` evaluations (wire API, Evaluator, section on metrics).
    """
    truth = "{{item.completion}}"
    return {
        "type": "custom",
        "namespace": intent.namespace,
        "params": {"parallelism": 8, "limit_samples": intent.limit},
        "tasks": {
            _TASK: {
                "type": "completion",
                "dataset": {"files_url": intent.files_url},
                "params": {
                    "template": {
                        "prompt": "{{item.prompt}}",
                        "max_tokens": intent.max_tokens,
                        "temperature": 0.0,
                        "stop": ["\n"],
                    }
                },
                "metrics": {
                    "contains": {
                        "type": "string-check",
                        "params": {"check": ["{{sample.output_text}}", "contains", truth]},
                    },
                    "em": {"type": "em", "params": {"ground_truth": truth}},
                    "f1": {"type": "f1", "params": {"ground_truth": truth}},
                    "bleu": {"type": "bleu", "params": {"references": [truth]}},
                    "rouge": {"type": "rouge", "params": {"ground_truth": truth}},
                },
            }
        },
    }
