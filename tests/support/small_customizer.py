"""A minimal Customizer without a network."""

from __future__ import annotations

import json
from typing import Any

import httpx


class SmallCustomizer:
    """Accepts and lists jobs, with injected faults.

    Attributes:
        fault: the fault of the next POST.
        blind: the status that the list fails with, while set.
        now: creation time of jobs.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.posts = 0
        self.fault: str | None = None
        self.blind: int | None = None
        self.now = "2025-06-20T12:00:00"

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method == "POST":
            return self._create(json.loads(request.read()))
        if path.endswith("/jobs"):
            return self._list(int(request.url.params["page"]), int(request.url.params["page_size"]))
        job = self.jobs.get(path.rpartition("/")[2])
        return httpx.Response(200, json=job) if job else httpx.Response(404, json={"detail": "no such job"})

    def _list(self, page: int, size: int) -> httpx.Response:
        if self.blind is not None:
            return httpx.Response(self.blind, json={"detail": "not now"})
        newest = list(reversed(self.jobs.values()))
        shown = newest[(page - 1) * size : page * size]
        paging = {
            "page": page,
            "page_size": size,
            "current_page_size": len(shown),
            "total_pages": -(-len(newest) // size),
            "total_results": len(newest),
        }
        return httpx.Response(200, json={"data": shown, "pagination": paging})

    def _create(self, body: dict[str, Any]) -> httpx.Response:
        self.posts += 1
        fault, self.fault = self.fault, None
        if fault == "refuse":
            return httpx.Response(422, json={"detail": "epochs"})
        if fault == "lose request":
            raise httpx.ReadTimeout("lost")
        model = body.get("output_model")
        if model is not None and any(job.get("output_model") == model for job in self.jobs.values()):
            return httpx.Response(409, json={"detail": "exists"})
        job = {"id": f"cust-{len(self.jobs)}", "status": "created", "created_at": self.now, **body}
        self.jobs[job["id"]] = job
        if fault == "lose reply":
            raise httpx.ReadTimeout("lost")
        return httpx.Response(200, json=job)
