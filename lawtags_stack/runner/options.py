"""How a runner works."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lawtags_client.errors import ConfigurationError

ALL_WORKSPACES = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """How a runner works.

    Args:
        folder: its working folder, which it locks. Jobs that it left resume from there.
        device: where to train, as in ``Compute.choose``.
        workspace: the only workspace to take jobs of; ``-`` for all.
        job_storage: the folder on this machine that is ``/`` to the platform's own tasks, if the platform
            downloads and uploads itself. None: jobs of such a platform are left alone.
        threads: torch threads; None uses all cores.
        memory_limit_mb: memory limit of a training in MiB; None: no limit.
        idle_timeout: seconds without a job after which the runner ends; None: it runs until it is stopped.
        poll_seconds: seconds between looks at the platform.
        heartbeat_seconds: seconds between signs of life.
        stale_seconds: seconds without a sign of life after which another runner's job is taken over.
    """

    folder: Path
    device: str = "auto"
    workspace: str = ALL_WORKSPACES
    job_storage: Path | None = None
    threads: int | None = None
    memory_limit_mb: int | None = None
    idle_timeout: float | None = None
    poll_seconds: float = 2.0
    heartbeat_seconds: float = 10.0
    stale_seconds: float = 60.0


def check_job_storage(root: Path | None) -> None:
    """Check the option ``--job-storage``.

    Raises:
        ConfigurationError: it is not a folder.
    """
    if root is not None and not root.is_dir():
        raise ConfigurationError(
            f"--job-storage {root} is not a folder",
            hint="Pass the folder of this machine that is / to the platform: / itself, or the root of its "
            "chroot.",
        )
