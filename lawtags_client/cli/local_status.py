"""What ``lawtags local status`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lawtags_client.errors import APIError, ConfigurationError
from lawtags_client.json_value import JsonObject

_URLS = ("platform_url", "data_store_url", "inference_url")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    id: str
    status: str
    output_model: str | None = None
    steps_completed: int = 0
    steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Customizer:
    jobs: tuple[_Training, ...]
    jobs_by_state: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evaluator:
    unfinished: tuple[str, ...]
    jobs_by_state: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repositories:
    dataset: int
    model: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _DataStore:
    repositories: _Repositories


@dataclass(frozen=True, slots=True, kw_only=True)
class _EntityStore:
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inference:
    served: tuple[str, ...]
    workers: dict[str, int]
    computing: dict[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deployments:
    deployments: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Services:
    data_store: _DataStore
    entity_store: _EntityStore
    deployments: _Deployments
    customizer: _Customizer
    nim: _Inference
    evaluator: _Evaluator


@dataclass(frozen=True, slots=True, kw_only=True)
class StackReport:
    """What a stack reports of itself; fields are absent where it does not run, or on another machine."""

    running: bool
    dir: str | None = None
    disk_bytes: int = 0
    disk: dict[str, int] | None = None
    platform_url: str | None = None
    data_store_url: str | None = None
    inference_url: str | None = None
    pid: int | None = None
    started: str | None = None
    services: _Services | None = None

    @property
    def urls(self) -> list[tuple[str, str]]:
        """The addresses that are known, by name."""
        found = zip(_URLS, (self.platform_url, self.data_store_url, self.inference_url), strict=True)
        return [(name, url) for name, url in found if url is not None]


async def fetch_report(profile: str, *, token: str | None = None) -> JsonObject:
    """The report of the stack at the address of a profile; without disk usage, which is another machine's.

    Args:
        profile: its name in ``lawtags.toml``.
        token: the token that the stack requires, if not the profile's.

    Raises:
        ConfigurationError: there is no such profile, or no embedded stack at its address.
        LawtagsError: nothing answers there.
    """
    from lawtags_client.settings import Settings
    from lawtags_client.transport.call import Call
    from lawtags_client.transport.http import Transport

    transport = Transport(Settings.load(profile, token=token))
    service = transport.service("entity_store")
    try:
        found = await service.json(Call("GET", "/v1/stack/status"))
    except APIError as error:
        if error.status not in (404, 405, 501):
            raise
        found = None
    finally:
        await transport.close()
    if not isinstance(found, dict) or not isinstance(found.get("services"), dict):
        raise ConfigurationError(
            f"{service.address.url}, the address of profile {profile!r}, is not an embedded stack",
            hint=f"Check it with: lawtags doctor --profile {profile}",
        )
    return {**found, "running": True}


def lines(report: JsonObject) -> Iterator[str]:
    """The report of a stack as lines: addresses, jobs, models, disk.

    Raises:
        DataError: it is not the report of a stack.
    """
    found = _read(report)
    if not found.running:
        yield f"No stack is running in {found.dir} ({_megabytes(found.disk_bytes)} on disk)."
        return
    for name, url in found.urls:
        yield _line(name.removesuffix("_url").replace("_", " "), url)
    if found.pid is not None:
        since = f", since {found.started}" if found.started else ""
        yield _line("process", f"{found.pid}{since}")
    if found.services:
        yield from _jobs(found.services)
        yield from _models(found.services)
    else:
        yield _line("state", "starting")
    if found.disk is not None:
        yield _line("disk", f"{_megabytes(found.disk_bytes)} in {found.dir}")
        for name, size in sorted(found.disk.items(), key=lambda part: -part[1]):
            yield _line("", f"{_megabytes(size):>12}  {name}")


def usage(report: JsonObject, *, here: bool, token: bool) -> Iterator[str]:
    """How to use a stack: the profile, or the lines to paste into a shell.

    Args:
        report: holds its addresses.
        here: whether it is the stack of the working directory.
        token: whether it was started or asked with a token, which is not repeated.
    """
    profile = 'In this folder, use it with --profile local or NeMo.from_env("local"). Elsewhere, set:'
    yield profile if here else "To use it, set:"
    for name in _URLS:
        if name in report:
            yield f"export LAWTAGS_{name.upper()}={report[name]}"
    if token:
        yield f"{'Either way, also' if here else 'Also'} set LAWTAGS_TOKEN to the token of the stack."


def _read(report: JsonObject) -> StackReport:
    from lawtags_client.runs.documents import validated

    hint = "Check that client and stack have the same version."
    return validated(StackReport, report, what="the report of the stack", hint=hint)


def _jobs(services: _Services) -> Iterator[str]:
    yield _line("trainings", _counts(services.customizer.jobs_by_state))
    for job in services.customizer.jobs:
        done = f"step {job.steps_completed}"
        if job.steps:
            done += f" of {job.steps}, {100 * job.steps_completed / job.steps:.0f} %"
        yield _line("", f"{job.id}  {job.status:10}  {done}  {job.output_model or ''}".rstrip())
    yield _line("evaluations", _counts(services.evaluator.jobs_by_state))
    for evaluation in services.evaluator.unfinished:
        yield _line("", evaluation)


def _models(services: _Services) -> Iterator[str]:
    repositories, nim = services.data_store.repositories, services.nim
    yield _line("repositories", f"{repositories.dataset} of datasets, {repositories.model} of models")
    yield _line("served", ", ".join(nim.served) or "no model")
    if waiting := sorted(set(services.entity_store.models) - set(nim.served)):
        yield _line("not served", ", ".join(waiting))
    if nim.workers:
        loaded = (
            f"{name} (process {pid}, {nim.computing.get(name) or 'loading'})"
            for name, pid in nim.workers.items()
        )
        yield _line("loaded", ", ".join(loaded))
    for name, models in services.deployments.deployments.items():
        yield _line("deployment", f"{name}: {', '.join(models)}")


def _line(label: str, text: object) -> str:
    return f"{label:13}{text}"


def _counts(by_state: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in by_state.items()) or "none"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
