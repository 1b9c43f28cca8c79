"""Deployment Management: what is to be served apart from adapters."""

from __future__ import annotations

from lawtags_stack.services.deployments.active import ActiveDeployments
from lawtags_stack.services.deployments.routes import DeploymentService

__all__ = ["ActiveDeployments", "DeploymentService"]
