"""The Data Store as a service."""

from __future__ import annotations

from lawtags_client.json_value import JsonObject
from lawtags_stack.service import Service, StackContext
from lawtags_stack.services.data_store.file_routes import file_routes
from lawtags_stack.services.data_store.lfs_routes import lfs_routes
from lawtags_stack.services.data_store.repo_routes import namespace_routes, repo_routes
from lawtags_stack.services.data_store.state import DataStoreState


class DataStoreService(Service):
    """The Data Store, on its own port.

    Args:
        context: the stack.
    """

    def __init__(self, context: StackContext) -> None:
        self.state = DataStoreState(context.database, context.blobs, clock=context.clock)
        routes = [
            *namespace_routes(self.state),
            *repo_routes(self.state),
            *lfs_routes(context, self.state),
            *file_routes(self.state, empty_commit_url=context.options.empty_commit_url),
        ]
        super().__init__("data_store", "data_store", routes)

    def summary(self) -> JsonObject:
        repositories = self.state.repositories.all()
        return {
            "repositories": {
                kind: sum(each.type == kind for each in repositories) for kind in ("dataset", "model")
            },
            "blob_bytes": self.state.size(),
        }
