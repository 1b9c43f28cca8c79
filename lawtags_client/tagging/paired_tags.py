"""Two systems on the same questions, tag by tag.

A decision on a tag is right if the question has the tag and was given it, or has it not and was not. Most
tags have too few rows to resample, so the decisions that only one system gets right are counted, with
McNemar's exact test as for whole questions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lawtags_client.tagging.paired import mcnemar, require_same_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTag:
    """A tag with two systems.

    Attributes:
        tag: which one.
        true: questions that have it.
        first: F1 of the first system.
        second: F1 of the second system.
        won: questions on which only the first system decides it right.
        lost: questions on which only the second one does.
        p_value: of McNemar's exact test on won and lost.
    """

    tag: str
    true: int
    first: float
    second: float
    won: int
    lost: int
    p_value: float

    @property
    def difference(self) -> float:
        """F1 of the first system minus that of the second."""
        return self.first - self.second


def pair_tags(
    true: Sequence[Collection[str]], first: Sequence[Collection[str]], second: Sequence[Collection[str]]
) -> list[PairedTag]:
    """Compare two systems tag by tag, most frequent in the truth first.

    Args:
        true: the true tags of each row.
        first: the tags that one system gave.
        second: the tags that the other gave.

    Raises:
        ConfigurationError: they are not of the same rows.
    """
    require_same_rows(true, first, second)
    there, won, lost = Counter[str](), Counter[str](), Counter[str]()
    given = (Counter[str](), Counter[str]())
    correct = (Counter[str](), Counter[str]())
    for truth, mine, other in zip(true, map(set, first), map(set, second), strict=True):
        there.update(set(truth))
        for place, said in enumerate((mine, other)):
            given[place].update(said)
            correct[place].update(said.intersection(truth))
        # Where they differ, exactly one is right.
        for tag in mine ^ other:
            (won if (tag in mine) == (tag in truth) else lost)[tag] += 1

    def f1(place: int, tag: str) -> float:
        return (
            2 * correct[place][tag] / (given[place][tag] + there[tag])
            if there[tag] + given[place][tag]
            else 0.0
        )

    tags = sorted({*there, *given[0], *given[1]}, key=lambda tag: (-there[tag], tag))
    return [
        PairedTag(
            tag=tag,
            true=there[tag],
            first=f1(0, tag),
            second=f1(1, tag),
            won=won[tag],
            lost=lost[tag],
            p_value=mcnemar(won[tag], lost[tag]),
        )
        for tag in tags
    ]
