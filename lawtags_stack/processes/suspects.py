"""Tracks requests that were running when a worker crashed, so that none crashes one worker after another."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable

from lawtags_client.errors import BadRequestError
from lawtags_client.json_value import JsonObject

_MOST = 1024
_REFUSED = 2


def digest(request: JsonObject) -> str:
    """A hash of a request; equal for retries, streamed or not."""
    asked = {name: value for name, value in request.items() if name not in ("id", "stream")}
    text = json.dumps(asked, sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


class Suspects:
    """Requests that were running when a worker died.

    A request that ran alone when its worker crashed is rejected from then on. One that ran with others is
    retried alone: success clears it, another crash rejects it. A process killed from outside is weaker
    evidence: two kills count as one crash.

    Args:
        most: maximum number of requests to remember; the oldest are dropped.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._deaths: OrderedDict[str, int] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._deaths)

    def died(self, running: Iterable[JsonObject], *, crashed: bool) -> None:
        """Record the requests that were running when a worker died.

        Args:
            running: the requests.
            crashed: whether the process crashed, rather than being killed.
        """
        keys = [digest(request) for request in running]
        for key in keys:
            self._deaths[key] = self._deaths.pop(key, 0) + (_REFUSED if crashed and len(keys) == 1 else 1)
        while len(self._deaths) > self._most:
            self._deaths.popitem(last=False)

    def succeeded(self, request: JsonObject) -> None:
        """Clear a request that succeeded."""
        if self._deaths:
            self._deaths.pop(digest(request), None)

    def suspected(self, request: JsonObject) -> bool:
        """Whether a request must run alone.

        Raises:
            BadRequestError: it must not run at all.
        """
        deaths = self._deaths.get(digest(request), 0) if self._deaths else 0
        if deaths >= _REFUSED:
            raise BadRequestError(
                "The model's worker process crashed while it was running this request, so the request is not "
                "retried. Change the request; see the worker's log for the cause."
            )
        return deaths > 0


class RequestSlot:
    """A slot for one running request."""

    def __init__(self, turns: RequestSlots) -> None:
        self._turns = turns

    def end(self) -> None:
        """Release the slot; idempotent."""
        self._turns.leave(self)


class RequestSlots:
    """Runs requests concurrently, except for suspects, which run alone."""

    def __init__(self) -> None:
        self._running: set[RequestSlot] = set()
        self._alone: list[RequestSlot] = []
        self._moved = asyncio.Event()

    async def take(self, *, alone: bool) -> RequestSlot:
        """Wait for a slot.

        Args:
            alone: whether nothing else may run at the same time.
        """
        turn = RequestSlot(self)
        if alone:
            self._alone.append(turn)
        try:
            while not self._free(turn, alone=alone):
                await self._moved.wait()
        except BaseException:
            self.leave(turn)
            raise
        self._running.add(turn)
        return turn

    def leave(self, turn: RequestSlot) -> None:
        """Release a slot, or stop waiting for it."""
        self._running.discard(turn)
        if turn in self._alone:
            self._alone.remove(turn)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _free(self, turn: RequestSlot, *, alone: bool) -> bool:
        if alone:
            return self._alone[0] is turn and not self._running
        return not self._alone
