"""The Customizer without its HTTP."""

from __future__ import annotations

from typing import Any

from lawtags_stack.base_models import DEFAULT_BASE_MODEL
from lawtags_stack.service import StackContext
from lawtags_stack.services.customizer.configs import SEEDED_CONFIG, Configs
from lawtags_stack.services.customizer.jobs import Jobs
from lawtags_stack.services.customizer.logs import container_logs
from lawtags_stack.services.customizer.queue import TrainingQueue
from lawtags_stack.services.customizer.targets import SEEDED_VERSION, Targets

DEFAULT_TARGET = f"{DEFAULT_BASE_MODEL}@{SEEDED_VERSION}"
DEFAULT_CONFIG = f"{DEFAULT_BASE_MODEL}@{SEEDED_CONFIG}"


class CustomizerState:
    """Targets, configs and jobs, and the queue that trains them.

    Example:
        >>> state.jobs.create({"config": DEFAULT_CONFIG, "dataset": "law/tags",
        ...                    "hyperparameters": {"finetuning_type": "lora"}})["status"]
        'created'

    Args:
        context: the stack.
    """

    def __init__(self, context: StackContext) -> None:
        self._context = context
        self.targets = Targets(context)
        self.configs = Configs(context, self.targets)
        self.jobs = Jobs(context, self.targets, self.configs)
        self.queue = TrainingQueue(context, self.jobs, self.targets)

    def start(self) -> None:
        """Bring targets and configs up to date and resume what was interrupted."""
        self.targets.seed()
        self.configs.seed()
        self.targets.resume()
        self.queue.start()

    def stop(self) -> None:
        """End all work so that it can be resumed."""
        self.queue.stop()
        self.targets.stop(1.0)

    def container_logs(self, job_id: str) -> dict[str, Any]:
        """What the process of a job said."""
        return container_logs(self._context, self.jobs.stored(job_id))
