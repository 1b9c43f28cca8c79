"""What a run needs from any platform, and the platforms there are."""

from lawtags_client.platform.protocol import (
    EvaluationIntent,
    EvaluationSummary,
    FineTuneIntent,
    JobReference,
    JobUpdate,
    ModelAnswer,
    Platform,
    PlatformDataset,
    PlatformItem,
    PromptInput,
    RemovedItem,
    TrainingConfig,
    TrainingLayout,
)

__all__ = [
    "EvaluationIntent",
    "EvaluationSummary",
    "FineTuneIntent",
    "JobReference",
    "JobUpdate",
    "ModelAnswer",
    "Platform",
    "PlatformDataset",
    "PlatformItem",
    "PromptInput",
    "RemovedItem",
    "TrainingConfig",
    "TrainingLayout",
]
