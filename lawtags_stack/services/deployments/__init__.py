"""Deployment Management: what is to be served apart from adapters."""

from __future__ import annotations

from lawtags_stack.services.deployments.routes import create

__all__ = ["create"]
