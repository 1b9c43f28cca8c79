"""The steps of a curation, each a function of one partition.

A partition is a data frame. A step never removes a row: it records the rejection and its reason in the row,
so that rejected rows can be listed and no row is lost. Later steps skip such rows. None of this needs NeMo
Curator; :mod:`lawtags_client.curation.curator` wraps the steps as Curator modules.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lawtags_client.curation.clean import modifiers
from lawtags_client.curation.clean.html import texts_to_plain, unescape_title
from lawtags_client.curation.clean.markdown import Links
from lawtags_client.curation.features import filters, fingerprints
from lawtags_client.curation.features.split import split_key
from lawtags_client.curation.mask.masker import masker
from lawtags_client.curation.options import PiiOptions
from lawtags_client.curation.read.corrections import Correction
from lawtags_client.curation.read.synonyms import rename_tags
from lawtags_client.curation.series import like, map_texts

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class StepOutcome:
    """The result of a step.

    Args:
        frame: the rows, changed or not.
        dropped: the reason to reject each row, or an empty string; None rejects none.
        detail: details of each reason, such as the number of words.
        field: the field concerned.
        looked_at: how many rows had the field.
        counts: findings by kind.
    """

    frame: pd.DataFrame
    dropped: list[str] | None = None
    detail: list[str] | None = None
    field: str = ""
    looked_at: int | None = None
    counts: Mapping[str, int] | None = None


class Step(Protocol):
    """A step: a name, and a function of the rows that were not rejected."""

    @property
    def name(self) -> str: ...

    def __call__(self, rows: pd.DataFrame) -> StepOutcome: ...


def run_step(frame: pd.DataFrame, step: Step, clock: Callable[[], float] = time.perf_counter) -> pd.DataFrame:
    """Apply a step to the rows of a partition that no earlier step rejected.

    Args:
        frame: a partition; ``attrs["steps"]`` holds what earlier steps did.
        step: the step.
        clock: measures its time.

    Returns:
        A new partition of the same rows.
    """
    started = clock()
    # Pandas deep-copies attrs whenever a column is accessed.
    attrs, frame.attrs = frame.attrs, {}
    try:
        live = frame["rejected_by"] == ""
        rows = frame[live]
        outcome = step(rows)
        result = frame.copy()
    finally:
        frame.attrs = attrs
    dropped = 0
    if "changes" in attrs:
        attrs["changes"].note(step.name, rows, outcome.frame)
    if len(rows) and outcome.frame is not rows:
        for column in _changed(rows, outcome.frame):
            result.loc[live, column] = outcome.frame[column]
    if outcome.dropped is not None:
        details = outcome.detail or [""] * len(outcome.dropped)
        hit = [bool(reason) for reason in outcome.dropped]
        dropped = sum(hit)
        refused = rows.index[hit]
        result.loc[refused, "rejected_by"] = step.name
        result.loc[refused, "field"] = outcome.field
        result.loc[refused, "reason"] = [reason for reason in outcome.dropped if reason]
        result.loc[refused, "detail"] = [text for text, out in zip(details, hit, strict=True) if out]
    came = int(live.sum())
    record = {
        "name": step.name,
        "rows_in": came,
        "rows_out": came - dropped,
        "seconds": clock() - started,
        "looked_at": came if outcome.looked_at is None else outcome.looked_at,
        "counts": dict(sorted((outcome.counts or {}).items())),
    }
    result.attrs = {**attrs, "steps": [*attrs.get("steps", ()), record]}
    return result


def _changed(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """The columns that a step replaced; unchanged columns share memory with the input."""
    import numpy

    return [
        name
        for name in after.columns
        if name not in before.columns
        or not numpy.may_share_memory(before[name].to_numpy(), after[name].to_numpy())
    ]


@dataclass(frozen=True)
class CompleteLabels:
    """Rejects questions without complete tags: they are useless for training and scoring."""

    name: str = "complete_labels"

    def __call__(self, rows: pd.DataFrame) -> StepOutcome:
        dropped = [
            "labels incomplete" if not complete else "no tags" if not len(tags) else ""
            for complete, tags in zip(rows["complete"], rows["tags"], strict=True)
        ]
        return StepOutcome(rows, dropped, field="tags")


@dataclass(frozen=True)
class RenameTags:
    """Replaces synonyms by their tags, and counts the questions of each synonym."""

    synonyms: Mapping[str, str]
    name: str = "tag_synonyms"

    def __call__(self, rows: pd.DataFrame) -> StepOutcome:
        counts = Counter(tag for tags in rows["tags"] for tag in tags if tag in self.synonyms)
        renamed = [rename_tags(list(tags), self.synonyms) for tags in rows["tags"]]
        return StepOutcome(rows.assign(tags=like(rows["tags"], renamed)), counts=counts)


@dataclass(frozen=True)
class CorrectTags:
    """Applies reviewed corrections, and rejects questions that lose all their tags."""

    corrections: Mapping[str, Correction]
    name: str = "tag_corrections"

    def __call__(self, rows: pd.DataFrame) -> StepOutcome:
        before = [list(tags) for tags in rows["tags"]]
        wanted = [self.corrections.get(name) for name in rows["id"]]
        after = [each.apply(tags) if each else tags for each, tags in zip(wanted, before, strict=True)]
        changed = sum(set(old) != set(new) for old, new in zip(before, after, strict=True))
        return StepOutcome(
            rows.assign(tags=like(rows["tags"], after)),
            ["" if tags else "all its tags were removed in review" for tags in after],
            field="tags",
            counts={"found": sum(each is not None for each in wanted), "changed": changed},
        )


@dataclass(frozen=True)
class HtmlToText:
    """Turns bodies into plain text and decodes the entities of titles."""

    links: Links = "text"
    name: str = "html"

    def __call__(self, rows: pd.DataFrame) -> StepOutcome:
        body = texts_to_plain(rows["body"], self.links, rows["html"], rows["markdown"])
        return StepOutcome(rows.assign(title=map_texts(rows["title"], unescape_title), body=body))


@dataclass(frozen=True)
class RepairUnicode:
    """Repairs titles and bodies that were decoded wrongly."""

    name: str = "unicode"

    def __call__(self, rows: pd.DataFrame) -> StepOutcome:
        repaired = {column: modifiers.repair_texts(rows[column]) for column in ("title", "body")}
        return StepOutcome(rows.assign(**repaired))


@dataclass(frozen=True)
class Clean:
    """Cleans whitespace, and computes each question's split key before names are replaced."""

    seed: int = 42
    name: str = "cleaning"

    def __call__(self, rows: pd.DataFrame) -> StepOutcome:
        titles = modifiers.clean_titles(rows["title"])
        keys = [split_key(title, self.seed) for title in titles]
        cleaned = rows.assign(title=titles, body=modifiers.clean_texts(rows["body"]), split_key=keys)
        dropped = ["" if title else "title empty after cleaning" for title in titles]
        return StepOutcome(cleaned, dropped, field="title")


