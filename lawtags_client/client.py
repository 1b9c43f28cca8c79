"""The client: one object that holds the connections and carries the services."""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar, Unpack

from lawtags_client.client_settings import client_settings
from lawtags_client.credentials import TokenSource
from lawtags_client.setting_options import SettingOptions
from lawtags_client.settings import Settings, default_intents_path
from lawtags_client.transport.clock import Clock
from lawtags_client.transport.hooks import EventHooks
from lawtags_client.transport.http import Handler, Transport
from lawtags_client.transport.raw import RawResponse, check_method, recording

if TYPE_CHECKING:
    from lawtags_client.intents import IntentStore
    from lawtags_client.services.customizer import Customizer
    from lawtags_client.services.data_store import DataStore
    from lawtags_client.services.deployments import Deployments
    from lawtags_client.services.entity_store import EntityStore
    from lawtags_client.services.evaluator import Evaluator
    from lawtags_client.services.inference import Inference
    from lawtags_client.services.inference.guidance import ServerMemory

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class _Shared:
    """What a client and its copies have in common.

    Args:
        original: the client that the copies were made from.
        intents: the store of intents, once it is needed.
    """

    original: weakref.ref[NeMo]
    intents: IntentStore | None


@dataclass(slots=True)
class _Servers:
    """What was found out about inference servers, once one is asked."""

    memory: ServerMemory | None = None


