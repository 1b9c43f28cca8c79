"""Which platform answers at an address: the v1 microservices, nemo-platform, or NeMo Helix.

They are told apart by what they answer, never by version numbers: Helix and nemo-platform have
``/cluster-info``, and call their evaluation service differently. Whether a platform can train is another
question, which its customization service answers; some releases of nemo-platform come without it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lawtags_client.errors import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    ConnectionFailedError,
    DeadlineExceededError,
    LawtagsError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    ServerError,
)
from lawtags_client.helix.client import Helix
from lawtags_client.helix.evaluation_service import EVALUATION
from lawtags_client.settings import Settings

if TYPE_CHECKING:
    from lawtags_client.client import NeMo
    from lawtags_client.platform.protocol import Platform
    from lawtags_client.platform.training_jobs import PlatformJobs
    from lawtags_client.transport.http import Handler

Product = Literal["v1", "nemo-platform", "helix"]

# A platform that does not say at once what it is gets asked by the services that a run needs.
_PATIENCE = 10.0
_PASSING = (ServerError, RateLimitedError)
_SILENT = (ConnectionFailedError, DeadlineExceededError)
# What a busy or restarting server answers, or a gateway in front of it, says nothing about the platform.
_UNCLEAR = (*_PASSING, AuthenticationError, PermissionDeniedError)
_LONGEST_VERSION = 40


@dataclass(frozen=True, slots=True)
class FoundPlatform:
    """What answers at ``platform_url``.

    Args:
        product: which platform.
        version: as it says itself, if it does.
        backends: the training backends of its customization service; none for v1, which has no such names.
        evaluation: what it calls its evaluation service; None for v1, and where there is none.
    """

    product: Product
    version: str | None = None
    backends: tuple[str, ...] = ()
    evaluation: str | None = None

    @property
    def speaks_helix(self) -> bool:
        """Whether requests are those of Helix."""
        return self.product != "v1"

    @property
    def obstacle(self) -> str | None:
        """Why no run can go there, as the end of a sentence; None where one can."""
        if self.product == "v1":
            return None
        if not self.backends:
            return "which has no customization service with a training backend"
        if self.product == "nemo-platform":
            return "which finds jobs by name alone, and a run follows them by id"
        return None

    def __str__(self) -> str:
        name = {"v1": "NeMo Microservices v1", "nemo-platform": "nemo-platform", "helix": "NeMo Helix"}
        version = f" {self.version[:_LONGEST_VERSION]}" if self.version else ""
        trains = f", trains with {', '.join(self.backends)}" if self.backends else ""
        return f"{name[self.product]}{version}{trains}"


async def detect(settings: Settings, *, handler: Handler | None = None) -> FoundPlatform:
    """Ask an address what it is.

    Args:
        settings: with ``platform_url``.
        handler: answers instead of the network, for tests.

    Raises:
        LawtagsError: nothing answers there, or nothing that tells the platforms apart.
    """
    patience = min(_PATIENCE, settings.total_timeout)
    try:
        return await _detect(settings.with_limits(timeout=patience, max_retries=0), handler)
    except _PASSING:
        return await _detect(settings.with_limits(timeout=patience), handler)


async def _detect(settings: Settings, handler: Handler | None) -> FoundPlatform:
    async with Helix(settings, handler=handler) as helix:
        unclear: APIError | None = None
        version: str | None = None
        try:
            version = (await helix.cluster_info()).platform_version
        except APIError as error:
            if not isinstance(error, _UNCLEAR):
                return FoundPlatform("v1")
            unclear = error
        try:
            backends = await _backends(helix)
            evaluation = await helix.evaluations.service_name()
        except APIError as error:
            raise unclear or error from error
    if backends is None and evaluation is None and unclear is not None:
        raise unclear
    # Without an evaluation service, the platform that always came with training is the likelier one.
    is_helix = evaluation == EVALUATION or (evaluation is None and backends is not None)
    return FoundPlatform("helix" if is_helix else "nemo-platform", version, backends or (), evaluation)


async def _backends(helix: Helix) -> tuple[str, ...] | None:
    """The training backends; None without a customization service."""
    try:
        return tuple(await helix.customization.backends())
    except (NotFoundError, ProtocolError):
        return None


async def speaks_helix(
    settings: Settings, *, training: bool = False, patient: bool = True, handler: Handler | None = None
) -> bool:
    """Whether requests are those of Helix: as the setting ``dialect`` says, or as the platform answers.

    Args:
        settings: with the addresses.
        training: whether a platform that cannot train is refused.
        patient: whether a training waits for a platform that does not answer at once, as any call does.
        handler: answers instead of the network, for tests.

    Raises:
        ConfigurationError: the platform speaks Helix, cannot train, and should.
        TransportError: nothing answers, and a training would be asked of the same address.
    """
    if settings.dialect != "auto" or settings.platform_url is None:
        return settings.dialect == "helix"
    needed = training and settings.customizer_url is None
    try:
        try:
            found = await detect(settings, handler=handler)
        except _SILENT:
            if not needed or not patient:
                raise
            # Taken for v1, its jobs would be refused for their names, and not for what is wrong.
            found = await _detect(settings, handler)
    except LawtagsError as error:
        if needed and isinstance(error, _SILENT):
            raise
        # What is wrong shows when the first service is asked, with the hints for that service.
        return False
    if training and found.obstacle is not None:
        raise ConfigurationError(
            f"{settings.platform_url} is {found}, {found.obstacle}",
            hint="Use NeMo Helix with its customization service, or NeMo Microservices v1, or set dialect if "
            "this is another platform.",
        )
    return found.speaks_helix


@asynccontextmanager
async def helix_of(
    nemo: NeMo, *, training: bool = False, patient: bool = True
) -> AsyncIterator[Helix | None]:
    """Helix, where the settings of a client of v1 lead to one; None where they lead to v1.

    Args:
        nemo: an open client; its intents and its clock are used.
        training: whether a platform that cannot train is refused.
        patient: whether a training waits for a platform that does not answer at once.

    Raises:
        ConfigurationError: the platform is refused.
        TransportError: nothing answers, and a training would be asked of the same address.
    """
    if not await speaks_helix(nemo.settings, training=training, patient=patient):
        yield None
        return
    async with Helix(nemo.settings, intents=nemo.intents, clock=nemo.clock) as helix:
        yield helix


@asynccontextmanager
async def run_platform(nemo: NeMo) -> AsyncIterator[Platform]:
    """The platform of a run, by the settings of a client of v1, which is used where the platform is one.

    A platform that does not answer yet is waited for by the first call.

    Args:
        nemo: an open client; its intents are used, whichever platform it is.

    Raises:
        ConfigurationError: the platform is refused.
    """
    async with AsyncExitStack() as opened:

        async def choose(*, patient: bool = True) -> Platform:
            helix = await opened.enter_async_context(helix_of(nemo, training=True, patient=patient))
            if helix is None:
                from lawtags_client.platform.v1 import V1Platform

                return V1Platform(nemo)
            from lawtags_client.platform.helix import HelixPlatform

            return HelixPlatform(helix)

        platform: Platform
        try:
            platform = await choose(patient=False)
        except (ConnectionFailedError, DeadlineExceededError):
            from lawtags_client.platform.on_demand import PlatformOnDemand

            platform = PlatformOnDemand(choose, nemo.clock)
        yield platform


@asynccontextmanager
async def training_jobs(nemo: NeMo) -> AsyncIterator[PlatformJobs]:
    """The training jobs of the platform that a client's settings lead to.

    Args:
        nemo: an open client.
    """
    async with helix_of(nemo, training=True) as helix:
        if helix is None:
            from lawtags_client.platform.v1_training_jobs import V1TrainingJobs

            yield V1TrainingJobs(nemo)
        else:
            from lawtags_client.platform.helix_training_jobs import HelixTrainingJobs

            yield HelixTrainingJobs(helix)


@asynccontextmanager
async def model_client(nemo: NeMo) -> AsyncIterator[NeMo | Helix]:
    """The client whose ``inference`` has the models of the platform that a client's settings lead to.

    Args:
        nemo: an open client.
    """
    async with helix_of(nemo) as helix:
        yield nemo if helix is None else helix


async def require_v1(nemo: NeMo, what: str, instead: str) -> None:
    """Refuse a command that Helix has no counterpart of.

    Args:
        nemo: an open client.
        what: the command, as the user knows it.
        instead: what to do on Helix.

    Raises:
        ConfigurationError: the platform is NeMo Helix.
    """
    if await speaks_helix(nemo.settings):
        raise ConfigurationError(f"{what} needs NeMo Microservices v1, and this is NeMo Helix", hint=instead)


async def cancel_training(nemo: NeMo, job: str) -> str | None:
    """Cancel a training job, and return its state.

    Args:
        nemo: an open client.
        job: its id; on Helix with its workspace, ``workspace/id``, which no id of v1 has.

    Raises:
        ConflictError: it has already ended.
        LawtagsError: it could not be cancelled.
    """
    if "/" not in job:
        return (await nemo.customizer.cancel(job)).status
    async with Helix(nemo.settings, clock=nemo.clock) as helix:
        return (await helix.jobs.cancel(job)).status
