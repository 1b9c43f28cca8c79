"""The Data Store as a service."""

from __future__ import annotations

from typing import Any

from lawtags_stack.service import Service, StackContext
from lawtags_stack.services.data_store.file_routes import file_routes
from lawtags_stack.services.data_store.lfs_routes import lfs_routes
from lawtags_stack.services.data_store.repo_routes import namespace_routes, repo_routes
from lawtags_stack.services.data_store.state import DataStoreState


class DataStore(Service):
    """The Data Store; it answers on a port of its own."""

    def summary(self) -> dict[str, Any]:
        repositories = self.state.repositories.all()
        return {
            "repositories": {
                kind: sum(each.type == kind for each in repositories) for kind in ("dataset", "model")
            },
            "blob_bytes": self.state.size(),
        }


def create(context: StackContext) -> Service:
    """Make the Data Store."""
    state = DataStoreState(context.database, context.blobs, clock=context.clock)
    routes = [
        *namespace_routes(state),
        *repo_routes(state),
        *lfs_routes(context, state),
        *file_routes(state, empty_commit_url=context.options.empty_commit_url),
    ]
    return DataStore("data_store", "data_store", routes, state)
