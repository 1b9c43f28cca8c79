"""The content of ``tagger.json`` as types."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class StyleDocument(TypedDict):
    """The format of prompts and answers."""

    task: str | None
    order: Literal["random", "sorted", "frequency"]
    shortlist: int
    max_tokens: int
    separator: str


class VocabularyDocument(TypedDict):
    """The tags, with the training rows that each is on."""

    tags: list[str]
    counts: list[int]
    rows: int


class RetrieverOptionsDocument(TypedDict):
    """How the retriever was fitted."""

    folds: int | None
    strength: float
    neighbours: int
    min_count: int
    most_rows: int


class RetrieverDocument(TypedDict):
    """The retriever, except its arrays."""

    options: RetrieverOptionsDocument
    word_weight: float
    weights: dict[str, float]


class DecisionDocument(TypedDict):
    """From scores to tags; a decision with one threshold that never abstains has no further keys."""

    threshold: float
    least: int
    most: int
    thresholds: NotRequired[list[float]]
    abstain_below: NotRequired[float]


class MixDocument(TypedDict):
    """How the model's evidence is weighed."""

    tokens: list[str | None]
    weights: dict[str, float]
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

    weights: dict[str, float]
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
