"""The results of jobs: names for files in filesets."""

from __future__ import annotations

from lawtags_client.json_value import JsonObject
from lawtags_stack.helix.refusals import HelixError
from lawtags_stack.store import Database, Documents, DuplicateKeyError
from lawtags_stack.times import Clock, naive


class HelixResultStore:
    """The results of all jobs.

    Args:
        database: the database.
        clock: returns the time.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._clock = clock
        self._results = Documents(database, "helix_results")

    def add(self, job: JsonObject, name: str, url: str, storage: str) -> JsonObject:
        """Register a result of a job.

        Raises:
            HelixError: the job already has a result of this name (409).
        """
        now = naive(self._clock())
        result: JsonObject = {
            "name": name,
            "job": job["id"],
            "workspace": job["workspace"],
            "project": None,
            "created_at": now,
            "updated_at": now,
            "artifact_url": url,
            "artifact_storage_type": storage,
        }
        try:
            self._results.insert(f"{job['id']}/{name}", result)
        except DuplicateKeyError:
            message = f"Entity with name '{name}' already exists in workspace '{job['workspace']}'"
            raise HelixError(409, message) from None
        return result

    def of(self, job: JsonObject) -> list[JsonObject]:
        """The results of a job, newest first."""
        return self._results.below(str(job["id"]))[::-1]

    def get(self, job: JsonObject, name: str) -> JsonObject:
        """Return a result.

        Raises:
            HelixError: there is none of this name (404).
        """
        found = self._results.get(f"{job['id']}/{name}")
        if found is None:
            reason = f"Result '{name}' for job '{job['name']}' not found in workspace '{job['workspace']}'."
            raise HelixError(404, reason)
        return found

    def remove(self, job: JsonObject) -> None:
        """Remove the results of a job."""
        for result in self.of(job):
            self._results.delete(f"{job['id']}/{result['name']}")
