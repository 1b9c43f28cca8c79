"""Wire models of the entities service: workspaces and projects."""

from __future__ import annotations

from lawtags_client.helix.types.common import HelixRequest, Resource, UtcDateTime, WireModel


class Workspace(Resource):
    """A workspace, which holds everything else."""


class WorkspaceRequest(HelixRequest):
    """What creates a workspace."""

    name: str
    description: str | None = None


class WorkspaceChanges(HelixRequest):
    """What changes a workspace or a project."""

    description: str | None = None


class WorkspaceDeletion(WireModel):
    """How far the deletion of a workspace is."""

    name: str
    deletion_stage: str | None = None
    deletion_error: str | None = None
    updated_at: UtcDateTime | None = None


class HelixProject(Resource):
    """A label for things that belong together."""


class HelixProjectRequest(HelixRequest):
    """What creates a project."""

    name: str
    description: str | None = None
