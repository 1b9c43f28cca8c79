"""The Customizer's state, independent of HTTP."""

from __future__ import annotations

from lawtags_client.json_value import JsonObject
from lawtags_stack.service import StackContext
from lawtags_stack.services.customizer.configs import Configs
from lawtags_stack.services.customizer.jobs import TrainingJobs
from lawtags_stack.services.customizer.logs import container_logs
from lawtags_stack.services.customizer.protocols import CustomizerDataStore, CustomizerEntityStore
from lawtags_stack.services.customizer.queue import TrainingQueue
from lawtags_stack.services.customizer.targets import Targets
from lawtags_stack.services.customizer.training import JobFolder


class CustomizerState:
    """Targets, configs and jobs, and the queue that trains them.

    Example:
        >>> state.jobs.create({"config": "my-config@v1.0.0+cpu", "dataset": "law/tags",
        ...                    "hyperparameters": {"finetuning_type": "lora"}})["status"]
        'created'

    Args:
        context: the stack.
        entities: the Entity Store.
        files: the Data Store.
    """

    def __init__(
        self, context: StackContext, entities: CustomizerEntityStore, files: CustomizerDataStore
    ) -> None:
        self._context = context
        self.targets = Targets(context, files)
        self.configs = Configs(context, self.targets)
        self.jobs = TrainingJobs(context, self.targets, self.configs, entities, files)
        self.queue = TrainingQueue(context, self.jobs, self.targets, entities, files)

    def start(self) -> None:
        """Update the built-in targets and configs, and resume interrupted work."""
        self.targets.seed()
        self.configs.seed()
        self.targets.resume()
        self.queue.start()

    def stop(self) -> None:
        """Stop all work; it is resumable."""
        self.queue.stop()
        self.targets.stop(1.0)

    def container_logs(self, job_id: str) -> JsonObject:
        """The output of a job's process."""
        return container_logs(self.jobs.stored(job_id), JobFolder(self._context, job_id).log())