@dataclass(frozen=True)
class MaskPii:
    """Masks personal data in title and body, read as one text."""

    options: PiiOptions
    name: str = "pii"

    def __call__(self, rows: pd.DataFrame) -> StepOutcome:
        texts = list(zip(rows["title"], rows["body"], strict=True))
        with_body = [isinstance(body, str) for _, body in texts]
        documents = [
            (title, body) if both else (title,) for (title, body), both in zip(texts, with_body, strict=True)
        ]
        masked, counts = masker(self.options).mask_documents(documents)
        bodies = [
            fields[1] if both else body
            for fields, both, (_, body) in zip(masked, with_body, texts, strict=True)
        ]
        # Deleting the beginning of a title leaves a space.
        titles = like(rows["title"], [fields[0].strip() for fields in masked])
        changed = rows.assign(title=titles, body=like(rows["body"], bodies), masked=True)
        return StepOutcome(changed, counts=counts)


@dataclass(frozen=True)
class FormatSections:
    """Normalizes citations of sections, in titles and bodies."""

    name: str = "section_numbers"

    def __call__(self, rows: pd.DataFrame) -> StepOutcome:
        formatted = {column: modifiers.format_sections(rows[column]) for column in ("title", "body")}
        return StepOutcome(rows.assign(**formatted))


