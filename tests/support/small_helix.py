"""A minimal customization service of Helix without a network, with its rules for names."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx

_JOBS = re.compile(r"/apis/customization/v2/workspaces/([^/]+)/automodel/jobs(?:/([^/]+))?")
FINAL = ("completed", "error", "cancelled")


class SmallHelix:
    """Takes, lists and forgets training jobs as Helix does, with injected faults.

    A repeated POST is refused with 422 while the output's job has not ended, and with 409 afterwards.

    Attributes:
        jobs: by workspace and name.
        created: how many jobs were ever created.
        faults: what happens to the next POSTs.
        blind: what happens to the next GETs.
        late: requests that arrive when ``deliver`` is called.
    """

    def __init__(self) -> None:
        self.jobs: dict[tuple[str, str], dict[str, Any]] = {}
        self.created = 0
        self.faults: list[str] = []
        self.blind: list[str] = []
        self.late: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        found = _JOBS.fullmatch(request.url.path)
        if found is None:
            return httpx.Response(404, json={"detail": "Not Found"})
        workspace, name = found[1], found[2]
        if request.method == "POST":
            return self._post(workspace, json.loads(request.read()))
        fault = self.blind.pop(0) if self.blind else "pass"
        if fault == "lose":
            raise httpx.ReadTimeout("lost", request=request)
        if fault == "401":
            return httpx.Response(401, json={"detail": "Missing bearer token"})
        job = self._find(workspace, name)
        if job is None:
            return httpx.Response(404, json={"detail": f"Job '{name}' not found in workspace '{workspace}'."})
        return httpx.Response(200, json=job)

    def deliver(self) -> None:
        """Let the requests arrive that were on their way."""
        late, self.late = self.late, []
        for workspace, body in late:
            self._create(workspace, body)

    def _post(self, workspace: str, body: dict[str, Any]) -> httpx.Response:
        fault = self.faults.pop(0) if self.faults else "pass"
        if fault == "lose request":
            raise httpx.ReadTimeout("lost")
        if fault == "deliver late":
            self.late.append((workspace, body))
            raise httpx.ReadTimeout("lost")
        if fault == "503":
            return httpx.Response(503, json={"detail": "not now"})
        answer = self._create(workspace, body)
        if fault == "lose reply":
            raise httpx.ReadTimeout("lost")
        if fault == "500":
            return httpx.Response(500, json={"detail": "An unexpected error occurred."})
        if fault == "garble":
            return httpx.Response(201, content=b'{"id": "plat')
        return answer

    def _create(self, workspace: str, body: dict[str, Any]) -> httpx.Response:
        name, output = body["name"], body["spec"]["output"]["name"]
        for (place, other), job in self.jobs.items():
            same = place == workspace and job["spec"]["output"]["name"] == output
            if same and job["status"] not in FINAL:
                told = f"Job '{other}' ({job['status']}) is already producing output '{workspace}/{output}'. "
                prefix = "Failed to compile customization job spec: "
                return httpx.Response(422, json={"detail": f"{prefix}{told}Wait for it to finish."})
        if (workspace, name) in self.jobs:
            told = f"Job '{name}' already exists in workspace '{workspace}'. Choose a different job name."
            return httpx.Response(409, json={"detail": told}, headers={"x-should-retry": "false"})
        self.created += 1
        job = {
            "id": f"platform-job-{self.created:08d}",
            "name": name,
            "workspace": workspace,
            "status": "created",
            "created_at": "2026-11-26T13:06:38.305637",
            "spec": {"backend": "automodel", **body["spec"]},
            "custom_fields": {**body["custom_fields"], "_nemo_telemetry": {"plugins": ["customization"]}},
        }
        self.jobs[workspace, name] = job
        return httpx.Response(201, json=job)

    def _find(self, workspace: str, name: str) -> dict[str, Any] | None:
        for (place, other), job in self.jobs.items():
            if place == workspace and name in (other, job["id"]):
                return job
        return None
