"""What Deployment Management asks of the inference server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the inference server answers for a model.

    Args:
        status: ``ready`` once it does; ``failed`` where it never will.
        description: why, in a sentence.
    """

    status: Literal["pending", "ready", "failed"]
    description: str | None = None


class InferenceServer(Protocol):
    """Serves what is deployed."""

    def readiness(self, model: str) -> Readiness:
        """Whether ``namespace/name[@version]`` is served; asked on every read of a deployment."""
        ...

    def deployments_changed(self) -> None:
        """Deployments were added, changed or removed: look at them again soon."""
        ...
