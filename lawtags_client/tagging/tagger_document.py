"""The content of ``tagger.json`` as types, with bounds that keep scores finite and their cost small."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field

# The one of typing cannot be checked before Python 3.12.
from typing_extensions import TypedDict

Count = Annotated[int, Field(ge=0, lt=1 << 31)]
Weight = Annotated[float, Field(ge=-1e6, le=1e6)]
Share = Annotated[float, Field(ge=0, le=1)]


class StyleDocument(TypedDict):
    """The format of prompts and answers."""

    task: str | None
    order: Literal["random", "sorted", "frequency"]
    shortlist: Count
    max_tokens: Count
    separator: str


class VocabularyDocument(TypedDict):
    """The tags, with the training rows that each is on."""

    tags: list[str]
    counts: list[Count]
    rows: Count


class RetrieverOptionsDocument(TypedDict):
    """How the retriever was fitted."""

    folds: int | None
    strength: float
    neighbours: Annotated[int, Field(ge=1, le=1000)]
    min_count: int
    most_rows: int


class RetrieverDocument(TypedDict):
    """The retriever, except its arrays."""

    options: RetrieverOptionsDocument
    word_weight: Annotated[float, Field(ge=0, le=100)]
    weights: dict[str, Weight]


class DecisionDocument(TypedDict):
    """From scores to tags; a decision with one threshold that never abstains has no further keys."""

    threshold: Share
    least: Count
    most: Count
    thresholds: NotRequired[list[Share]]
    abstain_below: NotRequired[Share]


class MixDocument(TypedDict):
    """How the model's evidence is weighed."""

    tokens: list[str | None]
    weights: dict[str, Weight]
    decision: DecisionDocument


class FitReportDocument(TypedDict):
    """The rows and scores of the fit."""

    validation_rows: int
    model_rows: int
    retriever_micro_f1: float | None
    tagger_micro_f1: float | None
    blend_micro_f1: NotRequired[float | None]
    blend: NotRequired[str | None]
    model_gain: NotRequired[float | None]
    model_gain_error: NotRequired[float | None]


class ArrayDocument(TypedDict):
    """Type and shape of an array of ``tagger.npz``."""

    dtype: str
    shape: list[int]


class ArraysDocument(TypedDict):
    """The arrays of ``tagger.npz``, with the SHA-256 of that file."""

    sha256: str
    members: dict[str, ArrayDocument]


class AskingDocument(TypedDict):
    """How questions were prepared for the model; ``tokenizer`` is the SHA-256 of its file."""

    text: dict[str, object]
    chat: bool
    tokenizer: str | None


class BlendDocument(TypedDict):
    """How a tuned encoder is weighed; ``encoder`` is the identity of the one in ``encoder/``."""

    weights: dict[str, Weight]
    decision: DecisionDocument
    encoder: str


class EncoderDocument(TypedDict):
    """The encoder whose embeddings the retriever uses."""

    identity: str


class TaggerDocument(TypedDict):
    """The whole file; versions 1 to 4 lack some of the last keys; the digest comes last."""

    schema_version: int
    kind: str
    style: StyleDocument
    vocabulary: VocabularyDocument
    retriever: RetrieverDocument
    decision: DecisionDocument
    mix: MixDocument | None
    report: FitReportDocument
    arrays: ArraysDocument
    asking: NotRequired[AskingDocument | None]
    encoder: NotRequired[EncoderDocument | None]
    blend: NotRequired[BlendDocument | None]
    digest: NotRequired[str]
