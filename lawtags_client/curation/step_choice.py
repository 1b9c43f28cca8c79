"""Chooses the steps of a curation from its options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from lawtags_client.curation.options import CurationOptions, PiiOptions
from lawtags_client.curation.read.corrections import Correction
from lawtags_client.curation.steps import (
    Clean,
    CompleteLabels,
    CorrectTags,
    Fingerprint,
    FormatSections,
    HasAnswer,
    HtmlToText,
    MaskPii,
    NetVotes,
    RenameTags,
    RepairUnicode,
    RepeatedNgrams,
    Step,
    WordCount,
)

_NO_SYNONYMS: Mapping[str, str] = MappingProxyType({})
_NO_CORRECTIONS: Mapping[str, Correction] = MappingProxyType({})


def masking(
    options: CurationOptions,
    tags: tuple[str, ...] = (),
    synonyms: Mapping[str, str] = _NO_SYNONYMS,
    corrections: Mapping[str, Correction] = _NO_CORRECTIONS,
) -> PiiOptions:
    """The masking options, with all words that are never masked.

    Args:
        options: what is asked for.
        tags: all tags of the data, which are never personal data.
        synonyms: synonym to tag.
        corrections: question id to its correction.
    """
    added = (tag for each in corrections.values() for tag in each.added)
    known = {tag.replace("-", " ") for tag in (*tags, *synonyms.values(), *added)}
    return replace(options.pii, allow=tuple(sorted({*options.pii.allow, *known})))


def plan_steps(
    options: CurationOptions,
    tags: tuple[str, ...] = (),
    synonyms: Mapping[str, str] = _NO_SYNONYMS,
    corrections: Mapping[str, Correction] = _NO_CORRECTIONS,
) -> list[Step]:
    """The steps of a curation, in their order.

    Args:
        options: what is asked for.
        tags: all tags of the data, which are never personal data.
        synonyms: synonym to tag.
        corrections: question id to its correction.
    """
    wanted: list[Step] = [CompleteLabels()]
    if synonyms:
        wanted.append(RenameTags(dict(synonyms)))
    if corrections:
        wanted.append(CorrectTags(dict(corrections)))
    wanted.append(HtmlToText(options.links))
    if options.unicode:
        wanted.append(RepairUnicode())
    wanted.append(Clean(options.split.seed))
    if options.pii.entities:
        wanted.append(MaskPii(masking(options, tags, synonyms, corrections)))
    if options.sections:
        wanted.append(FormatSections())
    chosen = options.filters
    if chosen.min_words:
        wanted.append(WordCount(chosen.min_words))
    if chosen.min_score is not None:
        wanted.append(NetVotes(chosen.min_score))
    if chosen.max_repeated is not None:
        wanted.append(RepeatedNgrams(chosen.ngram, chosen.max_repeated))
    if chosen.require_answer:
        wanted.append(HasAnswer())
    return [*wanted, Fingerprint()]
