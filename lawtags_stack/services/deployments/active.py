"""Stored deployments, and the active ones among them."""

from __future__ import annotations

from lawtags_stack.entities import EntityKind, EntityRecord, EntityTable
from lawtags_stack.entities.secrets import masked
from lawtags_stack.services.deployments.records import DeploymentRecord
from lawtags_stack.store import Database
from lawtags_stack.times import Clock, utc_now, zulu

# Internal fields: the config at the time of creation, and when a deleted deployment disappears.
_HIDDEN = ("config_found", "gone_at", "hf_token")

CONFIGS = EntityKind(
    record=EntityRecord,
    label="deployment config",
    table="deployments_configs",
    id_prefix="deployment-config",
    nulls=False,
    defaults={},
    stamp=zulu,
    shows_id=False,
    present=masked,
)
DEPLOYMENTS = EntityKind(
    record=DeploymentRecord,
    label="model deployment",
    table="deployments_model_deployments",
    id_prefix="model-deployment",
    fields=(
        "async_enabled", "config", "created_at", "deployed", "description", "models", "name", "namespace",
        "status_details", "updated_at", "url",
    ),
    nulls=False,
    defaults={"async_enabled": False},
    stamp=zulu,
    shows_id=False,
    present=lambda document: masked({k: v for k, v in document.items() if k not in _HIDDEN}),
)  # fmt: skip


class ActiveDeployments:
    """The deployments of a stack, without the status of their models.

    Args:
        database: stores the deployments.
        clock: returns the time.
    """

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self.entities = EntityTable(database, DEPLOYMENTS, clock=clock)

    def active(self) -> list[DeploymentRecord]:
        """The deployments to serve, oldest first, except those being deleted."""
        return [each for each in self.entities.all() if each.gone_at is None]
