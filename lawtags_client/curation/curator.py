"""The steps for NeMo Curator 0.9, on Dask: modifiers, filters, and whole steps as modules.

Importing this module imports NeMo Curator, which takes seconds; nothing else of this package does.

Example::

    pipeline = Sequential([
        Modify(HtmlToTextModifier(), text_field="question"),
        Modify(PiiModifier(PiiOptions(action="mask")), text_field="question"),
        ScoreFilter(WordCountFilter(min_words=16), text_field="question"),
    ])
"""

from __future__ import annotations

import warnings

from lawtags_client.curation.documents import (
    CleaningModifier,
    HtmlToTextModifier,
    NetVotesFilter,
    PiiModifier,
    RepeatedNgramsFilter,
    SectionNumberModifier,
    UnicodeModifier,
    WordCountFilter,
    require_curator,
)
from lawtags_client.curation.frames import question_frame
from lawtags_client.curation.staging import save_partition
from lawtags_client.curation.steps import Step, run_step
from lawtags_client.errors import MissingExtraError

require_curator(0, "curate", "lawtags_client.curation.curator_ray")
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nemo_curator import Sequential
        from nemo_curator.datasets import DocumentDataset
        from nemo_curator.modules.base import BaseModule
except ImportError as error:
    raise MissingExtraError(error.name or "nemo_curator", "curate", "curation") from error


class RecordedStep(BaseModule):  # type: ignore[misc]
    """A step that marks refused rows instead of removing them, and counts and times itself.

    Args:
        step: the step.
    """

    def __init__(self, step: Step) -> None:
        super().__init__(input_backend="pandas", name=step.name)
        self.step = step

    def call(self, dataset: DocumentDataset) -> DocumentDataset:
        frame = dataset.df
        # Functions of modules without NeMo Curator, which workers would take seconds to import.
        if "rejected_by" not in frame.columns:
            meta = question_frame(frame._meta)
            frame = frame.map_partitions(question_frame, meta=meta, enforce_metadata=False)
        return DocumentDataset(
            frame.map_partitions(run_step, self.step, meta=frame._meta, enforce_metadata=False)
        )


class SavedPartitions(BaseModule):  # type: ignore[misc]
    """Ends a pipeline: writes each partition with its record and leaves its number.

    Args:
        folder: the work folder.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(input_backend="pandas", name="save")
        self.folder = folder

    def call(self, dataset: DocumentDataset) -> DocumentDataset:
        return DocumentDataset(
            dataset.df.map_partitions(
                save_partition, self.folder, meta={"partition": "int64"}, enforce_metadata=False
            )
        )


__all__ = [
    "CleaningModifier",
    "DocumentDataset",
    "HtmlToTextModifier",
    "NetVotesFilter",
    "PiiModifier",
    "RecordedStep",
    "RepeatedNgramsFilter",
    "SavedPartitions",
    "SectionNumberModifier",
    "Sequential",
    "UnicodeModifier",
    "WordCountFilter",
]
