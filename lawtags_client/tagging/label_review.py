"""Rows whose given tags the evidence contradicts, the worst first.

The evidence is probabilities of tags by models that have not seen the row, so that a wrong tag cannot
confirm itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lawtags_client.errors import DataError
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.logistic import logit
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.stack import log_prior
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lawtags_client.tagging._numpy import Floats

_RIVAL = 0.5


@dataclass(frozen=True, slots=True)
class DoubtfulRow:
    """A row to review.

    Attributes:
        row: its place among the reviewed rows, from zero.
        doubt: the higher, the more the evidence contradicts its tags.
        wrong: the given tag that fits least.
        wrong_probability: of that tag.
        missing: the likeliest tag that is not given; None if all are given.
        missing_probability: of that tag.
    """

    row: int
    doubt: float
    wrong: str
    wrong_probability: float
    missing: str | None
    missing_probability: float | None


def doubtful_rows(
    questions: Sequence[Question], vocabulary: Vocabulary, evidence: Mapping[str, Floats]
) -> list[DoubtfulRow]:
    """Rank rows by how much the evidence contradicts their tags.

    Args:
        questions: with their given tags; rows without a known tag are left out.
        vocabulary: the tags of the evidence.
        evidence: source to probabilities, rows by tags; NaN where a source says nothing of a row.

    Raises:
        DataError: there is no evidence, or its shape does not fit.
    """
    probabilities = _averaged(evidence, (len(questions), len(vocabulary)))
    log_odds, prior = logit(probabilities), log_prior(vocabulary)
    found = []
    for row, question in enumerate(questions):
        given = [vocabulary.index(tag) for tag in question.tags if tag in vocabulary]
        if not given or np.isnan(probabilities[row]).any():
            continue
        # Against its own frequency, or every rare tag would look wrong.
        lift = log_odds[row, given] - prior[given]
        wrong = given[int(np.argmin(lift))]
        others = log_odds[row].copy()
        others[given] = -np.inf
        missing = int(np.argmax(others)) if len(given) < len(vocabulary) else None
        found.append(
            DoubtfulRow(
                row,
                # The rival's odds tell a wrong tag from a question that no tag fits well.
                float(-lift.min()) + (0.0 if missing is None else _RIVAL * float(others[missing])),
                vocabulary.tags[wrong],
                float(probabilities[row, wrong]),
                None if missing is None else vocabulary.tags[missing],
                None if missing is None else float(probabilities[row, missing]),
            )
        )
    return sorted(found, key=lambda each: -each.doubt)


def _averaged(evidence: Mapping[str, Floats], shape: tuple[int, int]) -> NDArray[np.float64]:
    """The mean log-odds of the sources that speak of a row, as probabilities."""
    for source, scores in evidence.items():
        if scores.shape != shape:
            raise DataError(
                f"the evidence {source!r} has shape {scores.shape} instead of {shape}",
                hint="Give one row per question and one column per tag.",
            )
    if not evidence:
        raise DataError("there is no evidence to review labels with", hint="Pass at least one source.")
    stacked = np.stack([logit(np.asarray(scores, dtype=np.float64)) for scores in evidence.values()])
    known = ~np.isnan(stacked)
    total, count = np.where(known, stacked, 0).sum(axis=0), known.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray(1 / (1 + np.exp(-total / np.where(count, count, np.nan))))
