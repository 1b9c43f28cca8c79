"""The blocking front for scripts and notebooks: the asynchronous client, run on a loop of its own.

It also works where a loop is running already, as in a notebook. Its classes are made from the asynchronous
ones, ``SyncJob`` from ``Job``; what a type checker sees of them stands in ``sync.pyi``.

    from lawtags_client.sync import NeMo

    with NeMo.from_env() as nemo:
        job = nemo.customizer.fine_tune(dataset="law/tags", output_model="law/tagger")
        for event in job.watch():
            print(event)
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from lawtags_client.blocking import Blocking, fronts, portal
from lawtags_client.client import NeMo as AsyncNeMo
from lawtags_client.settings import Settings


class NeMo(Blocking):
    """The blocking client.

    Args:
        target: where the services are, or an asynchronous client that is used only through this one from
            then on.
    """

    def __init__(self, target: AsyncNeMo | Settings) -> None:
        super().__init__(AsyncNeMo(target) if isinstance(target, Settings) else target)

    @classmethod
    def from_env(cls, profile: str | None = None, **options: Any) -> Self:
        """As ``lawtags_client.NeMo.from_env``."""
        return cls(AsyncNeMo.from_env(profile, **options))

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


def __getattr__(name: str) -> Any:
    if name.startswith("Sync") and name in fronts():
        return fronts()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