@dataclass(frozen=True)
class WordCount:
    """Rejects short bodies; titles without a body and rows of a test file pass."""

    min_words: int
    name: str = "word_count"

    def __call__(self, rows: pd.DataFrame) -> StepOutcome:
        has_body = rows["body"].notna() & ~rows["test"]
        counts = filters.word_counts(rows["body"])
        short = has_body & (counts < self.min_words)
        reason = f"fewer than {self.min_words} words"
        return StepOutcome(
            rows,
            [reason if out else "" for out in short],
            [f"{int(count)} words" for count in counts],
            "body",
            int(has_body.sum()),
        )


@dataclass(frozen=True)
class NetVotes:
    """Rejects questions with too few net votes; unknown votes pass."""

    min_score: float
    name: str = "votes"

    def __call__(self, rows: pd.DataFrame) -> StepOutcome:
        known = rows["score"].notna() & ~rows["test"]
        low = known & (rows["score"] < self.min_score)
        reason = f"net votes below {self.min_score:g}"
        detail = [f"{score:g}" if out else "" for score, out in zip(rows["score"], low, strict=True)]
        return StepOutcome(rows, [reason if out else "" for out in low], detail, "score", int(known.sum()))


@dataclass(frozen=True)
class RepeatedNgrams:
    """Rejects bodies that repeat one phrase over and over."""

    n: int
    most: float
    name: str = "repeated_ngrams"

    def __call__(self, rows: pd.DataFrame) -> StepOutcome:
        has_body = rows["body"].notna() & ~rows["test"]
        shares = filters.repeated_shares(rows["body"].where(has_body), self.n)
        reason = f"repeats a phrase of {self.n} words over more than {self.most:.0%}"
        return StepOutcome(
            rows,
            [reason if share > self.most else "" for share in shares],
            [f"{share:.1%}" for share in shares],
            "body",
            int(has_body.sum()),
        )


@dataclass(frozen=True)
class HasAnswer:
    """Rejects questions that are known to have no answer."""

    name: str = "has_answer"

    def __call__(self, rows: pd.DataFrame) -> StepOutcome:
        known = [
            value is not None and value == value and not test
            for value, test in zip(rows["answered"], rows["test"], strict=True)
        ]
        dropped = [
            "no answer" if look and not value else ""
            for look, value in zip(known, rows["answered"], strict=True)
        ]
        return StepOutcome(rows, dropped, field="answers", looked_at=sum(known))


@dataclass(frozen=True)
class Fingerprint:
    """Adds the digest and MinHash bands that duplicates are found by."""

    name: str = "fingerprints"

    def __call__(self, rows: pd.DataFrame) -> StepOutcome:
        pairs = [
            (title, body if isinstance(body, str) else None)
            for title, body in zip(rows["title"], rows["body"], strict=True)
        ]
        digests = [fingerprints.text_digest(title, body) for title, body in pairs]
        bands = [
            " ".join(map(str, fingerprints.signature_bands(fingerprints.shingles(title, body))))
            for title, body in pairs
        ]
        return StepOutcome(rows.assign(digest=digests, bands=bands))


def prepare_steps(steps: Sequence[Step]) -> None:
    """Load what steps need in this process, so that the first rows do not wait for it.

    Args:
        steps: see :func:`~lawtags_client.curation.step_choice.plan_steps`.
    """
    for step in steps:
        if isinstance(step, MaskPii):
            masker(step.options)


def load_names(options: PiiOptions) -> None:
    """Load the model of names in this process, before it is known which words are allowed.

    Args:
        options: what to find.
    """
    masker(options)
