"""The blocking front for scripts and notebooks: the asynchronous client, run on a loop of its own.

It also works where a loop is running already, as in a notebook. Its classes are made from the asynchronous
ones, ``SyncJob`` from ``Job``; what a type checker sees of them stands in ``sync.pyi``.

    from lawtags_client.sync import NeMo

    with NeMo.from_env() as nemo:
        job = nemo.customizer.fine_tune(dataset="law/tags", output_model="law/tagger")
        for event in job.watch():
            print(event)

``Helix`` is the same for NeMo Helix, and ``tag`` and ``tag_many`` are functions of this module, too:
``tag(nemo, title=..., model=...)``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from lawtags_client.blocking import Blocking, blocking_call, fronts, portal
from lawtags_client.client import NeMo as AsyncNeMo
from lawtags_client.errors import ConfigurationError
from lawtags_client.helix.client import Helix as AsyncHelix
from lawtags_client.transport.raw import RawResponse, check_method, recording

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=AsyncNeMo | AsyncHelix)


class _Client(Blocking[C]):
    """What the blocking clients have in common."""

    @classmethod
    def of(cls, client: C) -> Self:
        """A blocking client around an async one, which is from then on used only through it."""
        made = cls.__new__(cls)
        Blocking.__init__(made, client)
        return made

    def close(self) -> None:
        """Close every connection."""
        portal.run(self._target.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class NeMo(_Client[AsyncNeMo]):
    """The blocking client, with the arguments of ``lawtags_client.NeMo``."""

    @functools.wraps(AsyncNeMo.__init__)
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(AsyncNeMo(*args, **options))

    @classmethod
    @functools.wraps(AsyncNeMo.from_env)
    def from_env(cls, *args: Any, **options: Any) -> Self:
        return cls.of(AsyncNeMo.from_env(*args, **options))

    @functools.wraps(AsyncNeMo.with_options)
    def with_options(self, **options: Any) -> Self:
        return self.of(self._target.with_options(**options))

    def with_raw_response(self, call: Callable[P, T]) -> Callable[P, RawResponse[T]]:
        """As ``lawtags_client.NeMo.with_raw_response``, for a blocking method."""
        check_method(call)

        @functools.wraps(call)
        def calling(*args: P.args, **options: P.kwargs) -> RawResponse[T]:
            with recording() as recorded:
                parsed = call(*args, **options)
            return recorded.response(parsed)

        return calling


class Helix(_Client[AsyncHelix]):
    """The blocking client of NeMo Helix, with the arguments of ``lawtags_client.helix.Helix``."""

    @functools.wraps(AsyncHelix.__init__)
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(AsyncHelix(*args, **options))

    @classmethod
    @functools.wraps(AsyncHelix.from_env)
    def from_env(cls, *args: Any, **options: Any) -> Self:
        return cls.of(AsyncHelix.from_env(*args, **options))


def _tagging(name: str) -> Callable[..., object]:
    # Only those who tag load what tagging needs.
    from lawtags_client.asking import tags

    blocking = blocking_call(getattr(tags, name))

    @functools.wraps(blocking)
    def call(*args: object, **options: object) -> object:
        given = args[0] if args else options.get("nemo")
        if isinstance(given, AsyncNeMo | AsyncHelix):
            front = type(given).__name__
            raise ConfigurationError(
                f"sync.{name} takes the blocking client, not the async one",
                hint=f"Pass a lawtags_client.sync.{front}, or call lawtags_client.{name} in async code.",
            )
        return blocking(*args, **options)

    return call


def __getattr__(name: str) -> object:
    if name.startswith("Sync") and name in fronts():
        return fronts()[name]
    if name in ("tag", "tag_many"):
        made = globals()[name] = _tagging(name)
        return made
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
