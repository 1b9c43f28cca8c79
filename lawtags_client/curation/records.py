"""The records of a curation as JSON: those of its work folder, its output files and ``curation.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

from lawtags_client.json_value import JsonRow

PartCounts = dict[str, int]
"""Rows by part."""


class FilePlace(TypedDict):
    """A place in an input."""

    file: str
    line: int


class InputIdentity(TypedDict, total=False):
    """What distinguishes one content of an input from another: SHA-256 and size, or the Hub's revision."""

    source: str
    sha256: str
    bytes: int
    revision: str


class InputRecord(InputIdentity):
    """An input of a curation."""

    rows: int
    test: bool


class PiiRecord(TypedDict):
    """The options of masking; the key is replaced by a fingerprint."""

    entities: list[str]
    action: str
    model: str | None
    allow: list[str]
    domains: list[str]
    batch_size: int
    key_fingerprint: str | None


class SplitRecord(TypedDict):
    """The options of the split."""

    training: float
    validation: float
    testing: float
    seed: int
    few_rows: int
    by: Literal["hash", "time", "stratified"]


class OptionsRecord(TypedDict):
    """All options of a curation."""

    columns: dict[str, str]
    links: str
    unicode: bool
    sections: bool
    pii: PiiRecord
    filters: JsonRow
    duplicates: JsonRow
    tags: JsonRow
    split: SplitRecord
    style: JsonRow
    format: str
    on_bad_row: str
    max_bad: float
    forget: str | None


class TextsRecord(TypedDict):
    """How texts are cleaned and masked."""

    columns: dict[str, str]
    links: str
    unicode: bool
    sections: bool
    pii: PiiRecord | None
    pii_model: str | None
    version: int


class StepRecord(TypedDict):
    """What a step did to one partition."""

    name: str
    rows_in: int
    rows_out: int
    seconds: float
    looked_at: int
    counts: dict[str, int]


class StepCountRecord(TypedDict, total=False):
    """What a step did to all rows."""

    name: str
    rows_in: int
    rows_out: int
    seconds: float
    note: str


class ChangeExample(TypedDict, total=False):
    """A row that a step changed; ``before`` is null if it may contain personal data."""

    row: int
    id: str
    file: str
    line: int
    field: str
    before: str | None
    after: str


class PartitionRecord(TypedDict):
    """What the steps did to one partition."""

    partition: int
    steps: list[StepRecord]
    changes: dict[str, list[ChangeExample]]


class PartitionRow(TypedDict, total=False):
    """A row of a partition after all steps, with the columns that were read; a missing value is None."""

    id: str
    title: str
    body: str | None
    tags: Sequence[str]
    score: float | None
    link: str | None
    license: str | None
    source: int
    file: str
    line: int
    test: bool
    masked: bool
    rejected_by: str
    reason: str
    field: str
    detail: str


class BadRowRecord(TypedDict):
    """A row that cannot be read."""

    source: int
    file: str
    line: int
    column: int | None
    field: str | None
    reason: str
    detail: str | None


class RejectedRow(TypedDict, total=False):
    """A line of ``rejected.jsonl``."""

    step: str
    reason: str
    file: str
    line: int
    column: int
    field: str | None
    id: str | None
    instead: str | None
    instead_at: FilePlace
    tags_differ: bool
    detail: str
    title: str


class QuestionRow(TypedDict):
    """A line of ``questions/*.jsonl``."""

    id: str
    row: int
    title: str
    body: str | None
    tags: list[str]
    score: float | None
    link: str | None
    license: str | None
    source: FilePlace


class UnreadableValues(TypedDict):
    """Values of a field that could not be read and are treated as unknown."""

    field: str
    reason: str
    rows: int
    first: FilePlace


class ValueNotices(TypedDict, total=False):
    """What reading noticed about single values."""

    missing: dict[str, dict[str, int]]
    unreadable: list[UnreadableValues]
    dropped_characters: dict[str, int]


class PiiCounts(TypedDict):
    """Personal data found, by kind."""

    model: str | None
    action: str
    counts: dict[str, int]
    partitions: list[dict[str, int]]


class LengthsRecord(TypedDict):
    """Lengths of the prompts of one partition, as decoded from JSON."""

    rows: int
    cut: int
    over: int
    longest: int
    tokens: int
    row_tokens: dict[str, int]
    words: dict[str, int]
    most_cut: list[tuple[int, str]]


class LengthDistribution(TypedDict, total=False):
    """Percentiles of lengths and a histogram; empty if there are no rows."""

    least: int
    half: int
    nine_tenths: int
    ninety_nine_hundredths: int
    most: int
    mean: float
    step: int
    rows_by_step: list[int]


class CutQuestion(TypedDict):
    """A long question whose body was truncated."""

    id: str
    words: int


class PromptSummary(TypedDict):
    """How long prompts are, and how many were truncated."""

    rows: int
    max_tokens: int
    tokens_are_estimates: bool
    tokenizer: str | None
    cut: int
    cut_share: float
    over_limit: int
    longest_tokens: int
    mean_tokens: float
    row_tokens: LengthDistribution
    question_words: LengthDistribution
    most_cut: list[CutQuestion]


class MergeProposal(TypedDict):
    """A pair of tags that may have the same meaning."""

    tag: str
    into: str
    rows: int
    into_rows: int
    together: int
    letters: float
    company: float
    why: str


class RespelledTag(TypedDict):
    """A tag that was normalized."""

    given: str
    tag: str
    rows: int


class SynonymsUsed(TypedDict):
    """The synonym file and the questions it changed."""

    file: str
    sha256: str
    entries: int
    renamed: dict[str, int]


class CorrectionsUsed(TypedDict):
    """The file of corrections: its entries, the rows they are for, and the rows they changed."""

    file: str
    sha256: str
    entries: int
    found: int
    changed: int


class LabelsRecord(TypedDict):
    """What was counted and changed about tags."""

    parts: dict[str, PartCounts]
    rare: dict[str, int]
    synonyms: SynonymsUsed | None
    corrections: CorrectionsUsed | None
    proposals: list[MergeProposal]
    respelled: list[RespelledTag]
    unseen: dict[str, int]


class SameId(TypedDict):
    """An id shared by several questions."""

    id: str
    at: list[FilePlace]


class ExamplesRecord(TypedDict):
    """Example rows by step."""

    changed: dict[str, list[ChangeExample]]
    dropped: dict[str, list[RejectedRow]]


class RemovalRecord(TypedDict):
    """One removal of questions on request; ids appear only as hashes."""

    at: str
    asked: int
    rows: int
    hashes: list[str]
    not_found: list[str]


class CurationCard(TypedDict):
    """``curation.json``; files of earlier versions lack some fields."""

    schema_version: int
    digest: str
    inputs: list[InputRecord]
    options: OptionsRecord
    versions: dict[str, str]
    seed: int
    steps: list[StepCountRecord]
    splits: PartCounts
    bad_rows: dict[str, int]
    values: ValueNotices
    rejected: dict[str, dict[str, int]]
    pii: PiiCounts
    duplicates: dict[str, int]
    same_ids: list[SameId]
    prompts: PromptSummary
    tags: dict[str, int]
    labels: LabelsRecord
    examples: ExamplesRecord
    forgotten: list[RemovalRecord]
    asking: TextsRecord | None
    notes: list[str]
    outputs: dict[str, str]
