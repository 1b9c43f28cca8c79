"""The Customizer as a service: ``/v1/customization``."""

from __future__ import annotations

import asyncio

from lawtags_client.json_value import JsonObject
from lawtags_client.types.common import Page
from lawtags_client.types.customizer import (
    ContainerLogs,
    CustomizationConfig,
    CustomizationConfigRequest,
    CustomizationConfigUpdate,
    CustomizationJob,
    CustomizationJobRequest,
    CustomizationStatusDetails,
    CustomizationTarget,
    CustomizationTargetRequest,
    CustomizationTargetUpdate,
)
from lawtags_stack.entities import entity_routes
from lawtags_stack.http.operations import list_parameters
from lawtags_stack.http.routing import ApiRoute, RouteCall, route
from lawtags_stack.service import Service, StackContext
from lawtags_stack.services.customizer.configs import SORTS
from lawtags_stack.services.customizer.progress import planned_steps
from lawtags_stack.services.customizer.protocols import CustomizerDataStore, CustomizerEntityStore
from lawtags_stack.services.customizer.records import JobRecord
from lawtags_stack.services.customizer.state import CustomizerState

_TARGETS = "/v1/customization/targets"
_CONFIGS = "/v1/customization/configs"
_JOBS = "/v1/customization/jobs"


class CustomizerService(Service):
    """The Customizer, on the platform's port.

    Args:
        context: the stack.
        entities: the Entity Store.
        files: the Data Store.
    """

    def __init__(
        self, context: StackContext, entities: CustomizerEntityStore, files: CustomizerDataStore
    ) -> None:
        self.state = CustomizerState(context, entities, files)
        super().__init__("customizer", "platform", [*_entity_routes(self.state), *_job_routes(self.state)])

    async def start(self) -> None:
        await asyncio.to_thread(self.state.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self.state.stop)

    def busy(self) -> bool:
        return bool(self.state.jobs.unfinished())

    def summary(self) -> JsonObject:
        unfinished = self.state.jobs.unfinished()
        return {"jobs": [_summary(each) for each in unfinished], "jobs_by_state": self.state.jobs.counts()}


def _summary(record: JobRecord) -> JsonObject:
    return {
        "id": record.job.id,
        "status": record.job.status,
        "output_model": record.job.output_model,
        "steps_completed": record.details.steps_completed,
        "percentage_done": record.details.percentage_done,
        "steps": planned_steps(record),
    }


def _entity_routes(state: CustomizerState) -> list[ApiRoute]:
    targets = entity_routes(
        _TARGETS,
        state.targets.entities,
        CustomizationTargetRequest,
        CustomizationTargetUpdate,
        CustomizationTarget,
        on_create=state.targets.create,
        on_update=state.targets.patch,
        on_delete=lambda namespace, name: state.targets.delete(
            namespace, name, in_use=state.jobs.uses_target
        ),
        searched=False,
    )
    configs = entity_routes(
        _CONFIGS,
        state.configs.entities,
        CustomizationConfigRequest,
        CustomizationConfigUpdate,
        CustomizationConfig,
        on_create=state.configs.create,
        on_update=state.configs.patch,
        searched=False,
    )

    def list_configs(call: RouteCall) -> JsonObject:
        """List configs; filters also apply to fields of their targets and options."""
        return state.configs.select(call.list_query(SORTS)).envelope()

    listed = route(
        "GET",
        _CONFIGS,
        list_configs,
        answers=Page[CustomizationConfig],
        query=list_parameters(SORTS, search=False),
    )
    return [listed, *targets, *configs]


def _job_routes(state: CustomizerState) -> list[ApiRoute]:
    def list_jobs(call: RouteCall) -> JsonObject:
        """List jobs."""
        return state.jobs.select(call.list_query()).envelope()

    def create_job(call: RouteCall) -> JsonObject:
        """Submit a job."""
        return state.jobs.create(call.sent(dict))

    def read_job(call: RouteCall) -> JsonObject:
        """Get a job."""
        return state.jobs.get(call.path["job_id"])

    def read_status(call: RouteCall) -> JsonObject:
        """Get the status of a job, with its metric series."""
        return state.jobs.status(call.path["job_id"])

    def cancel_job(call: RouteCall) -> JsonObject:
        """Cancel a job."""
        return state.jobs.cancel(call.path["job_id"])

    def read_logs(call: RouteCall) -> JsonObject:
        """Get the output of the training process."""
        return state.container_logs(call.path["job_id"])

    one, listed = f"{_JOBS}/{{job_id}}", list_parameters(("created_at",), search=False)
    return [
        route("GET", _JOBS, list_jobs, answers=Page[CustomizationJob], query=listed),
        route("POST", _JOBS, create_job, body=dict, reads=CustomizationJobRequest, answers=CustomizationJob),
        route("GET", one, read_job, answers=CustomizationJob),
        route("GET", f"{one}/status", read_status, answers=CustomizationStatusDetails),
        route("POST", f"{one}/cancel", cancel_job, answers=CustomizationJob),
        route("GET", f"{one}/container-logs", read_logs, answers=ContainerLogs),
    ]
