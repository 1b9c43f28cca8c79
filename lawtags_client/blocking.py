"""Turning asynchronous services into blocking ones, on one loop in one daemon thread.

Nothing is written twice: a proxy turns each awaitable into its result, each asynchronous iterator into a
plain one, and each service or handle into a proxy of itself, of a class ``SyncX`` for a class ``X``.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Generic, TypeVar

from lawtags_client.errors import LawtagsError

T = TypeVar("T")
Target = TypeVar("Target")

_PACKAGES = ("lawtags_client.services", "lawtags_client.helix")
# Has no call of its own to wait for, but hands out services that have.
_GIVES_SERVICES = ("lawtags_client.helix.gateway", "Gateway")
# Clients have blocking counterparts of their own, by the same names.
_CLIENTS = "lawtags_client.helix.client"
_THREAD = "lawtags-sync"
_START = 10.0


class Portal:
    """One event loop in one daemon thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()
        self._cleaning: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[None, None, T]) -> T:
        """Run a coroutine on the loop and wait for its result.

        Raises:
            RuntimeError: called from the thread of the loop, or while the interpreter shuts down: it would
                wait forever.
        """
        if sys.is_finalizing():
            work.close()
            raise RuntimeError("the interpreter is shutting down; close the blocking client before that")
        if self._is_own_thread():
            work.close()
            raise RuntimeError(
                "the blocking client cannot be used from its own event loop; use the async client"
            )
        loop = self._running_loop()
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            # Ctrl-C ends the waiting; what is waited for must end too.
            future.cancel()
            raise

    def clean_up(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine that ends something, and wait for it where that is possible.

        The garbage collector calls this in any thread, also in that of the loop, and at the very end.
        """
        if self._loop is not None and self._is_own_thread():
            task = self._loop.create_task(work)
            self._cleaning.add(task)
            task.add_done_callback(self._cleaning.discard)
        elif sys.is_finalizing():
            # Nothing runs the loop any more, and its connections end with the process.
            work.close()
        else:
            self.run(work)

    def forget(self) -> None:
        """Leave the loop to the process that this one was forked from: its thread is not here."""
        self._loop, self._starting = None, threading.Lock()
        self._cleaning = set()

    @staticmethod
    def _is_own_thread() -> bool:
        return threading.current_thread().name == _THREAD

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None or self._loop.is_closed():
                loop, ready = asyncio.new_event_loop(), threading.Event()
                loop.call_soon(ready.set)
                threading.Thread(target=loop.run_forever, name=_THREAD, daemon=True).start()
                if not ready.wait(_START):
                    raise LawtagsError("the event loop of the blocking client did not start")
                self._loop = loop
            return self._loop


portal = Portal()
os.register_at_fork(after_in_child=portal.forget)


class Blocking(Generic[Target]):
    """A service or handle whose calls wait for their results.

    Args:
        target: the asynchronous one.
    """

    def __init__(self, target: Target) -> None:
        self._target = target

    def __getattr__(self, name: str) -> object:
        if name == "_target" or (name.startswith("__") and name.endswith("__")):
            # Asked of an object that is not made yet, as ``copy`` does.
            raise AttributeError(name)
        value: object = getattr(self._target, name)
        return blocking_call(value) if inspect.ismethod(value) else _wrapped(value)

    def __repr__(self) -> str:
        return repr(self._target)

    def __dir__(self) -> list[str]:
        return dir(self._target)


_fronts: dict[type[object], type[Blocking[object]]] = {}


def front_of(kind: type[object]) -> type[Blocking[object]]:
    """The blocking class for an asynchronous one, ``SyncJob`` for ``Job``."""
    if kind not in _fronts:
        above = tuple(front_of(base) for base in kind.__bases__ if is_asynchronous(base))
        namespace = {"__doc__": kind.__doc__, "__module__": "lawtags_client.sync"}
        _fronts[kind] = type(f"Sync{kind.__name__}", above or (Blocking,), namespace)
    return _fronts[kind]


@functools.cache
def fronts() -> dict[str, type[Blocking[object]]]:
    """Every blocking class, by its name."""
    import importlib
    import pkgutil

    modules = [
        importlib.import_module(module.name)
        for package in _PACKAGES
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
    ]
    kinds = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and is_asynchronous(kind) and not kind.__name__.startswith("_")
    }
    return {front.__name__: front for front in map(front_of, kinds)}


def is_asynchronous(kind: type[object]) -> bool:
    """Whether a class is a service or a handle with calls to wait for."""
    if not kind.__module__.startswith(_PACKAGES) or kind.__module__ == _CLIENTS:
        return False
    if (kind.__module__, kind.__name__) == _GIVES_SERVICES:
        return True
    calls = (inspect.getattr_static(kind, name, None) for name in dir(kind) if not name.startswith("_"))
    return any(inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call) for call in calls)


def blocking_call(method: Callable[..., object]) -> Callable[..., object]:
    """An asynchronous call as one that waits for its result; it takes blocking objects, too."""

    @functools.wraps(method)
    def call(*args: object, **options: object) -> object:
        plain = [_bare(argument) for argument in args]
        named = {name: _bare(argument) for name, argument in options.items()}
        result = method(*plain, **named)
        if inspect.iscoroutine(result):
            return _wrapped(portal.run(result))
        if isinstance(result, AsyncIterator):
            return _iterate(result)
        return _wrapped(result)

    return call


def _iterate(source: AsyncIterator[object]) -> Iterator[object]:
    async def following() -> tuple[bool, object]:
        try:
            return True, await anext(source)
        except StopAsyncIteration:
            return False, None

    try:
        while (step := portal.run(following()))[0]:
            yield _wrapped(step[1])
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            portal.clean_up(_closed(close))


async def _closed(close: Callable[[], Awaitable[object]]) -> None:
    await close()


def _bare(value: object) -> object:
    return value._target if isinstance(value, Blocking) else value


def _wrapped(value: object) -> object:
    return front_of(type(value))(value) if is_asynchronous(type(value)) else value
