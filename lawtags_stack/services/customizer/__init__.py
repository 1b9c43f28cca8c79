"""The Customizer: targets, configs and training jobs."""

from __future__ import annotations

from lawtags_stack.services.customizer.routes import CustomizerService

__all__ = ["CustomizerService"]
