"""Checks a training job against the platform, in the order of the real services, and compiles its steps."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.customization.configs import automodel_step, part, rl_step, unsloth_step
from lawtags_stack.helix.customization.steps import CompiledTraining, TrainingStep, platform_spec
from lawtags_stack.helix.filesets import Filesets
from lawtags_stack.helix.jobs.states import FINAL
from lawtags_stack.helix.jobs.store import JobStore
from lawtags_stack.helix.models import Models
from lawtags_stack.helix.refusals import HelixError
from lawtags_stack.helix.secrets import Secrets
from lawtags_stack.helix.tables import split_reference
from lawtags_stack.helix.workspaces import Workspaces

_PROFILES = {
    ("cpu", "default"), ("gpu", "default"), ("cpu", "gpu"), ("gpu", "gpu"), ("gpu_distributed", "default"),
}  # fmt: skip
_LONGEST_NAME = 63
_TRANSFORM = "Failed to transform customization job input to output: "
_COMPILE = "Failed to compile customization job spec: "
Dataset = tuple[str, str, str | None]
# The configuration of a deployment: workspace and name to the model that it is for.
FindConfig = Callable[[str, str], JsonObject | None]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A job that was accepted: its spec as the API echoes it, and its steps."""

    spec: JsonObject
    platform_spec: JsonObject


@dataclass(frozen=True, slots=True)
class Compiler:
    """Compiles training jobs.

    Args:
        workspaces, filesets, models, secrets, jobs: what jobs refer to.
        find_config: returns a deployment configuration, or None.
    """

    workspaces: Workspaces
    filesets: Filesets
    models: Models
    secrets: Secrets
    jobs: JobStore
    find_config: FindConfig

    def compile(self, backend: str, workspace: str, sent: JsonObject) -> Compiled:
        """Check a job, and compile its steps.

        Args:
            backend: ``automodel``, ``unsloth`` or ``rl``.
            workspace: the job's workspace.
            sent: its spec, with defaults.

        Raises:
            HelixError: it refers to something that does not exist or does not fit; see the text.
        """
        reference, datasets = _references(backend, sent)
        model = self.models.find(reference, workspace)
        if model is None:
            name = "/".join(split_reference(reference, workspace))
            message = f"Model entity not found: '{name}'. Verify the model entity exists."
            raise HelixError(422, _TRANSFORM + message)
        found = [self._dataset(each, workspace) for each in datasets if each is not None]
        if part(sent, "training").get("type") == "grpo":
            self._check_environment(sent, workspace)
        spec = _completed(backend, sent, reference, found[0])
        self._check_sizes(backend, spec)
        self._check_output(workspace, spec, model)
        config = self._deployment(workspace, spec.get("deployment_config"), model)
        job = self._job(backend, workspace, spec, model, found[0], config)
        training = _training_step(backend, spec, model.get("trust_remote_code"))
        for step, provider in (("model-and-dataset-download", "cpu"), (training.name, _provider(training))):
            if (provider, job.profile) not in _PROFILES:
                place = f"'{provider}/{job.profile}' specified in step '{step}'"
                raise HelixError(422, f"The execution profile {place} does not exist.")
        self._check_secrets(workspace, spec)
        return Compiled(spec, platform_spec(job, training))

    def _dataset(self, reference: str, workspace: str) -> Dataset:
        place, _, path = reference.partition("#")
        owner, name = split_reference(place, workspace)
        if not self.filesets.exists(name, owner):
            reason = f"Dataset fileset '{name}' not found in workspace '{owner}'. Verify the fileset exists."
            raise HelixError(422, _TRANSFORM + reason)
        folder = f"{path.strip('/')}/" if path.strip("/") else None
        if folder and next(self.filesets.files.within(owner, name, folder), None) is None:
            reason = f"Dataset path '{folder}' not found in fileset '{owner}/{name}'."
            raise HelixError(422, _TRANSFORM + reason)
        return owner, name, folder

    def _check_environment(self, spec: JsonObject, workspace: str) -> None:
        if not spec.get("environment"):
            raise HelixError(422, f"{_TRANSFORM}GRPO jobs require an environment fileset reference.")
        self._dataset(str(spec["environment"]), workspace)
        raise HelixError(422, f"{_COMPILE}this stack does not train with GRPO. Use DPO.")

    def _check_sizes(self, backend: str, spec: JsonObject) -> None:
        training = part(spec, "training")
        if backend == "automodel":
            sizes, batch = part(spec, "parallelism"), part(spec, "batch")
            total, micro = batch["global_batch_size"], batch["micro_batch_size"]
        elif backend == "rl":
            sizes = part(training, "parallelism")
            total, micro = training["batch_size"], training["micro_batch_size"]
        else:
            return
        names = ("tensor_parallel_size", "pipeline_parallel_size", "context_parallel_size")
        gpus = int(str(sizes["num_nodes"])) * int(str(sizes["num_gpus_per_node"]))
        shards = math.prod(int(str(sizes[name])) for name in names)
        if gpus % shards:
            product = " * ".join(f"{name} ({sizes[name]})" for name in names)
            raise HelixError(422, f"{_COMPILE}Total GPUs ({gpus}) must be divisible by {product} = {shards}")
        parallel = gpus // shards
        least = int(str(micro)) * parallel
        if int(str(total)) % least:
            raise HelixError(
                422,
                f"{_COMPILE}global_batch_size ({total}) must be divisible by micro_batch_size ({micro}) * "
                f"data_parallel_size ({parallel}) = {least}",
            )

    def _check_output(self, workspace: str, spec: JsonObject, model: JsonObject) -> None:
        output = part(spec, "output")
        place = f"{workspace}/{output['name']}"
        if not self.workspaces.exists(workspace):
            reason = f"HTTP 404: Workspace '{workspace}' not found"
            message = f"Could not check for running jobs that write output '{place}': {reason}"
            raise HelixError(422, _COMPILE + message)
        for job in self.jobs.within(workspace):
            own = job["spec"]
            if job["source"] != "customization" or job["status"] in FINAL or not isinstance(own, dict):
                continue
            if part(own, "output").get("name") == output["name"]:
                raise HelixError(
                    422,
                    f"{_COMPILE}Job '{job['name']}' ({job['status']}) is already producing output '{place}'. "
                    "Wait for it to finish, or choose a different output.name.",
                )
        adapter = self.models.adapter(workspace, str(output["name"]))
        base = f"{model['workspace']}/{model['name']}"
        if output["type"] == "adapter" and adapter is not None and adapter["model"] != base:
            reason = f"Adapter '{place}' already exists on base model '{adapter['model']}'"
            raise HelixError(422, f"{_COMPILE}{reason}. Choose a different output.name.")

    def _deployment(self, workspace: str, config: JsonValue, model: JsonObject) -> JsonValue:
        if not isinstance(config, str):
            return config
        owner, name = split_reference(config, workspace)
        found = self.find_config(owner, name)
        if found is None:
            reason = f"deployment_config references '{config}' which does not exist in workspace '{owner}'."
            raise HelixError(422, _COMPILE + reason)
        base = f"{model['workspace']}/{model['name']}"
        meant = found.get("model_entity_id")
        if meant not in (None, base):
            reason = f"deployment_config '{config}' is for the model '{meant}', not for '{base}'."
            raise HelixError(422, _COMPILE + reason)
        return config

    def _job(
        self,
        backend: str,
        workspace: str,
        spec: JsonObject,
        model: JsonObject,
        dataset: Dataset,
        config: JsonValue,
    ) -> CompiledTraining:
        fileset = model.get("fileset")
        if not isinstance(fileset, str):
            raise HelixError(
                422,
                f"{_COMPILE}Model '{model['workspace']}/{model['name']}' has no fileset. Attach a platform "
                "FileSet (workspace/name) with model weights before running training.",
            )
        output = part(spec, "output")
        lora = part(part(spec, "training"), "lora")
        peft: JsonObject = {"type": "lora", "rank": lora.get("rank"), "alpha": lora.get("alpha")}
        reference, _ = _references(backend, spec)
        descriptions = {
            "automodel": "Customized model from job",
            "unsloth": "Customized model from unsloth job",
            "rl": f"DPO-trained model from nhx-rl job ({reference})",
        }
        return CompiledTraining(
            backend=backend,
            workspace=workspace,
            profile=str(part(spec, "training").get("execution_profile") or "gpu"),
            model=reference,
            weights=split_reference(fileset, str(model["workspace"])),
            dataset=dataset,
            output=output,
            peft=peft if output["type"] == "adapter" else None,
            description=descriptions[backend],
            trust_remote_code=model.get("trust_remote_code"),
            deployment_config=config,
        )

    def _check_secrets(self, workspace: str, spec: JsonObject) -> None:
        wandb = part(part(spec, "integrations"), "wandb")
        secret = wandb.get("api_key_secret")
        if isinstance(secret, str) and self.secrets.value(*split_reference(secret, workspace)) is None:
            raise HelixError(
                409,
                "Unable to create job because one or more referenced secrets were not found or are not "
                "accessible. Verify each platform_spec secret reference uses the expected workspace/name and "
                "that you have access.",
            )


