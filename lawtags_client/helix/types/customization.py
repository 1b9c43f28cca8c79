"""Wire models of the customization service: training jobs of any backend."""

from __future__ import annotations

from lawtags_client.helix.types.automodel import AutomodelSpec
from lawtags_client.helix.types.jobs import HelixJob
from lawtags_client.helix.types.rl import RlSpec
from lawtags_client.helix.types.unsloth import UnslothSpec

TrainingSpec = AutomodelSpec | RlSpec | UnslothSpec


class HelixTrainingJob(HelixJob):
    """A training job; ``spec`` is the request with the defaults filled in."""

    @property
    def output(self) -> str | None:
        """The adapter or model that it makes, ``workspace/name``."""
        found = self.spec.get("output")
        name = found.get("name") if isinstance(found, dict) else None
        return f"{self.workspace}/{name}" if isinstance(name, str) and self.workspace else None

    @property
    def output_type(self) -> str | None:
        """``adapter`` or ``model``."""
        found = self.spec.get("output")
        kind = found.get("type") if isinstance(found, dict) else None
        return kind if isinstance(kind, str) else None

    @property
    def output_fileset(self) -> str | None:
        """The fileset of its files, ``workspace/name``."""
        found = self.spec.get("output")
        name = found.get("fileset") if isinstance(found, dict) else None
        return f"{self.workspace}/{name}" if isinstance(name, str) and self.workspace else self.output

    @property
    def base_model(self) -> str | None:
        """The model that it trains, ``workspace/name``."""
        found = self.spec.get("model")
        name = found.get("name") if isinstance(found, dict) else found
        if not isinstance(name, str):
            return None
        return name if "/" in name or not self.workspace else f"{self.workspace}/{name}"
