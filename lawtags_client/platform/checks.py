"""Checks of the surroundings: services, credentials, versions, extras, disk and clock."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, get_args

from lawtags_client.client import NeMo
from lawtags_client.errors import APIError, ConfigurationError, LawtagsError, NotFoundError
from lawtags_client.extras import MARKERS, absent
from lawtags_client.helix.client import Helix
from lawtags_client.intents import SqliteIntents
from lawtags_client.platform.choice import detect, speaks_helix
from lawtags_client.platform.helix import HelixPlatform
from lawtags_client.settings import ServiceName, Settings, default_intents_path
from lawtags_client.version import __version__

if TYPE_CHECKING:
    from lawtags_client.transport.http import Handler

_PARTS = ("httpx", "aiohttp", "pydantic", "typer")
_LEAST_FREE = 2 * 1024**3
_CLOCK_TOLERANCE = 60.0
_NO_TRAINING = "Runs need NeMo Helix with its customization service, or NeMo Microservices v1."


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Args:
        what: what was checked.
        state: ``ok``, ``missing``, ``unknown`` or ``failed``.
        finding: the result in words.
        fix: how to fix it.
    """

    what: str
    state: str
    finding: str
    fix: str | None = None


def check_place() -> list[CheckResult]:
    """The versions in use, and room on the disk of the working directory."""
    python = ".".join(map(str, sys.version_info[:3]))
    parts = ", ".join(f"{name} {version(name)}" for name in _PARTS)
    free = shutil.disk_usage(Path.cwd()).free
    return [
        CheckResult("python", "ok", python),
        CheckResult("lawtags", "ok", f"{__version__}, with {parts}"),
        CheckResult("disk", "ok", f"{free / 1e9:.0f} GB free")
        if free > _LEAST_FREE
        else CheckResult(
            "disk", "failed", f"only {free / 1e9:.1f} GB free", "Free some space; a run needs about 2 GB."
        ),
    ]


def check_memory(path: Path | None) -> list[CheckResult]:
    """Whether what is submitted can be written down, without which nothing is submitted.

    Args:
        path: where the settings say that intents are kept.
    """
    store = path or default_intents_path()
    try:
        known = len(SqliteIntents(store).all())
    except LawtagsError as problem:
        return [CheckResult("intents", "failed", problem.message, problem.hint)]
    return [CheckResult("intents", "ok", f"{known} at {store}")]


def check_addresses(settings: Settings) -> list[CheckResult]:
    """Which address each service has, and where that comes from."""
    asked: dict[str, list[str]] = {}
    for service in get_args(ServiceName):
        if settings.has_address(service):
            address = settings.address(service)
            asked.setdefault(f"{address.url}, {address.origin}", []).append(service)
    said = "; ".join(f"{address} for {', '.join(services)}" for address, services in asked.items())
    return [CheckResult("addresses", "ok", said)] if said else []


def check_credentials(settings: Settings) -> list[CheckResult]:
    """Which token goes to which service, and whether it can be read; never the token itself."""
    sent: dict[str, list[str]] = {}
    problems: dict[str, CheckResult] = {}
    for service in get_args(ServiceName):
        if not settings.has_address(service):
            continue
        try:
            token = settings.address(service).token
        except ConfigurationError as problem:
            found = CheckResult("credentials", "failed", problem.message, problem.hint)
            problems.setdefault(problem.message, found)
            continue
        sent.setdefault(_token_origin(settings, service) if token else "no token", []).append(service)
    said = "; ".join(f"{origin} for {', '.join(services)}" for origin, services in sent.items())
    return [*problems.values(), *([CheckResult("credentials", "ok", said)] if said else [])]


def _token_origin(settings: Settings, service: str) -> str:
    for name in (f"{service}_token", f"{service}_token_file", "token", "token_file"):
        if getattr(settings, name, None) is not None:
            return f"{name} ({settings.sources.get(name, 'argument')})"
    return "no token"


