"""Raw questions in, training rows out."""

from lawtags_client.curation.forget.forgetting import forget_questions
from lawtags_client.curation.options import (
    CurationOptions,
    DuplicateOptions,
    FilterOptions,
    PiiOptions,
    SplitOptions,
    TagOptions,
)
from lawtags_client.curation.pipeline import curate
from lawtags_client.curation.questions import plain_question, questions_to_tag
from lawtags_client.curation.report import CurationProgress, CurationReport, StepCount

__all__ = [
    "CurationOptions",
    "CurationProgress",
    "CurationReport",
    "DuplicateOptions",
    "FilterOptions",
    "PiiOptions",
    "SplitOptions",
    "StepCount",
    "TagOptions",
    "curate",
    "forget_questions",
    "plain_question",
    "questions_to_tag",
]
