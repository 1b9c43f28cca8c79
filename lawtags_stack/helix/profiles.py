"""The execution profiles that the jobs API lists."""

from __future__ import annotations

from lawtags_client.json_value import JsonObject, JsonValue

_NOTHING: JsonObject = {"cpu": None, "memory": None}
_COMMON: JsonObject = {
    "ttl_seconds_before_active": 1800,
    "ttl_seconds_active": 86400,
    "ttl_seconds_after_finished": 3600,
    "cleanup_completed_jobs_immediately": True,
    "launcher_tool_path": "/tools/jobs-launcher",
    "default_task_image": None,
    "env": {},
}
_CLUSTER: JsonObject = {
    **_COMMON,
    "ttl_seconds_image_pull": 600,
    "service_account_name": "default",
    "tolerations": [],
    "node_selector": {},
    "affinity": {},
    "resources": {
        "requests": _NOTHING, "limits": _NOTHING, "num_nodes": 1, "num_gpus": None, "shm_size": None,
    },
    "pod_security_context": {},
    "image_pull_secrets": [],
    "job_metadata": {"labels": {}, "annotations": {}},
    "pod_metadata": {"labels": {}, "annotations": {}},
    "num_gpus": 1,
    "launcher_image": "nvcr.io/nvidia/nemo-microservices/jobs-launcher:latest",
    "workload_identity": {"token_expiration_seconds": 600, "token_audience": None},
}  # fmt: skip
_JOB: JsonObject = {**_CLUSTER, "namespace": "default", "scheduler_name": ""}
_VOLCANO: JsonObject = {
    **_CLUSTER,
    "namespace": None,
    "scheduler_name": "volcano",
    "queue": "default",
    "max_retry": 0,
    "plugins": {},
    "enable_multi_node_networking": True,
}
_SUBPROCESS: JsonObject = {
    **_COMMON,
    "ttl_seconds_before_active": 600,
    "ttl_seconds_active": 3600,
    "ttl_seconds_after_finished": 300,
    "cleanup_completed_jobs_immediately": False,
    "graceful_shutdown_timeout_seconds": 10,
}


def execution_profiles(folder: str) -> list[JsonValue]:
    """The profiles.

    Args:
        folder: the stack's folder.
    """

    def profile(provider: str, name: str, backend: str, config: JsonObject) -> JsonObject:
        return {"provider": provider, "profile": name, "backend": backend, "config": config}

    job: JsonObject = {**_JOB, "storage": _storage("jobs-pvc")}
    return [
        profile("cpu", "default", "kubernetes_job", job),
        profile("gpu", "default", "kubernetes_job", job),
        profile("cpu", "gpu", "kubernetes_job", job),
        profile("gpu", "gpu", "kubernetes_job", job),
        profile("gpu_distributed", "default", "volcano_job", {**_VOLCANO, "storage": _storage("")}),
        profile(
            "subprocess", "default", "subprocess", {**_SUBPROCESS, "working_directory": f"{folder}/jobs"}
        ),
    ]


def _storage(claim: str) -> JsonObject:
    return {
        "pvc_name": claim,
        "volume_permissions_image": "docker.io/library/busybox:stable",
        "additional_volumes": [],
        "additional_volume_mounts": [],
    }
