"""Workspaces and projects."""

from __future__ import annotations

from lawtags_client.helix.collection import HelixCollection, Place
from lawtags_client.helix.names import check_name
from lawtags_client.helix.types.workspaces import (
    HelixProject,
    HelixProjectRequest,
    Workspace,
    WorkspaceChanges,
    WorkspaceDeletion,
    WorkspaceRequest,
)
from lawtags_client.services.parsing import parse
from lawtags_client.transport.call import Call
from lawtags_client.transport.paths import join

_ROOT = "/apis/entities/v2"


class HelixWorkspaces(HelixCollection[Workspace, WorkspaceRequest, WorkspaceChanges]):
    """Workspaces, which hold everything else."""

    def __init__(self, place: Place) -> None:
        super().__init__(
            place,
            "entities",
            "workspaces",
            Workspace,
            WorkspaceRequest,
            WorkspaceChanges,
            what="workspace",
            method="PUT",
        )

    def _path(self, workspace: str | None = None) -> str:
        return f"{_ROOT}/workspaces"

    def _of(self, reference: str) -> str:
        return self._path() + join(check_name(reference.rpartition("/")[2], "workspace"))

    async def deletion(self, name: str) -> WorkspaceDeletion:
        """How far the deletion of a workspace is; its contents go in the background, over minutes.

        Raises:
            NotFoundError: it is not being deleted, or is gone.
        """
        path = f"{_ROOT}/workspace-deletions{join(check_name(name, 'workspace'))}"
        return await parse(
            WorkspaceDeletion, await self._place.http.json(Call("GET", path)), self._place.http
        )


class Projects(HelixCollection[HelixProject, HelixProjectRequest, WorkspaceChanges]):
    """Projects, which label things that belong together."""

    def __init__(self, place: Place) -> None:
        super().__init__(
            place,
            "entities",
            "projects",
            HelixProject,
            HelixProjectRequest,
            WorkspaceChanges,
            what="project",
            method="PUT",
        )