async def check_clock(nemo: NeMo) -> list[CheckResult]:
    """Whether this machine and the platform agree on the time."""
    if not nemo.settings.has_address("entity_store"):
        return []
    try:
        ahead = await nemo.clock_ahead()
    except LawtagsError:
        # Told already, as what the Entity Store answers.
        return []
    if ahead is None:
        return [CheckResult("clock", "unknown", "the platform does not report its time")]
    if abs(ahead) <= _CLOCK_TOLERANCE:
        return [CheckResult("clock", "ok", f"within {max(2, abs(round(ahead)))} s of the platform's")]
    side = "behind" if ahead > 0 else "ahead of"
    fix = "Sync the clock with the network, e.g. timedatectl set-ntp true; tokens and links expire by it."
    return [CheckResult("clock", "failed", f"{abs(ahead):.0f} s {side} the platform's", fix)]


def check_extras() -> list[CheckResult]:
    """Which extras of lawtags are installed."""
    findings = []
    for extra in MARKERS:
        if packages := absent(extra):
            fix = f"pip install 'lawtags[{extra}]'"
            findings.append(CheckResult(f"extra {extra}", "missing", f"without {', '.join(packages)}", fix))
        else:
            findings.append(CheckResult(f"extra {extra}", "ok", "installed"))
    return findings


def check_encoder() -> list[CheckResult]:
    """Whether the retriever has an encoder, and whether it is the one that it should be."""
    from lawtags_client.encoder.choice import choose_encoder

    try:
        choice = choose_encoder()
    except LawtagsError as problem:
        return [CheckResult("encoder", "failed", problem.message, problem.hint)]
    if choice.encoder is not None:
        return [CheckResult("encoder", "ok", choice.encoder.name)]
    reason, _, fix = choice.reason.partition("; run: ")
    return [CheckResult("encoder", "missing", f"{reason}; the tagger works without embeddings", fix or None)]


async def check_platform(settings: Settings, *, handler: Handler | None = None) -> list[CheckResult]:
    """Which platform answers at ``platform_url``: NeMo Microservices v1, nemo-platform or NeMo Helix.

    Args:
        settings: with the addresses.
        handler: answers instead of the network, for tests.
    """
    if not settings.has_address("platform"):
        return []
    try:
        found = await detect(settings, handler=handler)
    except APIError as problem:
        fix = "Try again later, check the token, or set dialect to v1 or helix."
        return [CheckResult("platform", "unknown", problem.message, fix)]
    except LawtagsError:
        # The checks of the services say what is wrong.
        return []
    spoken = "helix" if found.speaks_helix else "v1"
    if settings.dialect not in ("auto", spoken):
        fix = f"Set dialect to auto or {spoken}, or correct platform_url."
        return [CheckResult("platform", "failed", f"{found}, but dialect is {settings.dialect}", fix)]
    if found.backends and found.obstacle is not None:
        return [CheckResult("platform", "unknown", f"{found}, {found.obstacle}", _NO_TRAINING)]
    return [CheckResult("platform", "ok", str(found))]


async def check_helix(settings: Settings, *, handler: Handler | None = None) -> list[CheckResult]:
    """Ask each service of Helix for something small; all at once.

    Args:
        settings: with the address of the platform.
        handler: answers instead of the network, for tests.
    """
    async with Helix(settings, handler=handler) as helix:
        questions: dict[str, Callable[[], Awaitable[str]]] = {
            "workspaces": lambda: _count(helix.workspaces, "workspaces"),
            "models": lambda: _count(_Everywhere(helix.models.list), "models"),
            "providers": lambda: _providers(helix),
            "jobs": lambda: _count(_Everywhere(helix.jobs.list), "jobs"),
            "training": lambda: _training(helix),
            "evaluation": lambda: _evaluation(helix),
        }
        return list(await asyncio.gather(*(_ask(service, ask) for service, ask in questions.items())))


