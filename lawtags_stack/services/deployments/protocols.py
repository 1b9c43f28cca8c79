"""What Deployment Management needs from the inference server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the inference server is ready to serve a model.

    Args:
        status: ``ready``, ``pending``, or ``failed`` if it can never be served.
        description: the reason, as a sentence.
    """

    status: Literal["pending", "ready", "failed"]
    description: str | None = None


class InferenceServer(Protocol):
    """Serves deployed models."""

    def readiness(self, model: str) -> Readiness:
        """The readiness of ``namespace/name[@version]``; called on every read of a deployment."""
        ...

    def deployments_changed(self) -> None:
        """Notify that deployments were added, changed or deleted."""
        ...
