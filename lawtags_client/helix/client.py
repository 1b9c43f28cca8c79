"""The client of NeMo Helix: one object that holds the connections and has the services."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from lawtags_client.client_settings import client_settings
from lawtags_client.credentials import TokenSource
from lawtags_client.helix.collection import Place
from lawtags_client.helix.evaluation_service import EvaluationTransport
from lawtags_client.helix.names import check_name
from lawtags_client.helix.refusals import explained
from lawtags_client.helix.types.platform import ClusterInfo
from lawtags_client.services.parsing import parse
from lawtags_client.setting_options import SettingOptions
from lawtags_client.settings import Settings, default_intents_path
from lawtags_client.transport.call import Call
from lawtags_client.transport.clock import Clock
from lawtags_client.transport.hooks import EventHooks
from lawtags_client.transport.http import Handler, ServiceTransport, Transport

if TYPE_CHECKING:
    from lawtags_client.helix.customization import Customization
    from lawtags_client.helix.deployments import DeploymentConfigs, HelixDeployments, Providers
    from lawtags_client.helix.evaluations import HelixEvaluations
    from lawtags_client.helix.filesets import HelixFilesets
    from lawtags_client.helix.gateway import Gateway
    from lawtags_client.helix.jobs import HelixJobs
    from lawtags_client.helix.models import Adapters, HelixModels
    from lawtags_client.helix.running import StepCalls
    from lawtags_client.helix.secrets import HelixSecrets
    from lawtags_client.helix.workspaces import HelixWorkspaces, Projects
    from lawtags_client.intents import IntentStore
    from lawtags_client.services.inference import Inference

PRINCIPAL_HEADERS = ("X-NHX-Principal-Id", "X-NMP-Principal-Id")
"""Say who calls, where the platform asks for no token; ``service:NAME`` makes the caller a service.