async def _training(helix: Helix) -> str:
    try:
        backends = await helix.customization.backends()
    except NotFoundError:
        backends = []
    if not backends:
        raise ConfigurationError("no runs: there is no training backend", hint=_NO_TRAINING)
    return ", ".join(backends)


async def _evaluation(helix: Helix) -> str:
    name = await helix.evaluations.service_name()
    if name is None:
        raise ConfigurationError(
            "no evaluation service", hint="Start the platform with its service evals or evaluator."
        )
    return f"/apis/{name}"


async def _providers(helix: Helix) -> str:
    found = [provider async for provider in helix.providers.list(workspace="-")]
    served = sum(len(provider.served_models) for provider in found)
    return f"{len(found)} providers, {served} models served"


async def check_services(nemo: NeMo) -> list[CheckResult]:
    """Ask each service for something small; all at once."""
    if not any(map(nemo.settings.has_address, get_args(ServiceName))):
        fix = "Set LAWTAGS_PLATFORM_URL, select a profile, or start a platform on this machine: "
        fix += "lawtags local up --detach, then use --profile local."
        return [CheckResult("services", "failed", "no address is set", fix)]
    questions: dict[str, Callable[[], Awaitable[str]]] = {
        "entity_store": lambda: _count(nemo.entity_store.namespaces, "namespaces"),
        "customizer": lambda: _count(nemo.customizer.configs, "training configs"),
        "evaluator": lambda: _count(nemo.evaluator.configs, "evaluation configs"),
        "deployments": lambda: _count(nemo.deployments.configs, "deployment configs"),
        "data_store": lambda: _namespace(nemo),
        "inference": lambda: _models(nemo),
    }
    return list(await asyncio.gather(*(_ask(service, ask) for service, ask in questions.items())))


async def require_platform(nemo: NeMo, config: str | None) -> None:
    """Check, before hours of work, that the services answer and have what is going to be asked of them.

    Args:
        nemo: an open client.
        config: the training configuration that will be used, if any.

    Raises:
        LawtagsError: what the first service says that does not.
    """
    if await speaks_helix(nemo.settings, training=True):
        async with Helix(nemo.settings) as helix:
            await HelixPlatform(helix).config(config) if config is not None else await helix.cluster_info()
        return
    asked = [
        _count(nemo.entity_store.namespaces, "namespaces"),
        _namespace(nemo),
        _count(nemo.evaluator.configs, "evaluation configs"),
        _models(nemo),
    ]
    results = await asyncio.gather(*asked, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    if config is not None:
        await nemo.customizer.config(config)


async def _ask(service: str, ask: Callable[[], Awaitable[str]]) -> CheckResult:
    begin = time.monotonic()
    try:
        said = await ask()
    except LawtagsError as problem:
        return CheckResult(service, "failed", problem.message, problem.hint)
    return CheckResult(service, "ok", f"{said}, in {(time.monotonic() - begin) * 1000:.0f} ms")


class _Listing(Protocol):
    def list(self) -> AsyncIterator[object]: ...


@dataclass(frozen=True, slots=True)
class _Everywhere:
    """A list of Helix over all workspaces.

    Args:
        listed: the method that lists.
    """

    listed: Callable[..., AsyncIterator[object]]

    def list(self) -> AsyncIterator[object]:
        return self.listed(workspace="-")


async def _count(listing: _Listing, what: str) -> str:
    found = 0
    async for _ in listing.list():
        found += 1
        if found == 100:
            break
    return f"{found}{'+' if found == 100 else ''} {what}"


async def _namespace(nemo: NeMo) -> str:
    try:
        await nemo.data_store.namespaces.get("default")
    except NotFoundError:
        return "answers"
    return "answers, has the namespace 'default'"


async def _models(nemo: NeMo) -> str:
    return f"{len(await nemo.inference.models())} models served"
