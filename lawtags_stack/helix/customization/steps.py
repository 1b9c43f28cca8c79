"""The four steps of a training job: download, training, upload, creation of the entity."""

from __future__ import annotations

from dataclasses import dataclass

from lawtags_client.json_value import JsonObject, JsonValue

_STORAGE = "/var/run/scratch/job"
MODEL_PATH, DATASET_PATH = f"{_STORAGE}/model", f"{_STORAGE}/dataset"
OUTPUT_PATH, WORKSPACE_PATH = f"{_STORAGE}/output_model", f"{_STORAGE}/training"
DOWNLOAD_STEP, UPLOAD_STEP, ENTITY_STEP = (
    "model-and-dataset-download",
    "model-upload",
    "model-entity-creation",
)
_PYTHON = ["/opt/venv/bin/python"]
_NO_LIMITS: JsonObject = {"cpu": None, "memory": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledTraining:
    """What the steps around the training need to know.

    Args:
        backend: ``automodel``, ``unsloth`` or ``rl``.
        workspace: the job's workspace.
        profile: the execution profile of all steps.
        model: the base model, as the caller named it.
        weights: the base model's fileset: workspace and name.
        dataset: the training data: workspace, name, and folder or None.
        output: the output's name and fileset.
        peft: the LoRA configuration; None for a full model.
        description: the description of the entity.
        trust_remote_code: as in the base model.
        deployment_config: what to deploy afterwards.
        integrations: the secrets that they need, by environment variable.
    """

    backend: str
    workspace: str
    profile: str
    model: str
    weights: tuple[str, str]
    dataset: tuple[str, str, str | None]
    output: JsonObject
    peft: JsonObject | None
    description: str
    trust_remote_code: JsonValue
    deployment_config: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStep:
    """The step that a GPU is for.

    Args:
        config: its configuration.
        name: its name.
        nodes: number of nodes.
        gpus: GPUs per node; None if it is not requested.
        memory: shared memory; None if it is not requested.
        staleness: seconds after which a silent task counts as dead; 0 for never.
        environment: additional environment variables.
    """

    config: JsonObject
    name: str = "training"
    nodes: int = 1
    gpus: int | None = 1
    memory: str | None = None
    staleness: int = 0
    environment: tuple[tuple[str, str], ...] = ()


def platform_spec(job: CompiledTraining, training: TrainingStep) -> JsonObject:
    """The steps of a training job.

    Args:
        job: the job.
        training: its training step.
    """
    steps: list[JsonValue] = [
        _cpu_step(job, DOWNLOAD_STEP, _download(job), "file_io"),
        _training_step(job, training),
        _cpu_step(job, UPLOAD_STEP, _upload(job), "file_io"),
        _cpu_step(job, ENTITY_STEP, _entity(job), "model_entity"),
    ]
    return {"steps": steps, "secrets": None}


def _download(job: CompiledTraining) -> JsonObject:
    workspace, name = job.weights
    data_workspace, data_name, folder = job.dataset
    model: JsonObject = {"workspace": workspace, "name": name, "path": None}
    dataset: JsonObject = {"workspace": data_workspace, "name": data_name, "path": folder}
    return {
        "download": [{"src": model, "dest": MODEL_PATH}, {"src": dataset, "dest": DATASET_PATH}],
        "upload": [],
    }


def _upload(job: CompiledTraining) -> JsonObject:
    fileset: JsonObject = {"workspace": None, "name": job.output["fileset"], "path": None}
    return {"download": [], "upload": [{"src": OUTPUT_PATH, "dest": fileset, "metadata": None}]}


def _entity(job: CompiledTraining) -> JsonObject:
    return {
        "name": job.output["name"],
        "workspace": job.workspace,
        "description": job.description,
        "fileset": {"workspace": None, "name": job.output["fileset"], "path": None},
        "model_entity": job.model,
        "base_model": job.model,
        "peft": job.peft,
        "trust_remote_code": job.trust_remote_code,
        "deployment_config": job.deployment_config,
    }


def _cpu_step(job: CompiledTraining, name: str, config: JsonObject, task: str) -> JsonObject:
    service = "customizer" if job.backend == "automodel" else job.backend
    command: list[JsonValue] = ["-m", f"nhx.customization_common.tasks.{task}"]
    if task == "file_io":
        command += ["--service-source", job.backend]
    command += ["--service-name", service]
    resources: JsonObject = {
        "requests": {"cpu": "1", "memory": "8Gi"},
        "limits": {"cpu": "4", "memory": "16Gi"},
        "num_nodes": 1,
        "num_gpus": None,
        "shm_size": None,
    }
    return {
        "name": name,
        "environment": [_variable("NEMO_JOB_PERSISTENT_JOB_STORAGE_PATH", _STORAGE)],
        "executor": {
            "provider": "cpu",
            "profile": job.profile,
            "container": _container("customizer-tasks", command),
            "resources": resources,
        },
        "config": config,
        "lifecycle": {"staleness_timeout_seconds": 0},
    }


def _training_step(job: CompiledTraining, training: TrainingStep) -> JsonObject:
    variables = [("NEMO_JOB_PERSISTENT_JOB_STORAGE_PATH", _STORAGE), *training.environment]
    return {
        "name": training.name,
        "environment": [_variable(name, value) for name, value in variables],
        "executor": {
            "provider": "gpu_distributed" if training.nodes > 1 else "gpu",
            "profile": job.profile,
            "container": _container(f"{job.backend}-training", ["-m", f"nhx.{job.backend}.tasks.training"]),
            "resources": {
                "requests": _NO_LIMITS,
                "limits": _NO_LIMITS,
                "num_nodes": training.nodes,
                "num_gpus": training.gpus,
                "shm_size": training.memory,
            },
        },
        "config": training.config,
        "lifecycle": {"staleness_timeout_seconds": training.staleness},
    }


def _container(image: str, command: list[JsonValue]) -> JsonObject:
    return {
        "image": f"my-registry/nhx-{image}:local",
        "entrypoint": [*_PYTHON],
        "command": command,
    }


def _variable(name: str, value: str) -> JsonObject:
    return {"name": name, "value": value, "from_secret": None}
