"""What NeMo Helix has to train and to ask, in the rows of the other platform."""

from __future__ import annotations

from lawtags_client.helix.client import Helix
from lawtags_client.helix.names import ANY_WORKSPACE, adapter_reference
from lawtags_client.helix.types.models import HelixModel
from lawtags_client.platform.helix_jobs import METHODS, TRAINED_TOKENS
from lawtags_client.platform.model_list import ConfigRow, ModelRow


async def list_helix_models(helix: Helix, workspace: str | None) -> tuple[list[ConfigRow], list[ModelRow]]:
    """What can be trained, and models with their adapters, newest first; each is served or not.

    Args:
        helix: an open client.
        workspace: only names in this one.
    """
    if workspace is not None and await helix.workspaces.find(workspace) is None:
        # The list of its models would answer 500.
        return [], []
    served = {
        entry.model_entity_id
        async for provider in helix.providers.list(workspace=ANY_WORKSPACE)
        for entry in provider.served_models
    }
    found = helix.models.list(workspace=workspace or ANY_WORKSPACE, sort="-created_at")
    models = [model async for model in found]
    rows = [row for model in models for row in _rows(model, served)]
    known = {row.name for row in rows}
    others = [name for name in sorted(served - known) if workspace in (None, name.partition("/")[0])]
    rows += [ModelRow(name, name, None, None, served=True) for name in others]
    return [_config(model) for model in models if model.fileset], rows


def _config(model: HelixModel) -> ConfigRow:
    length = (model.spec or {}).get("context_size")
    return ConfigRow(
        name=model.reference,
        base_model=model.reference,
        target=None,
        methods=tuple(" ".join(method) for method in METHODS),
        max_seq_length=min(length, TRAINED_TOKENS) if isinstance(length, int) else TRAINED_TOKENS,
    )


def _rows(model: HelixModel, served: set[str]) -> list[ModelRow]:
    names = [(model.reference, model.base_model, model.fileset)]
    for adapter in model.adapters:
        owner = adapter.workspace or model.workspace
        names.append(
            (adapter_reference(model.reference, f"{owner}/{adapter.name}"), model.reference, adapter.fileset)
        )
    return [
        ModelRow(name, name, base, f"fileset {fileset}" if fileset else None, served=name in served)
        for name, base, fileset in names
    ]