def _references(backend: str, spec: JsonObject) -> tuple[str, list[str | None]]:
    """The base model and the datasets of a job: training first."""
    if backend == "unsloth":
        data = part(spec, "dataset")
        found: list[JsonValue] = [data["path"], data["validation_path"]]
        model = str(part(spec, "model")["name"])
    elif backend == "automodel":
        data = part(spec, "dataset")
        found, model = [data["training"], data["validation"]], str(spec["model"])
    else:
        found, model = [spec["dataset"]], str(spec["model"])
    return model, [None if each is None else str(each) for each in found]


def _completed(backend: str, spec: JsonObject, model: str, dataset: Dataset) -> JsonObject:
    """The spec with its output, as the API echoes it."""
    sent, training = part(spec, "output"), part(spec, "training")
    suffix = uuid.uuid4().hex[:12]
    stem = f"{split_reference(model, '')[1]}-{dataset[1]}"[: _LONGEST_NAME - 13].rstrip("-")
    name = sent.get("name") or f"{stem}-{suffix}"
    if backend == "rl":
        output: JsonObject = {"name": name, "type": "model", "fileset": name}
    elif backend == "unsloth":
        method = sent.get("save_method", "lora")
        adapter = method == "lora" and training["finetuning_type"] == "lora"
        output = {
            "name": name,
            "type": "adapter" if adapter else "model",
            "save_method": method,
            "fileset": name,
            "description": sent.get("description"),
        }
    else:
        merged = part(training, "lora").get("merge")
        adapter = training["finetuning_type"] == "lora" and not merged
        output = {
            "name": name,
            "type": "adapter" if adapter else "model",
            "fileset": name,
            "description": sent.get("description"),
        }
    return {**spec, "backend": backend, "output": output}


def _training_step(backend: str, spec: JsonObject, trust_remote_code: JsonValue) -> TrainingStep:
    if backend == "automodel":
        return automodel_step(spec, trust_remote_code)
    return unsloth_step(spec) if backend == "unsloth" else rl_step(spec, trust_remote_code)


def _provider(training: TrainingStep) -> str:
    return "gpu_distributed" if training.nodes > 1 else "gpu"
