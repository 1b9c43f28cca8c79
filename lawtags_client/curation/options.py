"""The options of a curation."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from lawtags_client.curation.option_values import build_options
from lawtags_client.curation.records import OptionsRecord, PiiRecord
from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.files import sha256_file
from lawtags_client.tagging.prompt import PromptStyle

Links = Literal["text", "text_and_target"]
Action = Literal["replace", "redact", "mask", "hash"]
Format = Literal["prompt_completion", "messages"]
OnBadRow = Literal["fail", "skip", "quarantine"]
SplitBy = Literal["hash", "time", "stratified"]

KEY_VARIABLE = "LAWTAGS_PII_KEY"
"""The environment variable that holds the key for ``hash`` if the options have none."""

ENTITIES = ("ADDRESS", "EMAIL_ADDRESS", "IP_ADDRESS", "LOCATION", "PERSON", "PHONE_NUMBER", "URL")
DEFAULT_ENTITIES = ("ADDRESS", "EMAIL_ADDRESS", "LOCATION", "PERSON", "PHONE_NUMBER", "URL")

DOMAINS = ("general", "legal", "robotics")
"""The domains with lists of words that are not personal data."""
DEFAULT_DOMAINS = ("general", "legal")

# The fields of a question that a column of the source can be named for.
FIELDS = (
    "id", "title", "body", "tags", "tags_complete", "score", "created", "link", "license", "answers",
)  # fmt: skip


def _one_of(place: str, value: str, kind: object) -> None:
    if value not in get_args(kind):
        raise ConfigurationError(f"{place} cannot be {value!r}", hint=f"Known: {', '.join(get_args(kind))}.")


def _at_least(place: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigurationError(f"{place} must be at least {least}", hint=f"It is {value}.")


@dataclass(frozen=True)
class PiiOptions:
    """How personal data is found and replaced.

    Args:
        entities: what to look for, of ``ENTITIES``; none switches the step off.
        action: ``replace`` writes ``<PERSON>``, ``redact`` deletes, ``mask`` writes asterisks, ``hash``
            writes ``<PERSON:…>`` with a keyed digest, so that one name stays one name.
        key: the secret key for ``hash``; it is never written to disk.
        model: a spaCy model by package name or path; None takes the best one installed.
        allow: words and names that are not personal data, in addition to the built-in ones.
        domains: which built-in lists of such words apply, of ``DOMAINS``.
        batch_size: questions per batch of the model. Larger ones are slower: their padding and their
            memory cost more than the batch saves.
    """

    entities: tuple[str, ...] = DEFAULT_ENTITIES
    action: Action = "replace"
    key: str | None = field(default=None, repr=False)
    model: str | None = None
    allow: tuple[str, ...] = ()
    domains: tuple[str, ...] = DEFAULT_DOMAINS
    batch_size: int = 32

    def __post_init__(self) -> None:
        _one_of("pii.action", self.action, Action)
        unknown = sorted(set(self.entities) - set(ENTITIES))
        if unknown:
            raise ConfigurationError(
                f"pii.entities cannot be {', '.join(unknown)}", hint=f"Known: {', '.join(ENTITIES)}."
            )
        if strange := sorted(set(self.domains) - set(DOMAINS)):
            raise ConfigurationError(
                f"pii.domains cannot be {', '.join(strange)}", hint=f"Known: {', '.join(DOMAINS)}."
            )
        if self.action == "hash" and not self.key:
            raise ConfigurationError(
                "pii.action 'hash' requires pii.key",
                hint=f"Set the variable {KEY_VARIABLE} to a secret key.",
            )
        _at_least("pii.batch_size", self.batch_size, 1)


@dataclass(frozen=True)
class FilterOptions:
    """Which questions are dropped. Filters that look at the body pass a question without one.

    Args:
        min_words: the fewest words of a body; 16 drops bodies of 15 words or fewer. 0 switches it off.
        min_score: the least net votes; None switches it off. Questions whose votes are unknown stay.
        ngram: how many words make a repeated phrase.
        max_repeated: the largest share of a body that may repeat its most repeated phrase; None switches
            it off.
        require_answer: drop questions that are known to have no answer.
    """

    min_words: int = 16
    min_score: float | None = 0.0
    ngram: int = 5
    max_repeated: float | None = 0.15
    require_answer: bool = False

    def __post_init__(self) -> None:
        _at_least("filters.min_words", self.min_words, 0)
        _at_least("filters.ngram", self.ngram, 1)
        if self.max_repeated is not None and not 0 <= self.max_repeated <= 1:
            raise ConfigurationError("filters.max_repeated must be between 0 and 1", hint="0.15 is usual.")


@dataclass(frozen=True)
class DuplicateOptions:
    """How duplicate questions are handled.

    Args:
        exact: keep one of those with the same words (best score, then oldest).
        near: keep one of those that share most of their phrases, too.
        threshold: the Jaccard similarity of two questions' phrases from which they are near duplicates.
        max_overlap: the share of the rows held out (validation and testing) from which groups of duplicates
            that stand in training as well fail the whole curation; None takes them out of training however
            many they are.
    """

    exact: bool = True
    near: bool = True
    threshold: float = 0.8
    max_overlap: float | None = None

    def __post_init__(self) -> None:
        if not 0.5 <= self.threshold <= 1:
            raise ConfigurationError(
                "duplicates.threshold must be between 0.5 and 1",
                hint="Below 0.5 the search would miss too many pairs; 0.8 is usual.",
            )
        if self.max_overlap is not None and not 0 <= self.max_overlap <= 1:
            raise ConfigurationError(
                "duplicates.max_overlap must be between 0 and 1", hint="0.01 is one row per hundred."
            )


@dataclass(frozen=True)
class TagOptions:
    """How tags are handled.

    Args:
        synonyms: a CSV or YAML file of synonyms, see
            :func:`~lawtags_client.curation.read.synonyms.load_synonyms`.
        corrections: a JSONL file of reviewed corrections, see
            :func:`~lawtags_client.curation.read.corrections.load_corrections`.
        min_count: tags on fewer questions than this are taken off, counted on the questions that are left
            after the search for duplicates; a question that loses all its tags is refused. A test file of
            its own keeps them: leaving out what a model was not taught would flatter it.
    """

    synonyms: str | None = None
    corrections: str | None = None
    min_count: int = 1

    def __post_init__(self) -> None:
        _at_least("tags.min_count", self.min_count, 1)


@dataclass(frozen=True)
class SplitOptions:
    """How questions are divided; the shares are brought to a sum of one.

    Args:
        training: share of the training rows.
        validation: share of the validation rows.
        testing: share of the testing rows.
        seed: another seed gives another division.
        few_rows: with fewer questions than this the testing part gets three tenths of them and validation
            fifteen hundredths: an interval over a handful of test rows says nothing. 0: never.
        by: ``hash`` gives each question its place by its title alone, so that none moves when rows are added.
            ``time`` trains on the oldest and tests on the newest, and refuses questions without a date.
            ``stratified`` gives each part its share of every tag. With both of these adding rows may move
            others from part to part, so a model must not be judged on a testing part made later.
    """

    training: float = 0.8
    validation: float = 0.1
    testing: float = 0.1
    seed: int = 42
    few_rows: int = 0
    by: SplitBy = "hash"

    def __post_init__(self) -> None:
        _one_of("split.by", self.by, SplitBy)
        shares = (self.training, self.validation, self.testing)
        for name, share in zip(("training", "validation", "testing"), shares, strict=True):
            if not math.isfinite(share) or share < 0 or (share == 0 and name == "training"):
                bound = "above 0" if name == "training" else "at least 0"
                raise ConfigurationError(
                    f"split.{name} must be {bound}",
                    hint=f"It is {share:g}. For example training 0.8, validation 0.1, testing 0.1.",
                )
        if max(shares) > 1 and any(0 < share < 1 for share in shares):
            raise ConfigurationError(
                f"the shares of split mix percents and fractions: {', '.join(f'{s:g}' for s in shares)}",
                hint="Write all three as fractions, e.g. 0.9, 0.05 and 0.05, or all three as percents.",
            )
        _at_least("split.few_rows", self.few_rows, 0)

    def for_rows(self, rows: int) -> SplitOptions:
        """The division of so many questions.

        Example:
            >>> SplitOptions(few_rows=1500).for_rows(600).testing
            0.3
        """
        if rows >= self.few_rows:
            return self
        return dataclasses.replace(self, training=0.55, validation=0.15, testing=0.3)


@dataclass(frozen=True)
class CurationOptions:
    """Everything except the inputs that determines the output of a curation.

    Args:
        columns: the source's column for a field, where it is not recognized by its name.
        links: whether a link leaves its text alone or its target as well.
        unicode: repair text that was decoded wrongly.
        sections: bring citations of sections into one form.
        pii: see :class:`PiiOptions`.
        filters: see :class:`FilterOptions`.
        duplicates: see :class:`DuplicateOptions`.
        tags: see :class:`TagOptions`.
        split: see :class:`SplitOptions`.
        style: how prompts and answers look.
        format: rows for base models, or for models with a chat template.
        on_bad_row: stop at the first row that cannot be read, leave it out, or leave it out and list it.
        max_bad: the share of such rows from which the whole curation fails.
        forget: a file of questions that are left out without a trace of their text, see
            :mod:`lawtags_client.curation.forget.forget_list`. A file for testing loses them as well.

    Example:
        >>> CurationOptions.from_dict({"split": {"training": 0.95, "validation": 0.05, "testing": 0}}).split
        SplitOptions(training=0.95, validation=0.05, testing=0, seed=42, few_rows=0, by='hash')
    """

    columns: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    links: Links = "text"
    unicode: bool = True
    sections: bool = True
    pii: PiiOptions = PiiOptions()
    filters: FilterOptions = FilterOptions()
    duplicates: DuplicateOptions = DuplicateOptions()
    tags: TagOptions = TagOptions()
    split: SplitOptions = SplitOptions()
    style: PromptStyle = PromptStyle()  # noqa: RUF009 - frozen
    format: Format = "prompt_completion"
    on_bad_row: OnBadRow = "quarantine"
    max_bad: float = 0.01
    forget: str | None = None

    def __post_init__(self) -> None:
        _one_of("links", self.links, Links)
        _one_of("format", self.format, Format)
        _one_of("on_bad_row", self.on_bad_row, OnBadRow)
        unknown = sorted(set(self.columns) - set(FIELDS))
        if unknown:
            raise ConfigurationError(
                f"columns cannot be mapped to {', '.join(unknown)}",
                hint=f"Known fields: {', '.join(FIELDS)}.",
            )
        if not 0 <= self.max_bad <= 1:
            raise ConfigurationError("max_bad must be between 0 and 1", hint="0.01 is one row per hundred.")

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> CurationOptions:
        """Read the options from a decoded recipe.

        Args:
            values: option to value; ``pii``, ``filters``, ``duplicates``, ``tags``, ``split`` and ``style``
                are mappings themselves. What is left out keeps its default.

        Raises:
            ConfigurationError: an option is unknown, or a value makes no sense.
        """
        pii = values.get("pii")
        if isinstance(pii, Mapping) and pii.get("action") == "hash" and not pii.get("key"):
            # A secret on a command line can be seen by all who share the machine.
            values = {**values, "pii": {**pii, "key": os.environ.get(KEY_VARIABLE)}}
        return build_options(cls, values, "curation", _GROUPS)

    def file_digests(self) -> dict[str, str]:
        """SHA-256 of each file that an option names, by the option's name.

        Raises:
            DataError: a file cannot be read.
        """
        named = {
            "tags.synonyms": self.tags.synonyms,
            "tags.corrections": self.tags.corrections,
            "forget": self.forget,
        }
        digests = {}
        for option, path in named.items():
            if path is not None:
                try:
                    digests[option] = sha256_file(Path(path))
                except OSError as error:
                    raise DataError(
                        f"cannot be read: {error.strerror}", path=path, hint=f"See the option {option}."
                    ) from error
        return digests

    def as_dict(self) -> OptionsRecord:
        """The options as JSON values, with a fingerprint in place of the secret key."""
        split = self.split
        return {
            "columns": dict(sorted(self.columns.items())),
            "links": self.links,
            "unicode": self.unicode,
            "sections": self.sections,
            "pii": self._pii_record(),
            "filters": dataclasses.asdict(self.filters),
            "duplicates": dataclasses.asdict(self.duplicates),
            "tags": dataclasses.asdict(self.tags),
            "split": {
                "training": split.training,
                "validation": split.validation,
                "testing": split.testing,
                "seed": split.seed,
                "few_rows": split.few_rows,
                "by": split.by,
            },
            "style": dataclasses.asdict(self.style),
            "format": self.format,
            "on_bad_row": self.on_bad_row,
            "max_bad": self.max_bad,
            "forget": self.forget,
        }

    def _pii_record(self) -> PiiRecord:
        pii, key = self.pii, self.pii.key
        return {
            "entities": sorted(pii.entities),
            "action": pii.action,
            "model": pii.model,
            "allow": sorted(pii.allow),
            "domains": sorted(pii.domains),
            "batch_size": pii.batch_size,
            "key_fingerprint": (
                hashlib.sha256(f"lawtags pii key\0{key}".encode()).hexdigest()[:12] if key else None
            ),
        }


_GROUPS: Mapping[str, type[object]] = {
    "pii": PiiOptions,
    "filters": FilterOptions,
    "duplicates": DuplicateOptions,
    "tags": TagOptions,
    "split": SplitOptions,
    "style": PromptStyle,
}
