"""Bringing a base model onto the platform that it was not shipped with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lawtags_client.errors import ConfigurationError, ConflictError
from lawtags_client.services.base import Entities, Owner
from lawtags_client.services.customizer.configs import full_name
from lawtags_client.services.customizer.methods import LoRA, Method, checked_method
from lawtags_client.services.customizer.snapshots import Snapshot, inspect
from lawtags_client.services.data_store.contents import describe
from lawtags_client.services.data_store.repositories import Repository
from lawtags_client.services.waiting import Awaited, Look
from lawtags_client.services.watching import Patience
from lawtags_client.transport.paths import split_reference
from lawtags_client.types.customizer import (
    CustomizationConfig,
    CustomizationConfigFilter,
    CustomizationConfigRequest,
    CustomizationConfigUpdate,
    CustomizationTarget,
    CustomizationTargetFilter,
    CustomizationTargetRequest,
    CustomizationTargetUpdate,
    TrainingOption,
)
from lawtags_client.types.entity_store import ModelArtifact, ModelRequest

if TYPE_CHECKING:
    from lawtags_client.services.data_store import DataStore
    from lawtags_client.services.data_store.upload import OnBytes
    from lawtags_client.services.entity_store import EntityStore

_PUBLIC_HUB = "https://huggingface.co"

_ENDS = frozenset({"ready", "failed", "cancelled", "deleting", "deleted", "delete_failed"})
_PATIENCE = Patience(shortest=0.2, longest=15.0)
_ADVICE = (
    "Check the source of its model: an administrator must allow the public hub, and a gated model "
    "needs a token. Then delete the target, or choose another version."
)


Targets = Entities[
    CustomizationTarget, CustomizationTargetRequest, CustomizationTargetUpdate, CustomizationTargetFilter
]
Configs = Entities[
    CustomizationConfig, CustomizationConfigRequest, CustomizationConfigUpdate, CustomizationConfigFilter
]


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """A base model on the platform, and how to train it.

    Args:
        target: its checkpoint.
        config: its ways of training.
        sent: the files that had to be sent; none where the platform fetches them itself.
    """

    target: CustomizationTarget
    config: CustomizationConfig
    sent: tuple[str, ...]

    def __str__(self) -> str:
        return full_name(self.config)


class BaseModelsOwner(Owner, Protocol):
    """The client, as far as bringing in a base model needs it."""

    @property
    def data_store(self) -> DataStore: ...
    @property
    def entity_store(self) -> EntityStore: ...


class BaseModels:
    """Base models that the platform was not shipped with.

    Args:
        owner: the client.
        targets: of the Customizer.
        configs: of the Customizer.
    """

    def __init__(self, owner: BaseModelsOwner, targets: Targets, configs: Configs) -> None:
        self._owner = owner
        self._targets = targets
        self._configs = configs

    async def add(
        self,
        model: str,
        source: str | Path,
        *,
        version: str = "v1",
        config_version: str = "v1.0.0+80GB",
        methods: Sequence[Method] = (LoRA(),),
        max_seq_length: int = 1024,
        prompt_template: str | None = "{prompt} {completion}",
        chat_prompt_template: str | None = None,
        num_gpus: int = 1,
        training_precision: str = "bf16-mixed",
        num_parameters: int | None = None,
        precision: str | None = None,
        hf_endpoint: str | None = _PUBLIC_HUB,
        timeout: float | None = 3600,
        on_bytes: OnBytes | None = None,
    ) -> ImportedModel:
        """Bring a base model onto the platform: its files, a target, a config; and wait until it is ready.

        What is there already is taken as it is, so the same call again is safe. Its adapters are served
        once a NIM of the model runs; ``nemo.deployments.deploy(model, model=model, nim=…)`` starts one.

        Example:
            ``imported = await nemo.customizer.base_models.add("google/gemma-2-2b", "gemma-2-2b/")``

        Args:
            model: ``namespace/name``, as a NIM of this model calls it.
            source: a folder with a Hugging Face snapshot, which is sent to the Data Store; or
                ``hf://namespace/name``, which the platform fetches itself.
            version: of the target; give another one for other files.
            config_version: of the config.
            methods: ways of training to offer.
            max_seq_length: tokens; longer rows are cut.
            prompt_template: of rows with prompt and completion.
            chat_prompt_template: of rows with messages, in Jinja; for models that were made for chats.
            num_gpus: that a training takes.
            training_precision: that a training computes in.
            num_parameters: needed for ``hf://``; a folder's are counted.
            precision: of the weights; a folder's is read, else ``bf16``.
            hf_endpoint: the hub that ``hf://`` means; None for the Data Store.
            timeout: seconds to wait until its files are there.
            on_bytes: called with the bytes done and the total.

        Raises:
            DataError: the folder holds no model that can be trained.
            ConfigurationError: an argument is missing, or the target is not enabled.
            ConflictError: a target or config of that version differs from this one.
            JobFailedError: the platform could not fetch the files.
            WaitTimeoutError: they were not there in time.
        """
        namespace, name = split_reference(model, "model")
        target = CustomizationTargetRequest(
            name=f"{name}@{version}",
            namespace=namespace,
            enabled=True,
            base_model=model,
            model_path=f"{name}_{version}",
            num_parameters=num_parameters or 0,
            precision=precision or "bf16",
        )
        config = CustomizationConfigRequest(
            name=f"{name}@{config_version}",
            namespace=namespace,
            target=f"{model}@{version}",
            max_seq_length=max_seq_length,
            training_precision=training_precision,
            training_options=[_option(method, num_gpus) for method in methods],
        )
        # An explicit null would switch off the platform's own choice.
        if prompt_template is not None:
            config.prompt_template = prompt_template
        if chat_prompt_template is not None:
            config.chat_prompt_template = chat_prompt_template
        await self._owner.entity_store.ensure_namespace(namespace)
        sent: tuple[str, ...] = ()
        if str(source).startswith("hf://"):
            _fetched(target, str(source), hf_endpoint)
        else:
            snapshot = await asyncio.to_thread(inspect, Path(source))
            _check_length(max_seq_length, snapshot)
            target.num_parameters = num_parameters or snapshot.num_parameters
            target.precision = precision or snapshot.precision
            sent = await self._send(target, snapshot, on_bytes)
        await self._targets.create_or_get(target, compare=("base_model", "model_uri"))
        made = await self._configs.create_or_get(config, compare=("max_seq_length",))
        return ImportedModel(await self.ready(f"{model}@{version}", timeout=timeout), made, sent)

    async def _send(
        self, target: CustomizationTargetRequest, snapshot: Snapshot, on_bytes: OnBytes | None
    ) -> tuple[str, ...]:
        """Put a snapshot into the Data Store, and say in the target where it is."""
        reference = f"{target.namespace}/{target.name}"
        there = await self._targets.find(reference)
        # One repository for each version: a target shall never find other files under its address.
        repository = Repository.of(reference.replace("@", "_"), "model")
        if there is not None and there.status == "ready":
            await self._check_same(reference, repository, snapshot)
        await self._owner.data_store.prepare(repository)
        uploaded = await self._owner.data_store.upload_files(
            str(repository),
            snapshot.files,
            repo_type="model",
            message=f"Add {target.base_model}",
            on_bytes=on_bytes,
        )
        target.model_uri = repository.url
        # Only what the Entity Store knows can be deployed, and its adapters need a NIM of their base.
        artifact = ModelArtifact(files_url=repository.url, status="upload_completed")
        namespace, name = split_reference(str(target.base_model), "model")
        model = ModelRequest(name=name, namespace=namespace, artifact=artifact)
        await self._owner.entity_store.models.create_or_get(model, compare=())
        return uploaded.sent

    async def _check_same(self, target: str, repository: Repository, snapshot: Snapshot) -> None:
        """See that a target was made of these files, before any of them is sent.

        Raises:
            ConflictError: it was made of others.
        """
        there = {
            entry.path: entry
            for entry in await self._owner.data_store.files(str(repository), repo_type="model")
        }
        for path, source in snapshot.files.items():
            file = await asyncio.to_thread(describe, path, source)
            if not file.is_at(there.get(path)):
                raise ConflictError(
                    f"the target {target} already exists with a different {path}",
                    hint="Choose another version.",
                    service="customizer",
                )

    async def ready(self, target: str, *, timeout: float | None = 3600) -> CustomizationTarget:
        """Wait until the files of a target are there.

        Args:
            target: its ``namespace/name@version``.
            timeout: seconds to wait.

        Raises:
            ConfigurationError: it is not enabled.
            JobFailedError: they could not be fetched.
            WaitTimeoutError: they were not there in time.
        """
        seen = await self._targets.get(target)
        if seen.enabled is False:
            raise ConfigurationError(
                f"the target {target} is not enabled for training",
                hint="Ask an administrator to enable it: PATCH its `enabled`, or change the Helm values.",
            )

        async def look() -> Look:
            nonlocal seen
            before, seen = seen, await self._targets.get(target)
            # Releases that do not fill the status in have the model at hand.
            return Look(seen.status or "ready", seen != before, seen.description)

        awaited = Awaited(
            f"the target {target}",
            "customizer",
            look,
            _ENDS.__contains__,
            _ADVICE,
            "The import continues; wait again.",
        )
        await awaited.end(self._owner.clock, timeout=timeout, patience=_PATIENCE)
        return seen


def _option(method: Method, num_gpus: int) -> TrainingOption:
    return TrainingOption(
        training_type="sft",
        finetuning_type=checked_method(method).finetuning_type,
        num_gpus=num_gpus,
        num_nodes=1,
        tensor_parallel_size=1,
        micro_batch_size=1,
    )


def _fetched(target: CustomizationTargetRequest, uri: str, hf_endpoint: str | None) -> None:
    """Say in a target that the platform fetches its files itself."""
    if not target.num_parameters:
        raise ConfigurationError(
            f"the size of {uri} cannot be determined from here",
            hint="Pass num_parameters, e.g. 2_614_341_888.",
        )
    target.model_uri = uri
    if hf_endpoint is not None:
        target.hf_endpoint = hf_endpoint


def _check_length(max_seq_length: int, snapshot: Snapshot) -> None:
    if max_seq_length > snapshot.longest:
        raise ConfigurationError(
            f"max_seq_length is {max_seq_length}, but the context of the model is {snapshot.longest} tokens"
        )
