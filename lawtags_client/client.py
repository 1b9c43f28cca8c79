"""The client: one object that holds the connections and carries the services."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lawtags_client.settings import Settings, default_intents_path
from lawtags_client.transport.clock import Clock
from lawtags_client.transport.http import Handler, Transport

if TYPE_CHECKING:
    from lawtags_client.intents import IntentStore
    from lawtags_client.services.customizer import Customizer
    from lawtags_client.services.data_store import DataStore
    from lawtags_client.services.deployments import Deployments
    from lawtags_client.services.entity_store import EntityStore
    from lawtags_client.services.evaluator import Evaluator
    from lawtags_client.services.inference import Inference


class NeMo:
    """NeMo microservices, typed and asynchronous.

    A service is imported when it is first used, so that a program pays for those that it needs.

    Example:
        ``async with NeMo.from_env() as nemo: dataset = await nemo.data_store.upload_dataset(…)``

    Args:
        settings: where the services are.
        intents: the memory of what was submitted; a SQLite file of the user's by default.
        clock: time, sleep and chance, for tests.
        handler: answers instead of the network, for tests.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        intents: IntentStore | None = None,
        clock: Clock | None = None,
        handler: Handler | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock or Clock()
        self._intents = intents
        self._transport = Transport(settings, clock=self.clock, handler=handler)

    @classmethod
    def from_env(
        cls,
        profile: str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        intents: IntentStore | None = None,
        **overrides: Any,
    ) -> Self:
        """A client for the services that environment, profile file and arguments name.

        Args:
            profile: the profile's name in ``lawtags.toml``.
            environ: the environment; the process's own without it.
            folder: where the search for the file begins.
            intents: the memory of what was submitted.
            overrides: single settings.

        Raises:
            ConfigurationError: a setting is unknown or has the wrong form.
        """
        return cls(Settings.load(profile, environ=environ, folder=folder, **overrides), intents=intents)

    def __repr__(self) -> str:
        return f"NeMo({self.settings!r})"

    @cached_property
    def intents(self) -> IntentStore:
        """The memory of what was submitted."""
        from lawtags_client.intents import SqliteIntents

        return self._intents or SqliteIntents(self.settings.intents_path or default_intents_path())

    @cached_property
    def data_store(self) -> DataStore:
        """Files."""
        from lawtags_client.services.data_store import DataStore

        return DataStore(self._transport.service("data_store"), self)

    @cached_property
    def entity_store(self) -> EntityStore:
        """Namespaces, projects, datasets, models."""
        from lawtags_client.services.entity_store import EntityStore

        return EntityStore(self._transport.service("entity_store"))

    @cached_property
    def customizer(self) -> Customizer:
        """Training."""
        from lawtags_client.services.customizer import Customizer

        return Customizer(self._transport.service("customizer"), self)

    @cached_property
    def evaluator(self) -> Evaluator:
        """Scoring."""
        from lawtags_client.services.evaluator import Evaluator

        return Evaluator(self._transport.service("evaluator"), self)

    @cached_property
    def deployments(self) -> Deployments:
        """Models that are to be served."""
        from lawtags_client.services.deployments import Deployments

        return Deployments(self._transport.service("deployments"), self)

    @cached_property
    def inference(self) -> Inference:
        """Models that answer."""
        from lawtags_client.services.inference import Inference

        return Inference(self._transport.service("inference"), self)

    async def clock_ahead(self) -> float | None:
        """Seconds by which the platform's clock is ahead of this machine's; None where it does not tell.

        Read from the ``Date`` header of an answer of the Entity Store, which is exact to the second.

        Raises:
            LawtagsError: it does not answer.
        """
        from email.utils import parsedate_to_datetime

        from lawtags_client.transport.http import Call

        call = Call("GET", "/v1/namespaces", query=[("page_size", "1")])
        reply = await self._transport.service("entity_store").send(call)
        try:
            moment = parsedate_to_datetime(reply.headers["date"])
            return (moment - self.clock.now()).total_seconds()
        except (KeyError, ValueError, TypeError):
            return None

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
