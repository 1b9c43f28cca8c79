"""Two systems on the same questions: which ones each has won, and whether that can be chance.

A system wins a question if its tags have the higher F1 there. If the systems are equally good, each question
on which they differ is won by either with probability 1/2, so the number of wins is binomial: McNemar's test
in its exact form (McNemar 1947), two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lawtags_client.errors import ConfigurationError

_EXACT = 500


@dataclass(frozen=True, slots=True)
class PairedQuestions:
    """The questions by who has won them, as row numbers from zero.

    Attributes:
        won: the first system's tags are better.
        lost: the second system's tags are better.
        unchanged: both are equally good, though their tags may differ.
    """

    won: tuple[int, ...]
    lost: tuple[int, ...]
    unchanged: tuple[int, ...]

    @property
    def p_value(self) -> float:
        """The probability of a difference at least as large as this one if the systems were equally good."""
        return mcnemar(len(self.won), len(self.lost))


def question_f1(true: Collection[str], given: Collection[str]) -> float:
    """F1 of the tags of one question; 1 if there are none to find and none were given."""
    truth, said = set(true), set(given)
    return 2 * len(truth & said) / (len(truth) + len(said)) if truth or said else 1.0


def pair_questions(
    true: Sequence[Collection[str]], first: Sequence[Collection[str]], second: Sequence[Collection[str]]
) -> PairedQuestions:
    """Compare two systems question by question.

    Args:
        true: the true tags of each row.
        first: the tags that one system gave.
        second: the tags that the other gave.

    Raises:
        ConfigurationError: they are not of the same rows.
    """
    require_same_rows(true, first, second)
    won: list[int] = []
    lost: list[int] = []
    unchanged: list[int] = []
    for row, (truth, mine, other) in enumerate(zip(true, first, second, strict=True)):
        gain = question_f1(truth, mine) - question_f1(truth, other)
        (won if gain > 0 else lost if gain < 0 else unchanged).append(row)
    return PairedQuestions(tuple(won), tuple(lost), tuple(unchanged))


def require_same_rows(
    true: Sequence[Collection[str]], first: Sequence[Collection[str]], second: Sequence[Collection[str]]
) -> None:
    """Refuse to compare systems on different numbers of rows.

    Raises:
        ConfigurationError: the numbers differ.
    """
    if not len(true) == len(first) == len(second):
        raise ConfigurationError(
            f"{len(first)} and {len(second)} predictions cannot be compared on {len(true)} rows",
            hint="Pass one set of tags per row.",
        )


def mcnemar(won: int, lost: int) -> float:
    """The p-value of McNemar's exact test, two-sided; 1 if nothing differs.

    Args:
        won: questions on which the first system is better.
        lost: questions on which the second one is.

    Example:
        >>> mcnemar(9, 1)
        0.021484375
    """
    total = won + lost
    return min(1.0, 2 * math.fsum(_probability(count, total) for count in range(min(won, lost) + 1)))


def _probability(count: int, total: int) -> float:
    """The probability of a number of wins among so many fair coins."""
    if total <= _EXACT:
        return float(math.comb(total, count) / 2**total)
    # In logarithms, since 2 ** -total vanishes from about a thousand questions on.
    ways = math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)
    return math.exp(ways - total * math.log(2))
