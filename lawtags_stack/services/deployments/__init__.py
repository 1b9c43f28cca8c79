"""Deployment Management: deployed models, as opposed to adapters."""

from __future__ import annotations

from lawtags_stack.services.deployments.active import ActiveDeployments
from lawtags_stack.services.deployments.routes import DeploymentService

__all__ = ["ActiveDeployments", "DeploymentService"]
