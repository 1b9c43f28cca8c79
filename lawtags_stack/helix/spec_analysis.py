"""The job that the platform submits when a model gets weights; it waits for a runner like any other."""

from __future__ import annotations

import uuid
from typing import ClassVar

from lawtags_client.json_value import JsonObject
from lawtags_stack.helix.jobs.store import JobStore

_STEP = "model-spec-analysis"
_PRINCIPAL: JsonObject = {
    "principal_id": "service:models",
    "principal_groups": [],
    "principal_authz_aliases": ["service:models"],
    "principal_on_behalf_of_authz_aliases": [],
}


class SpecAnalysis:
    """Submits jobs that read a model's configuration.

    Args:
        jobs: all jobs.
    """

    SOURCE: ClassVar[str] = "models-system"

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs

    def submit(self, workspace: str, model: str) -> None:
        """Submit the job for a model."""
        config: JsonObject = {"workspace": workspace, "name": model}
        step: JsonObject = {
            "name": _STEP,
            "environment": [
                {
                    "name": "NEMO_JOB_EPHEMERAL_TASK_STORAGE_PATH",
                    "value": "/var/run/scratch/task",
                    "from_secret": None,
                },
                {"name": "GPU_MEM_GB", "value": "80", "from_secret": None},
            ],
            "executor": {
                "provider": "cpu",
                "profile": "gpu",
                "container": {
                    "image": "my-registry/nhx-customizer-tasks:local",
                    "entrypoint": ["/opt/venv/bin/python"],
                    "command": ["-m", "nhx.core.models.tasks.model_spec"],
                },
                "resources": {
                    "requests": {"cpu": "1", "memory": "8Gi"},
                    "limits": {"cpu": "4", "memory": "32Gi"},
                    "num_nodes": 1,
                    "num_gpus": None,
                    "shm_size": None,
                },
            },
            "config": config,
            "lifecycle": {"staleness_timeout_seconds": 0},
        }
        self._jobs.create(
            workspace,
            f"{self.SOURCE}-{uuid.uuid4().hex[:8]}",
            source=self.SOURCE,
            spec=config,
            platform_spec={"steps": [step], "secrets": None},
            sent={},
            custom_fields={},
            principal=_PRINCIPAL,
        )
