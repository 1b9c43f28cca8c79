"""Checks of the surroundings: services, extras, disk."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lawtags_client.client import NeMo
from lawtags_client.errors import LawtagsError

_EXTRAS = {
    "curate": ("nemo_curator", "spacy", "ftfy"),
    "tag": ("numpy", "scipy"),
    "local": ("torch", "transformers", "peft", "uvicorn"),
    "report": ("matplotlib", "jinja2"),
}
_LEAST_FREE = 2 * 1024**3

Finding = dict[str, Any]


def check_place() -> list[Finding]:
    """Python's version, and room on the disk of the working directory."""
    version = ".".join(map(str, sys.version_info[:3]))
    free = shutil.disk_usage(Path.cwd()).free
    return [
        _finding("python", "ok", version),
        _finding("disk", "ok", f"{free / 1e9:.0f} GB free")
        if free > _LEAST_FREE
        else _finding(
            "disk", "failed", f"only {free / 1e9:.1f} GB free", "Make room; a run needs about 2 GB."
        ),
    ]


def check_extras() -> list[Finding]:
    """Which extras of lawtags are installed."""
    findings = []
    for extra, modules in _EXTRAS.items():
        absent = [module for module in modules if importlib.util.find_spec(module) is None]
        if absent:
            fix = f"pip install 'lawtags[{extra}]'"
            findings.append(_finding(f"extra {extra}", "missing", f"without {', '.join(absent)}", fix))
        else:
            findings.append(_finding(f"extra {extra}", "ok", "installed"))
    return findings


async def check_services(nemo: NeMo) -> list[Finding]:
    """Ask each service for something small; all at once."""
    questions: dict[str, Callable[[], Awaitable[str]]] = {
        "entity_store": lambda: _count(nemo.entity_store.namespaces, "namespaces"),
        "customizer": lambda: _count(nemo.customizer.configs, "training configs"),
        "evaluator": lambda: _count(nemo.evaluator.configs, "evaluation configs"),
        "deployments": lambda: _count(nemo.deployments.configs, "deployment configs"),
        "data_store": lambda: _namespace(nemo),
        "inference": lambda: _models(nemo),
    }
    return list(await asyncio.gather(*(_ask(service, ask) for service, ask in questions.items())))


async def _ask(service: str, ask: Callable[[], Awaitable[str]]) -> Finding:
    try:
        return _finding(service, "ok", await ask())
    except LawtagsError as problem:
        return _finding(service, "failed", problem.message, problem.hint)


async def _count(listing: Any, what: str) -> str:
    found = 0
    async for _ in listing.list():
        found += 1
        if found == 100:
            break
    return f"{found}{'+' if found == 100 else ''} {what}"


async def _namespace(nemo: NeMo) -> str:
    from lawtags_client.errors import NotFoundError

    try:
        await nemo.data_store.namespaces.get("default")
    except NotFoundError:
        return "answers"
    return "answers, has the namespace 'default'"


async def _models(nemo: NeMo) -> str:
    return f"{len(await nemo.inference.models())} models served"


def _finding(what: str, state: str, finding: str, fix: str | None = None) -> Finding:
    return {"what": what, "state": state, "finding": finding, "fix": fix}
