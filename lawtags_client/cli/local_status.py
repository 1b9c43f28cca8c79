"""What ``lawtags local status`` says to a reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lawtags_client.errors import APIError, ConfigurationError

Report = Mapping[str, Any]


async def fetch_report(profile: str, *, token: str | None = None) -> dict[str, Any]:
    """The report of the stack at the address of a profile; without the disk, which is another machine's.

    Args:
        profile: its name in ``lawtags.toml``.
        token: the token that the stack requires, if it is another than the profile's.

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


def lines(report: Report) -> Iterator[str]:
    """The report of a stack as lines: where it answers, jobs, models, disk."""
    if not report["running"]:
        yield f"No stack is running in {report['dir']} ({_megabytes(report['disk_bytes'])} on disk)."
        return
    for name in ("platform_url", "data_store_url", "inference_url"):
        if name in report:
            yield _line(name.removesuffix("_url").replace("_", " "), report[name])
    if "pid" in report:
        since = f", since {report['started']}" if "started" in report else ""
        yield _line("process", f"{report['pid']}{since}")
    if services := report.get("services"):
        yield from _jobs(services)
        yield from _models(services)
    else:
        yield _line("state", "starting")
    if "disk" in report:
        yield from _disk(report)


def usage(report: Report, *, here: bool, token: bool) -> Iterator[str]:
    """How to use a stack: the profile, or the lines to paste into a shell.

    Args:
        report: holds its addresses.
        here: whether it is the stack of the working directory.
        token: whether it was started or asked with a token, which is not repeated.
    """
    profile = 'In this folder, use it with --profile local or NeMo.from_env("local"). Elsewhere, set:'
    yield profile if here else "To use it, set:"
    for name in ("platform_url", "data_store_url", "inference_url"):
        if name in report:
            yield f"export LAWTAGS_{name.upper()}={report[name]}"
    if token:
        yield f"{'Either way, also' if here else 'Also'} set LAWTAGS_TOKEN to the token of the stack."


def _jobs(services: Report) -> Iterator[str]:
    trainings, evaluations = services["customizer"], services["evaluator"]
    yield _line("trainings", _counts(trainings["jobs_by_state"]))
    for job in trainings["jobs"]:
        done, steps = f"step {job['steps_completed']}", job["steps"]
        if steps:
            done += f" of {steps}, {100 * job['steps_completed'] / steps:.0f} %"
        yield _line("", f"{job['id']}  {job['status']:10}  {done}  {job['output_model'] or ''}".rstrip())
    yield _line("evaluations", _counts(evaluations["jobs_by_state"]))
    for job in evaluations["unfinished"]:
        yield _line("", job)


def _models(services: Report) -> Iterator[str]:
    repositories, workers = services["data_store"]["repositories"], services["nim"]["workers"]
    yield _line("repositories", f"{repositories['dataset']} of datasets, {repositories['model']} of models")
    served = services["nim"]["served"]
    yield _line("served", ", ".join(served) or "no model")
    if waiting := sorted(set(services["entity_store"]["models"]) - set(served)):
        yield _line("not served", ", ".join(waiting))
    if workers:
        how = services["nim"]["computing"]
        loaded = (f"{name} (process {pid}, {how[name] or 'loading'})" for name, pid in workers.items())
        yield _line("loaded", ", ".join(loaded))
    for name, models in services["deployments"]["deployments"].items():
        yield _line("deployment", f"{name}: {', '.join(models)}")


def _disk(report: Report) -> Iterator[str]:
    yield _line("disk", f"{_megabytes(report['disk_bytes'])} in {report['dir']}")
    for name, size in sorted(report["disk"].items(), key=lambda part: -part[1]):
        yield _line("", f"{_megabytes(size):>12}  {name}")


def _line(label: str, text: object) -> str:
    return f"{label:13}{text}"


def _counts(by_state: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in by_state.items()) or "none"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
