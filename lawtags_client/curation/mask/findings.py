"""A place in a text where personal data stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A stretch of text that is personal data.

    Args:
        start: where it begins.
        end: the index after its last character.
        entity: its kind, e.g. ``PERSON``.
    """

    start: int
    end: int
    entity: str


def is_free(finding: Finding, taken: Iterable[Finding]) -> bool:
    """Whether a finding overlaps none of others."""
    return all(finding.end <= other.start or finding.start >= other.end for other in taken)


def without_overlaps(findings: Iterable[Finding]) -> list[Finding]:
    """Findings in their order; of two that overlap the longer stays."""
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda f: (f.start - f.end, f.start)):
        if is_free(finding, kept):
            kept.append(finding)
    return sorted(kept, key=lambda f: f.start)