NeMo Helix reads the first, nemo-platform the second.
"""


class Helix:
    """NeMo Helix, typed and asynchronous; a service is imported when it is first used.

    References to entities are names in the default workspace, or ``workspace/name``.

    Example:
        ``async with Helix(base_url="http://127.0.0.1:8080", workspace="law") as helix: ...``

    Args:
        settings: addresses, credentials and limits, if ``base_url`` and ``token`` are not enough.
        base_url: of the platform.
        token: bearer token, or a function that returns the current one.
        workspace: of references that do not name one.
        principal: who calls, where the platform does not ask for a token.
        timeout: seconds per call, retries included.
        max_retries: attempts after the first; a call that creates something is never retried blindly.
        headers: sent with every request, and never shown in messages or logs.
        event_hooks: as for ``NeMo``.
        intents: the store of what was submitted; by default, a SQLite file in the user's state folder.
        clock: time, sleep and randomness, for tests.
        handler: answers instead of the network, for tests.

    Raises:
        ConfigurationError: an argument is missing, invalid, or contradicts another.
    """

    settings: Settings
    clock: Clock
    workspace: str

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        base_url: str | None = None,
        token: TokenSource = None,
        workspace: str = "default",
        principal: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        event_hooks: EventHooks | None = None,
        intents: IntentStore | None = None,
        clock: Clock | None = None,
        handler: Handler | None = None,
    ) -> None:
        chosen = client_settings("Helix", settings, base_url, token)
        self.settings = chosen.with_limits(timeout=timeout, max_retries=max_retries)
        self.clock = clock or Clock()
        named = dict.fromkeys(PRINCIPAL_HEADERS, principal) if principal else {}
        self._transport = Transport(
            self.settings,
            clock=self.clock,
            handler=handler,
            headers={**(headers or {}), **named},
            event_hooks=event_hooks,
        )
        self._intents = intents
        self.workspace = check_name(workspace, "workspace")

    @classmethod
    def from_env(
        cls,
        profile: str | None = None,
        *,
        workspace: str = "default",
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        intents: IntentStore | None = None,
        **overrides: Unpack[SettingOptions],
    ) -> Self:
        """A client for the platform that arguments, environment and ``lawtags.toml`` name.

        Args:
            profile: the profile's name in ``lawtags.toml``.
            workspace: of references that do not name one.
            environ: the environment; by default, that of the process.
            folder: where the search for the file begins.
            intents: as for the class.
            overrides: single settings.

        Raises:
            ConfigurationError: a setting is unknown or invalid.
        """
        settings = Settings.load(profile, environ=environ, folder=folder, **overrides)
        return cls(settings, workspace=workspace, intents=intents)

    def __repr__(self) -> str:
        return f"Helix({self.settings!r}, workspace={self.workspace!r})"

    @property
    def intents(self) -> IntentStore:
        """The store of what was submitted."""
        if self._intents is None:
            from lawtags_client.intents import SqliteIntents

            self._intents = SqliteIntents(self.settings.intents_path or default_intents_path())
        return self._intents

    @cached_property
    def _http(self) -> ServiceTransport:
        return ServiceTransport(self._transport, self.settings.address("platform"), explained)

    @cached_property
    def _place(self) -> Place:
        return Place(self._http, self.clock, self.workspace)

    async def cluster_info(self) -> ClusterInfo:
        """The version of the platform.

        Raises:
            NotFoundError: the server is no Helix.
        """
        return await parse(ClusterInfo, await self._http.json(Call("GET", "/cluster-info")), self._http)

    async def is_ready(self) -> bool:
        """Whether the platform is up and takes requests."""
        from lawtags_client.errors import LawtagsError

        try:
            data = await self._http.json(Call("GET", "/health/ready", max_retries=0))
        except LawtagsError:
            return False
        return isinstance(data, dict) and data.get("status") == "ready"

    @cached_property
    def workspaces(self) -> HelixWorkspaces:
        """Workspaces."""
        from lawtags_client.helix.workspaces import HelixWorkspaces

        return HelixWorkspaces(self._place)

    @cached_property
    def projects(self) -> Projects:
        """Projects."""
        from lawtags_client.helix.workspaces import Projects

        return Projects(self._place)

    @cached_property
    def filesets(self) -> HelixFilesets:
        """Filesets and their files."""
        from lawtags_client.helix.filesets import HelixFilesets

        return HelixFilesets(self._place)

    @cached_property
    def secrets(self) -> HelixSecrets:
        """Secrets."""
        from lawtags_client.helix.secrets import HelixSecrets

        return HelixSecrets(self._place)

    @cached_property
    def models(self) -> HelixModels:
        """Models."""
        from lawtags_client.helix.models import HelixModels

        return HelixModels(self._place)

    @cached_property
    def adapters(self) -> Adapters:
        """Low-rank adapters of models."""
        from lawtags_client.helix.models import Adapters

        return Adapters(self._place)

    @cached_property
    def customization(self) -> Customization:
        """Training."""
        from lawtags_client.helix.customization import Customization

        return Customization(self._place, self)

    @cached_property
    def jobs(self) -> HelixJobs:
        """Jobs of every service."""
        from lawtags_client.helix.jobs import HelixJobs

        return HelixJobs(self._place)

    @cached_property
    def runner(self) -> StepCalls:
        """The calls of a program that carries out steps of jobs."""
        from lawtags_client.helix.running import StepCalls

        return StepCalls(self._place)

    @cached_property
    def evaluations(self) -> HelixEvaluations:
        """Scoring."""
        from lawtags_client.helix.evaluations import HelixEvaluations

        http = EvaluationTransport(self._transport, self.settings.address("platform"))
        return HelixEvaluations(http, Place(http, self.clock, self.workspace), self)

    @cached_property
    def deployment_configs(self) -> DeploymentConfigs:
        """How models are to be deployed."""
        from lawtags_client.helix.deployments import DeploymentConfigs

        return DeploymentConfigs(self._place)

    @cached_property
    def deployments(self) -> HelixDeployments:
        """Models that are to be deployed."""
        from lawtags_client.helix.deployments import HelixDeployments

        return HelixDeployments(self._place)

    @cached_property
    def providers(self) -> Providers:
        """Model servers that the gateway asks."""
        from lawtags_client.helix.deployments import Providers

        return Providers(self._place)

    @cached_property
    def gateway(self) -> Gateway:
        """Models that answer."""
        from lawtags_client.helix.gateway import Gateway

        return Gateway(self._transport, self._place, self)

    @cached_property
    def inference(self) -> Inference:
        """Chats and completions of all models, as of ``gateway.models()``; ``tag`` asks it."""
        return self.gateway.models()

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
