"""Spans of personal data in a text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A span of personal data.

    Args:
        start: index of its first character.
        end: index after its last character.
        entity: its kind, such as ``PERSON``.
    """

    start: int
    end: int
    entity: str


def is_free(finding: Finding, taken: Iterable[Finding]) -> bool:
    """Whether a finding overlaps no other finding."""
    return all(finding.end <= other.start or finding.start >= other.end for other in taken)


def without_overlaps(findings: Iterable[Finding]) -> list[Finding]:
    """Findings sorted by position; of two that overlap, the longer one is kept."""
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda f: (f.start - f.end, f.start)):
        if is_free(finding, kept):
            kept.append(finding)
    return sorted(kept, key=lambda f: f.start)
