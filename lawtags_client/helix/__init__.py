"""A typed asynchronous client for NVIDIA NeMo Helix."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lawtags_client.helix.client import Helix
    from lawtags_client.helix.jobs import LogCursor, StepFilter
    from lawtags_client.helix.names import adapter_reference, check_name, make_name
    from lawtags_client.helix.types.automodel import AutomodelSpec
    from lawtags_client.helix.types.customization import HelixTrainingJob
    from lawtags_client.helix.types.evaluations import (
        HelixEvaluationParams,
        HelixEvaluationSpec,
        HelixEvaluationTarget,
    )
    from lawtags_client.helix.types.jobs import HelixJob, JobStatus
    from lawtags_client.helix.types.rl import RlSpec
    from lawtags_client.helix.types.unsloth import UnslothSpec

_HOMES = {
    "AutomodelSpec": "types.automodel",
    "Helix": "client",
    "HelixEvaluationParams": "types.evaluations",
    "HelixEvaluationSpec": "types.evaluations",
    "HelixEvaluationTarget": "types.evaluations",
    "HelixJob": "types.jobs",
    "HelixTrainingJob": "types.customization",
    "JobStatus": "types.jobs",
    "LogCursor": "jobs",
    "RlSpec": "types.rl",
    "StepFilter": "jobs",
    "UnslothSpec": "types.unsloth",
    "adapter_reference": "names",
    "check_name": "names",
    "make_name": "names",
}

__all__ = [
    "AutomodelSpec",
    "Helix",
    "HelixEvaluationParams",
    "HelixEvaluationSpec",
    "HelixEvaluationTarget",
    "HelixJob",
    "HelixTrainingJob",
    "JobStatus",
    "LogCursor",
    "RlSpec",
    "StepFilter",
    "UnslothSpec",
    "adapter_reference",
    "check_name",
    "make_name",
]


def __getattr__(name: str) -> object:
    # Imported when it is first used, so that the wire types alone cost no HTTP library.
    from importlib import import_module

    if name in _HOMES:
        value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
