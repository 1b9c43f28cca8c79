"""lawtags: curate legal questions, fine-tune, evaluate and serve a tagger on NVIDIA NeMo microservices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lawtags_client.version import __version__ as __version__

if TYPE_CHECKING:
    from lawtags_client import errors, sync
    from lawtags_client.asking.tagged import Tagged
    from lawtags_client.asking.tags import tag, tag_many
    from lawtags_client.client import NeMo
    from lawtags_client.errors import LawtagsError
    from lawtags_client.services.customizer.events import (
        JobEvent,
        LogWritten,
        MetricRecorded,
        ProgressMade,
        StateChanged,
        WarningIssued,
    )
    from lawtags_client.services.customizer.job import Job
    from lawtags_client.services.customizer.methods import AllWeights, LoRA, LoRAMerged
    from lawtags_client.services.evaluator import Evaluation, scores
    from lawtags_client.services.following import JobChange
    from lawtags_client.services.uploaded_dataset import UploadedDataset
    from lawtags_client.services.watching import Patience
    from lawtags_client.settings import Settings
    from lawtags_client.tagging.question import Question
    from lawtags_client.tagging.vocabulary import Vocabulary
    from lawtags_client.transport.hooks import EventHooks, RequestEvent, ResponseEvent
    from lawtags_client.transport.raw import RawResponse
    from lawtags_client.types.customizer import CustomizationJob, CustomizationJobFilter
    from lawtags_client.types.entity_store import Dataset
    from lawtags_client.types.evaluator import MetricConfig

__all__ = [
    "AllWeights",
    "CustomizationJob",
    "CustomizationJobFilter",
    "Dataset",
    "Evaluation",
    "EventHooks",
    "Job",
    "JobChange",
    "JobEvent",
    "LawtagsError",
    "LoRA",
    "LoRAMerged",
    "LogWritten",
    "MetricConfig",
    "MetricRecorded",
    "NeMo",
    "Patience",
    "ProgressMade",
    "Question",
    "RawResponse",
    "RequestEvent",
    "ResponseEvent",
    "Settings",
    "StateChanged",
    "Tagged",
    "UploadedDataset",
    "Vocabulary",
    "WarningIssued",
    "errors",
    "scores",
    "sync",
    "tag",
    "tag_many",
]

_HOMES = {
    "AllWeights": "services.customizer.methods",
    "CustomizationJob": "types.customizer",
    "CustomizationJobFilter": "types.customizer",
    "Dataset": "types.entity_store",
    "Evaluation": "services.evaluator",
    "EventHooks": "transport.hooks",
    "Job": "services.customizer.job",
    "JobChange": "services.following",
    "JobEvent": "services.customizer.events",
    "LawtagsError": "errors",
    "LoRA": "services.customizer.methods",
    "LoRAMerged": "services.customizer.methods",
    "LogWritten": "services.customizer.events",
    "MetricConfig": "types.evaluator",
    "MetricRecorded": "services.customizer.events",
    "NeMo": "client",
    "Patience": "services.watching",
    "ProgressMade": "services.customizer.events",
    "Question": "tagging.question",
    "RawResponse": "transport.raw",
    "RequestEvent": "transport.hooks",
    "ResponseEvent": "transport.hooks",
    "Settings": "settings",
    "StateChanged": "services.customizer.events",
    "Tagged": "asking.tagged",
    "UploadedDataset": "services.uploaded_dataset",
    "Vocabulary": "tagging.vocabulary",
    "WarningIssued": "services.customizer.events",
    "scores": "services.evaluator",
    "tag": "asking.tags",
    "tag_many": "asking.tags",
}
_MODULES = frozenset({"errors", "sync"})


def __getattr__(name: str) -> object:
    # What a name needs is imported when it is first used: httpx and pydantic take longer than most scripts.
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
