"""The Customizer as a service: ``/v1/customization``."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.routing import Route

from lawtags_client.local.customizer.configs import SORTS
from lawtags_client.local.customizer.state import CustomizerState
from lawtags_client.local.entities import entity_routes
from lawtags_client.local.service import Service, StackContext
from lawtags_client.local.wire.bodies import validate
from lawtags_client.local.wire.routing import Call, route
from lawtags_client.types.customizer import (
    CustomizationConfigRequest,
    CustomizationConfigUpdate,
    CustomizationJobRequest,
    CustomizationTargetRequest,
    CustomizationTargetUpdate,
)

_TARGETS = "/v1/customization/targets"
_CONFIGS = "/v1/customization/configs"
_JOBS = "/v1/customization/jobs"


class Customizer(Service):
    """The Customizer; it answers on the platform's port."""

    state: CustomizerState

    async def start(self) -> None:
        await asyncio.to_thread(self.state.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self.state.stop)

    def busy(self) -> bool:
        return bool(self.state.jobs.unfinished())

    def summary(self) -> dict[str, Any]:
        jobs = self.state.jobs.unfinished()
        return {"jobs": [{"id": each["job"]["id"], "status": each["job"]["status"]} for each in jobs]}


def create(context: StackContext) -> Service:
    """Make the Customizer."""
    state = CustomizerState(context)
    return Customizer("customizer", "platform", [*_entity_routes(state), *_job_routes(state)], state)


def _entity_routes(state: CustomizerState) -> list[Route]:
    targets = entity_routes(
        _TARGETS,
        state.targets.entities,
        CustomizationTargetRequest,
        CustomizationTargetUpdate,
        on_create=state.targets.create,
        on_update=state.targets.patch,
        on_delete=lambda namespace, name: state.targets.delete(
            namespace, name, in_use=state.jobs.uses_target
        ),
    )
    configs = entity_routes(
        _CONFIGS,
        state.configs.entities,
        CustomizationConfigRequest,
        CustomizationConfigUpdate,
        on_create=state.configs.create,
        on_update=state.configs.patch,
    )

    def list_configs(call: Call) -> Any:
        return state.configs.select(call.list_query(SORTS)).envelope()

    return [route("GET", _CONFIGS, list_configs), *targets, *configs]


def _job_routes(state: CustomizerState) -> list[Route]:
    def list_jobs(call: Call) -> Any:
        return state.jobs.select(call.list_query()).envelope()

    def create_job(call: Call) -> Any:
        # Checked for its types, but kept as it was sent: 1 and 1.0 mean different validation intervals.
        validate(CustomizationJobRequest, call.body)
        return state.jobs.create(call.body)

    def read_job(call: Call) -> Any:
        return state.jobs.get(call.path["job_id"])

    def read_status(call: Call) -> Any:
        return state.jobs.status(call.path["job_id"])

    def cancel_job(call: Call) -> Any:
        return state.jobs.cancel(call.path["job_id"])

    def read_logs(call: Call) -> Any:
        return state.container_logs(call.path["job_id"])

    return [
        route("GET", _JOBS, list_jobs),
        route("POST", _JOBS, create_job, body=dict),
        route("GET", f"{_JOBS}/{{job_id}}", read_job),
        route("GET", f"{_JOBS}/{{job_id}}/status", read_status),
        route("POST", f"{_JOBS}/{{job_id}}/cancel", cancel_job),
        route("GET", f"{_JOBS}/{{job_id}}/container-logs", read_logs),
    ]