class NeMo:
    """NeMo microservices, typed and asynchronous.

    A service is imported when it is first used, so that a program pays only for what it uses.

    Example:
        ``async with NeMo(base_url="https://nemo.example.com", token=token) as nemo: ...``

    Args:
        settings: addresses, credentials and limits, if ``base_url`` and ``token`` are not enough.
        base_url: of the platform; every service is below it.
        token: bearer token, or a function that returns the current one.
        timeout: seconds per call, retries included.
        max_retries: attempts after the first; a call that creates something is never retried blindly.
        headers: sent with every request to a service, and never shown in messages or logs.
        event_hooks: ``{"request": [...], "response": [...]}``, called before each request and after each
            response with a ``RequestEvent`` or ``ResponseEvent``. A request hook may return headers to add.
        intents: the store of what was submitted; by default, a SQLite file in the user's state folder.
        clock: time, sleep and randomness, for tests.
        handler: answers instead of the network, for tests.

    Raises:
        ConfigurationError: an argument is missing, invalid, or contradicts another.
    """

    settings: Settings
    clock: Clock

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        base_url: str | None = None,
        token: TokenSource = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        event_hooks: EventHooks | None = None,
        intents: IntentStore | None = None,
        clock: Clock | None = None,
        handler: Handler | None = None,
    ) -> None:
        chosen = client_settings("NeMo", settings, base_url, token)
        self.settings = chosen.with_limits(timeout=timeout, max_retries=max_retries)
        self.clock = clock or Clock()
        self._transport = Transport(
            self.settings, clock=self.clock, handler=handler, headers=headers, event_hooks=event_hooks
        )
        self._shared = _Shared(weakref.ref(self), intents)
        self._servers = _Servers()

    @classmethod
    def from_env(
        cls,
        profile: str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        event_hooks: EventHooks | None = None,
        intents: IntentStore | None = None,
        **overrides: Unpack[SettingOptions],
    ) -> Self:
        """A client for the services that arguments, environment and ``lawtags.toml`` name.

        Args:
            profile: the profile's name in ``lawtags.toml``.
            environ: the environment; by default, that of the process.
            folder: where the search for the file begins.
            timeout: as for the class.
            headers: as for the class.
            event_hooks: as for the class.
            intents: as for the class.
            overrides: single settings.

        Raises:
            ConfigurationError: a setting is unknown or invalid.
        """
        settings = Settings.load(profile, environ=environ, folder=folder, **overrides)
        return cls(settings, timeout=timeout, headers=headers, event_hooks=event_hooks, intents=intents)

    def with_options(
        self,
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """A light copy with other limits or headers, which shares connections, tokens and intents.

        Example:
            ``await nemo.with_options(timeout=10, max_retries=0).inference.models()``

        Args:
            timeout: seconds per call, retries included.
            max_retries: attempts after the first.
            headers: added to those of this client; they replace headers of the same name.

        Raises:
            ConfigurationError: an option is invalid.
        """
        settings = self.settings.with_limits(timeout=timeout, max_retries=max_retries)
        copied = copy(self)
        for name, value in vars(NeMo).items():
            if isinstance(value, cached_property):
                # Services hold the limits and headers that they were made with.
                copied.__dict__.pop(name, None)
        copied.settings = settings
        copied._transport = self._transport.with_options(settings, headers)
        if copied._transport.headers != self._transport.headers:
            # Headers may route requests to another server, which has to be looked at by itself.
            copied._servers = _Servers()
        return copied

    def with_raw_response(
        self, call: Callable[P, Awaitable[T]]
    ) -> Callable[P, Coroutine[None, None, RawResponse[T]]]:
        """A call that returns the raw response, too: status, headers and body beside the parsed result.

        Of a call that makes several requests, it is the response to the last one.

        Example:
            ``raw = await nemo.with_raw_response(nemo.customizer.jobs.get)("cust-1")``

        Args:
            call: a method of a service of this client.

        Raises:
            ConfigurationError: ``call`` is not callable.
            ProtocolError: of the call, if it received no whole response, as a stream does not.
        """

        check_method(call)

        @wraps(call)
        async def calling(*args: P.args, **options: P.kwargs) -> RawResponse[T]:
            with recording() as recorded:
                parsed = await call(*args, **options)
            return recorded.response(parsed)

        return calling

    def __repr__(self) -> str:
        return f"NeMo({self.settings!r})"

    @property
    def intents(self) -> IntentStore:
        """The store of what was submitted."""
        if self._shared.intents is None:
            from lawtags_client.intents import SqliteIntents

            self._shared.intents = SqliteIntents(self.settings.intents_path or default_intents_path())
        return self._shared.intents

    @cached_property
    def data_store(self) -> DataStore:
        """The Data Store: uploads and downloads of files."""
        from lawtags_client.services.data_store import DataStore

        return DataStore(self._transport.service("data_store"), self)

    @cached_property
    def entity_store(self) -> EntityStore:
        """The Entity Store: namespaces, projects, datasets and models."""
        from lawtags_client.services.entity_store import EntityStore

        return EntityStore(self._transport.service("entity_store"))

    @cached_property
    def customizer(self) -> Customizer:
        """The Customizer: training jobs and their configs."""
        from lawtags_client.services.customizer import Customizer

        return Customizer(self._transport.service("customizer"), self)

    @cached_property
    def evaluator(self) -> Evaluator:
        """The Evaluator: evaluation jobs and their results."""
        from lawtags_client.services.evaluator import Evaluator

        return Evaluator(self._transport.service("evaluator"), self)

    @cached_property
    def deployments(self) -> Deployments:
        """Deployment Management: deploys and removes models."""
        from lawtags_client.services.deployments import Deployments

        return Deployments(self._transport.service("deployments"), self)

    @cached_property
    def inference(self) -> Inference:
        """Inference: completions, chats and embeddings of served models."""
        from lawtags_client.services.inference import Inference
        from lawtags_client.services.inference.guidance import ServerMemory

        if self._servers.memory is None:
            self._servers.memory = ServerMemory()
        return Inference(self._transport.service("inference"), self, self._servers.memory)

    async def clock_ahead(self) -> float | None:
        """Seconds by which the platform's clock is ahead of this machine's; None if it sends no time.

        It is read from the ``Date`` header of the Entity Store, which has whole seconds.

        Raises:
            LawtagsError: the Entity Store does not respond.
        """
        from email.utils import parsedate_to_datetime

        from lawtags_client.transport.call import Call

        call = Call("GET", "/v1/namespaces", query=[("page_size", "1")])
        reply = await self._transport.service("entity_store").send(call)
        try:
            moment = parsedate_to_datetime(reply.headers["date"])
            return (moment - self.clock.now()).total_seconds()
        except (KeyError, ValueError, TypeError):
            return None

    async def close(self) -> None:
        """Close every connection; a copy leaves them open for the client that it was made from."""
        original = self._shared.original()
        if original is self or original is None:
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
