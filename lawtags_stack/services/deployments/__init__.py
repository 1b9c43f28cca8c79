"""Deployment Management: what is to be served apart from adapters."""

from __future__ import annotations

from lawtags_stack.services.deployments.active import ActiveDeployments
from lawtags_stack.services.deployments.routes import Deployments

__all__ = ["ActiveDeployments", "Deployments"]
