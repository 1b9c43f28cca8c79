"""The inference server: OpenAI's API over base models, their LoRA adapters and deployed models.

``routes`` speak HTTP, ``state`` knows what is served, ``work`` drives the worker processes that hold the
models.
"""

from __future__ import annotations

from lawtags_stack.services.nim.service import NimService

__all__ = ["NimService"]
