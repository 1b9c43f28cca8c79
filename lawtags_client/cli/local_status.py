"""What ``lawtags local status`` says to a reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Report = Mapping[str, Any]


def lines(report: Report) -> Iterator[str]:
    """The report of a stack as lines: where it answers, jobs, models, disk."""
    if not report["running"]:
        yield f"No stack is running in {report['dir']} ({_megabytes(report['disk_bytes'])} on disk)."
        return
    for name in ("platform_url", "data_store_url", "inference_url"):
        if name in report:
            yield _line(name.removesuffix("_url").replace("_", " "), report[name])
    if "pid" in report:
        yield _line("process", f"{report['pid']}, since {report['started']}")
    if services := report.get("services"):
        yield from _jobs(services)
        yield from _models(services)
    else:
        yield _line("state", "starting")
    yield from _disk(report)


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
    yield _line("repositories", f"{repositories['dataset']} of data sets, {repositories['model']} of models")
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
