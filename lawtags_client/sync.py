"""The blocking front for scripts and notebooks: the asynchronous client, run on a loop of its own.

One loop in one daemon thread serves every client of the process, so it also works where a loop is running
already, as in a notebook. Nothing is written twice: a proxy turns each awaitable into its result, each
asynchronous iterator into a plain one, and each service or handle into a proxy of itself.

    from lawtags_client.sync import NeMo

    with NeMo.from_env() as nemo:
        job = nemo.customizer.fine_tune(dataset="law/tags", output_model="law/tagger")
        for event in job.watch():
            print(event)
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from lawtags_client.client import NeMo as AsyncNeMo
from lawtags_client.errors import LawtagsError

T = TypeVar("T")

_PACKAGE = "lawtags_client.services"
_START = 10.0


class Portal:
    """One event loop in one daemon thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for its result.

        Raises:
            RuntimeError: called from the loop's own thread, where waiting would never end.
        """
        loop = self._running_loop()
        if threading.current_thread().name == _THREAD:
            work.close()
            raise RuntimeError(
                "the blocking client cannot be used from its own loop; use the asynchronous one"
            )
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            # Ctrl-C ends the waiting; what is waited for must end too.
            future.cancel()
            raise

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None or self._loop.is_closed():
                loop, ready = asyncio.new_event_loop(), threading.Event()
                loop.call_soon(ready.set)
                threading.Thread(target=loop.run_forever, name=_THREAD, daemon=True).start()
                if not ready.wait(_START):
                    raise LawtagsError("the loop of the blocking client did not start")
                self._loop = loop
            return self._loop


_THREAD = "lawtags-sync"
_portal = Portal()


class Blocking:
    """A service or handle whose calls wait for their results.

    Args:
        target: the asynchronous one.
    """

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        return _blocking_call(value) if inspect.ismethod(value) else _wrapped(value)

    def __repr__(self) -> str:
        return repr(self._target)

    def __dir__(self) -> list[str]:
        return dir(self._target)


def _blocking_call(method: Any) -> Any:
    @functools.wraps(method)
    def call(*args: Any, **options: Any) -> Any:
        plain = [_bare(argument) for argument in args]
        named = {name: _bare(argument) for name, argument in options.items()}
        result = method(*plain, **named)
        if inspect.iscoroutine(result):
            return _wrapped(_portal.run(result))
        if isinstance(result, AsyncIterator):
            return _iterate(result)
        return _wrapped(result)

    return call


def _iterate(source: AsyncIterator[Any]) -> Iterator[Any]:
    async def following() -> tuple[bool, Any]:
        try:
            return True, await anext(source)
        except StopAsyncIteration:
            return False, None

    try:
        while (step := _portal.run(following()))[0]:
            yield _wrapped(step[1])
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            _portal.run(close())


def _bare(value: Any) -> Any:
    return value._target if isinstance(value, Blocking) else value


def _wrapped(value: Any) -> Any:
    kind = type(value)
    if kind.__module__.startswith(_PACKAGE) and _has_coroutines(kind):
        return Blocking(value)
    return value


def _has_coroutines(kind: type[Any]) -> bool:
    calls = (inspect.getattr_static(kind, name, None) for name in dir(kind) if not name.startswith("_"))
    return any(inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call) for call in calls)


class NeMo(Blocking):
    """The blocking client; takes what the asynchronous one takes.

    Args:
        target: an asynchronous client, which from then on is used through this one only.
    """

    def __init__(self, target: AsyncNeMo) -> None:
        super().__init__(target)

    @classmethod
    def from_env(cls, profile: str | None = None, **options: Any) -> Self:
        """As ``lawtags_client.NeMo.from_env``."""
        return cls(AsyncNeMo.from_env(profile, **options))

    def close(self) -> None:
        """Close every connection."""
        _portal.run(self._target.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
