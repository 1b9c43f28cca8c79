"""What a run needs from any platform, and the platforms there are."""

from lawtags_client.platform.protocol import (
    Evaluation,
    EvaluationIntent,
    FineTuneIntent,
    Follow,
    JobReference,
    Platform,
    PromptInput,
    TrainingConfig,
    UploadedDataset,
)

__all__ = [
    "Evaluation",
    "EvaluationIntent",
    "FineTuneIntent",
    "Follow",
    "JobReference",
    "Platform",
    "PromptInput",
    "TrainingConfig",
    "UploadedDataset",
]
