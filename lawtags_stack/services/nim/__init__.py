"""The inference server: OpenAI's API for base models, their LoRA adapters and deployed models.

``routes`` handles HTTP, ``state`` knows which models are served, and ``queue`` runs their worker processes.
"""

from __future__ import annotations

from lawtags_stack.services.nim.service import NimService

__all__ = ["NimService"]
