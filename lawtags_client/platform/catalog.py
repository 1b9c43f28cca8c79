"""What the platform of a client's settings has to train and to ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lawtags_client.client import NeMo
from lawtags_client.errors import NotFoundError, TransportError
from lawtags_client.platform.choice import helix_of
from lawtags_client.platform.helix_model_list import list_helix_models
from lawtags_client.platform.model_list import ConfigRow, ModelRow, TargetRow, list_models, list_trainable

_ON_V1 = "lawtags customize --config NAME, or model.config in a recipe"
_ON_HELIX = "model.config in a recipe"


@dataclass(frozen=True, slots=True)
class PlatformCatalog:
    """What a platform has.

    Attributes:
        configs: what can be trained.
        targets: their base checkpoints; none on Helix, where a model is its own.
        models: what is registered or served.
        missing: why configs and targets could not be read, if so.
        trained_by: what takes the name of a config.
    """

    configs: Sequence[ConfigRow]
    targets: Sequence[TargetRow]
    models: Sequence[ModelRow]
    missing: str | None = None
    trained_by: str = _ON_V1

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing at all."""
        return not (self.configs or self.targets or self.models)


async def read_catalog(nemo: NeMo, namespace: str | None) -> PlatformCatalog:
    """What the platform has.

    Args:
        nemo: an open client.
        namespace: only names in this one; a workspace on Helix.

    Raises:
        LawtagsError: the platform does not list its models.
    """
    async with helix_of(nemo) as helix:
        if helix is not None:
            trainable, known = await list_helix_models(helix, namespace)
            return PlatformCatalog(trainable, (), known, trained_by=_ON_HELIX)
        models = await list_models(nemo, namespace)
        try:
            configs, targets = await list_trainable(nemo, namespace)
        except (NotFoundError, TransportError) as problem:
            return PlatformCatalog((), (), models, f"Configs and targets are missing: {problem.message}")
        return PlatformCatalog(configs, targets, models)
