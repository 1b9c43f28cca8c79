"""The steps for NeMo Curator 1.x, on Ray: modifiers, filters, and whole steps as processing stages.

The modifiers and filters go into Curator's own ``Modify``, ``Score``, ``Filter`` and ``ScoreFilter``,
which hand them one text after the other; :class:`ModifyBatches` hands a modifier whole batches, which the
model of names is faster on. :class:`RecordedStage` runs the steps of a curation over batches of questions.

Example::

    pipeline = Pipeline("questions", stages=[
        JsonlReader("questions/*.jsonl"),
        Modify(HtmlToTextModifier(), input_fields="question"),
        ModifyBatches(PiiModifier(PiiOptions(action="mask")), "question"),
        ScoreFilter(WordCountFilter(min_words=16), text_field="question"),
        JsonlWriter("kept"),
    ])
    pipeline.run(RayDataExecutor())
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from lawtags_client.curation.steps import Step, prepare_steps, run_step
from lawtags_client.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

require_curator(1, "curate-ray", "lawtags_client.curation.curator")
try:
    from nemo_curator.stages.base import ProcessingStage
    from nemo_curator.stages.text.modifiers import DocumentModifier
    from nemo_curator.tasks import DocumentBatch
except ImportError as error:
    raise MissingExtraError(error.name or "nemo_curator", "curate-ray", "curation") from error


class ModifyBatches(ProcessingStage[DocumentBatch, DocumentBatch]):  # type: ignore[misc]
    """Gives a modifier whole batches of texts.

    Args:
        modifier: one of this module's.
        text_field: the column that it changes.
    """

    def __init__(self, modifier: DocumentModifier, text_field: str = "text") -> None:
        self.modifier = modifier
        self.text_field = text_field
        self.name = f"{type(modifier).__name__}_{text_field}"

    def inputs(self) -> tuple[list[str], list[str]]:
        return ["data"], [self.text_field]

    def outputs(self) -> tuple[list[str], list[str]]:
        return ["data"], [self.text_field]

    def setup(self, worker_metadata: object = None) -> None:
        if hasattr(self.modifier, "load_model"):
            self.modifier.load_model()

    def ray_stage_spec(self) -> dict[str, object]:
        # An actor with the model would hold a processor from beginning to end, so that a pipeline of more of
        # them than there are processors waits for ever. Tasks find the model in their process as well.
        return {"is_actor_stage": False}

    def process(self, task: DocumentBatch) -> DocumentBatch:
        frame = task.to_pandas()
        changed = frame.assign(**{self.text_field: self.modifier.modify_document(frame[self.text_field])})
        return _batch(task, changed, task._metadata)


class RecordedStage(ProcessingStage[DocumentBatch, DocumentBatch]):  # type: ignore[misc]
    """Steps of a curation that mark refused rows instead of removing them, and count and time themselves.

    What each did to a batch stands in its ``_metadata["steps"]``.

    Args:
        steps: in their order; several in one stage need only one worker.
    """

    def __init__(self, *steps: Step) -> None:
        self.steps = steps
        self.name = "_".join(step.name for step in steps)

    def inputs(self) -> tuple[list[str], list[str]]:
        return ["data"], []

    def outputs(self) -> tuple[list[str], list[str]]:
        return ["data"], ["rejected_by", "reason", "field", "detail"]

    def setup(self, worker_metadata: object = None) -> None:
        prepare_steps(self.steps)

    def ray_stage_spec(self) -> dict[str, object]:
        return {"is_actor_stage": False}

    def process(self, task: DocumentBatch) -> DocumentBatch:
        frame = question_frame(task.to_pandas())
        frame.attrs = {"steps": task._metadata.get("steps", [])}
        for step in self.steps:
            frame = run_step(frame, step)
        done, frame.attrs = frame.attrs["steps"], {}
        return _batch(task, frame, {**task._metadata, "steps": done})


def _batch(task: DocumentBatch, frame: pd.DataFrame, metadata: dict[str, object]) -> DocumentBatch:
    return DocumentBatch(
        dataset_name=task.dataset_name, data=frame, _metadata=metadata, _stage_perf=task._stage_perf
    )


__all__ = [
    "CleaningModifier",
    "HtmlToTextModifier",
    "ModifyBatches",
    "NetVotesFilter",
    "PiiModifier",
    "RecordedStage",
    "RepeatedNgramsFilter",
    "SectionNumberModifier",
    "UnicodeModifier",
    "WordCountFilter",
]
