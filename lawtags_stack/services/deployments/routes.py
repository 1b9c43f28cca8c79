"""Deployment Management as a service."""

from __future__ import annotations

from typing import Any

from lawtags_client.types.deployments import (
    DeploymentConfig,
    DeploymentConfigRequest,
    DeploymentConfigUpdate,
    ModelDeployment,
    ModelDeploymentRequest,
    ModelDeploymentUpdate,
)
from lawtags_stack.entities import entity_routes
from lawtags_stack.service import Service, StackContext
from lawtags_stack.services.deployments.state import DeploymentsState


class Deployments(Service):
    """Deployment Management; it answers on the platform's port."""

    def summary(self) -> dict[str, Any]:
        active = self.state.active()
        return {"deployments": {f"{each.namespace}/{each.name}": list(each.models) for each in active}}


def create(context: StackContext) -> Service:
    """Make Deployment Management."""
    state = DeploymentsState(
        context.database, lambda: context.nim, context.urls.inference, clock=context.clock
    )
    routes = entity_routes(
        "/v1/deployment/configs",
        state.configs,
        DeploymentConfigRequest,
        DeploymentConfigUpdate,
        DeploymentConfig,
        searched=False,
    )
    routes += entity_routes(
        "/v1/deployment/model-deployments",
        state,
        ModelDeploymentRequest,
        ModelDeploymentUpdate,
        ModelDeployment,
        searched=False,
    )
    return Deployments("deployments", "platform", routes, state)
