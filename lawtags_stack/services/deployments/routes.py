"""Deployment Management as a service."""

from __future__ import annotations

from lawtags_client.json_value import JsonObject
from lawtags_client.types.deployments import (
    DeploymentConfig,
    DeploymentConfigRequest,
    DeploymentConfigUpdate,
    ModelDeployment,
    ModelDeploymentRequest,
    ModelDeploymentUpdate,
)
from lawtags_stack.entities import entity_routes
from lawtags_stack.http.routing import ApiRoute
from lawtags_stack.service import Service, StackContext
from lawtags_stack.services.deployments.active import ActiveDeployments
from lawtags_stack.services.deployments.protocols import InferenceServer
from lawtags_stack.services.deployments.state import DeploymentsState


class DeploymentService(Service):
    """Deployment Management, on the platform's port.

    Args:
        context: the stack.
        active: the deployments.
        inference: the inference server.
    """

    def __init__(self, context: StackContext, active: ActiveDeployments, inference: InferenceServer) -> None:
        self.state = DeploymentsState(
            context.database, active, inference, context.urls.inference, clock=context.clock
        )
        self._active = active
        super().__init__("deployments", "platform", _routes(self.state))

    def summary(self) -> JsonObject:
        return {"deployments": {each.reference: list(each.served) for each in self._active.active()}}


def _routes(state: DeploymentsState) -> list[ApiRoute]:
    configs = entity_routes(
        "/v1/deployment/configs",
        state.configs,
        DeploymentConfigRequest,
        DeploymentConfigUpdate,
        DeploymentConfig,
        searched=False,
    )
    deployments = entity_routes(
        "/v1/deployment/model-deployments",
        state,
        ModelDeploymentRequest,
        ModelDeploymentUpdate,
        ModelDeployment,
        searched=False,
    )
    return [*configs, *deployments]
