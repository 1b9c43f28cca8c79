"""Injects faults into requests."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lawtags_client.errors import LawtagsError, NotFoundError
from lawtags_client.types.data_store import RepoType
from lawtags_stack.chaos.plan import ChaosPlan, RequestRule
from lawtags_stack.http.responses import JsonResponse
from lawtags_stack.times import Clock, read_moment

DROP = "lawtags.drop"
"""ASGI extension that closes the connection of a request."""

_REPOSITORY = re.compile(r"/v1/hf/(?:api/)?(datasets/|models/)?([^/]+)/([^/]+?)(?:\.git)?/")
Sleep = Callable[[float], Awaitable[None]]


class RepositoryAges(Protocol):
    """Looks up when repositories were created."""

    def created_at(self, repo_type: RepoType, namespace: str, name: str) -> str:
        """The creation time of a repository; raises ``NotFoundError`` if it does not exist."""
        ...


class NoRepositories:
    """The ages of repositories in a stack without a Data Store."""

    def created_at(self, repo_type: RepoType, namespace: str, name: str) -> str:
        """Raise ``NotFoundError``."""
        raise NotFoundError(f"no {repo_type} repository {namespace}/{name}")


class ChaosGate:
    """ASGI middleware that injects faults.

    Args:
        app: the application.
        port: the port it runs on.
        plan: the faults; its counters are per port.
        repositories: ages of repositories.
        clock: returns the time.
        sleep: waits.
    """

    def __init__(
        self,
        app: ASGIApp,
        port: str,
        plan: ChaosPlan,
        repositories: RepositoryAges,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._app = app
        self._port = port
        self._plan = plan
        self._repositories = repositories
        self._clock = clock
        self._sleep = sleep
        self._random = random.Random(plan.seed)
        self._seen = [0] * len(plan.requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = self._rule(scope["method"], scope["path"])
        if rule is not None:
            await self._sleep(self._random.uniform(*rule.latencies))
            if rule.drop == "reply":
                await self._app(scope, receive, _unsent)
            if rule.drop is not None:
                scope["extensions"][DROP]()
                while (await receive())["type"] != "http.disconnect":
                    pass
                return
            if rule.answer is not None:
                await _refusal(rule)(scope, receive, send)
                return
        if self._initializing(scope["path"]):
            answer = JsonResponse({"detail": "The repository is being initialized"}, 500)
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _rule(self, method: str, path: str) -> RequestRule | None:
        for number, rule in enumerate(self._plan.requests):
            if not rule.fits(self._port, method, path):
                continue
            self._seen[number] += 1
            meant = self._seen[number] - rule.skip
            if meant > 0 and (rule.times is None or meant <= rule.times):
                return rule if self._random.random() < rule.share else None
        return None

    def _initializing(self, path: str) -> bool:
        found = _REPOSITORY.match(f"{path}/") if self._plan.data_store.initialization else None
        if found is None or path.startswith("/v1/hf/api/repos/"):
            return False
        kind: RepoType = "dataset" if found[1] == "datasets/" else "model"
        try:
            created_at = self._repositories.created_at(kind, found[2], found[3])
        except LawtagsError:
            return False
        age = self._clock() - read_moment(created_at)
        return age.total_seconds() < self._plan.data_store.initialization


async def _unsent(message: Message) -> None:
    """Discard a response message."""


def _refusal(rule: RequestRule) -> JsonResponse:
    assert rule.answer is not None
    headers = {} if rule.retry_after is None else {"Retry-After": f"{rule.retry_after:g}"}
    return JsonResponse({"detail": "Refused on purpose by the chaos file"}, rule.answer, headers)
