"""lawtags: curate legal questions, fine-tune, evaluate and serve a tagger on NVIDIA NeMo microservices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lawtags_client.version import __version__ as __version__

if TYPE_CHECKING:
    from lawtags_client import errors, sync
    from lawtags_client.client import NeMo
    from lawtags_client.errors import LawtagsError
    from lawtags_client.services.customizer.job import Job
    from lawtags_client.services.customizer.methods import AllWeights, LoRA, LoRAMerged
    from lawtags_client.services.data_store import UploadedDataset
    from lawtags_client.services.evaluator import Evaluation, scores
    from lawtags_client.services.inference.tags import Tagged
    from lawtags_client.settings import Settings

__all__ = [
    "AllWeights",
    "Evaluation",
    "Job",
    "LawtagsError",
    "LoRA",
    "LoRAMerged",
    "NeMo",
    "Settings",
    "Tagged",
    "UploadedDataset",
    "errors",
    "scores",
    "sync",
]

_HOMES = {
    "AllWeights": "services.customizer.methods",
    "Evaluation": "services.evaluator",
    "Job": "services.customizer.job",
    "LawtagsError": "errors",
    "LoRA": "services.customizer.methods",
    "LoRAMerged": "services.customizer.methods",
    "NeMo": "client",
    "Settings": "settings",
    "Tagged": "services.inference.tags",
    "UploadedDataset": "services.data_store",
    "scores": "services.evaluator",
}
_MODULES = frozenset({"errors", "sync"})


def __getattr__(name: str) -> Any:
    # What a name needs is imported when it is first used: httpx and pydantic take longer than most scripts.
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
