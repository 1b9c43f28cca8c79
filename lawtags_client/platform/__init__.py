"""What a run needs from any platform, and the platforms there are."""

from lawtags_client.platform.protocol import (
    Answer,
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
    "Answer",
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
