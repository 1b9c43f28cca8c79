"""Ranks rows whose given tags the evidence contradicts.

The evidence is tag probabilities from models that were not trained on the row, so a wrong tag cannot
confirm itself. ``docs/quality.md`` says how many planted errors this finds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from lawtags_client.errors import DataError
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.label_detector import doubts, row_doubts
from lawtags_client.tagging.logistic import logit, sigmoid
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.retriever import Retriever
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from lawtags_client.tagging._numpy import Flags, Floats

_CHUNK = 256
# A tag that the text makes more likely than not is not contradicted.
_LIKELY = 0.5


@dataclass(frozen=True, slots=True)
class DoubtfulRow:
    """A row to review.

    Attributes:
        row: index among the reviewed rows, from zero.
        doubt: from 0 to 1; higher if the tag looks more like a wrong tag.
        wrong: the given tag that looks wrong.
        wrong_probability: probability of that tag, given the text.
        others: number of other rows with that tag.
        usual_probability: median probability of that tag in those rows; None if there are none.
        together: number of those rows with another tag of this row; None if it has no other tag.
        missing: the most likely tag that is not given; None if all are given.
        missing_probability: probability of that tag.
    """

    row: int
    doubt: float
    wrong: str
    wrong_probability: float
    others: int
    usual_probability: float | None
    together: int | None
    missing: str | None
    missing_probability: float | None

    @property
    def reason(self) -> str:
        """What speaks against the tag, in words."""
        said = [f"the text gives it {_percent(self.wrong_probability)}"]
        if self.usual_probability is None:
            said.append("no other row has it")
        elif self.others == 1:
            said.append(f"the only other row with it gets {_percent(self.usual_probability)}")
        else:
            said.append(
                f"the {self.others} other rows with it typically get {_percent(self.usual_probability)}"
            )
        if self.together == 0 and self.others:
            said.append("never together with another tag of this row")
        return "; ".join(said)


def _percent(probability: float) -> str:
    return f"{probability:.1%}" if probability < 0.1 else f"{probability:.0%}"


def doubtful_rows(
    questions: Sequence[Question],
    vocabulary: Vocabulary,
    evidence: Mapping[str, Floats],
    *,
    similarity: Mapping[str, Floats] = MappingProxyType({}),
    seed: int = 0,
) -> list[DoubtfulRow]:
    """Rank the rows with a tag that the evidence contradicts, most doubtful first.

    Args:
        questions: questions with their given tags; rows without a known tag are skipped.
        vocabulary: the tags of the evidence.
        evidence: per source, tag probabilities (rows by tags) from models that were not trained on the row.
        similarity: per source, similarity to the most similar other row with each tag (rows by tags).
        seed: seed of the planted errors that train the detector.

    Raises:
        DataError: there is no evidence, its shape does not fit, or a number in it is not finite.
    """
    if not evidence:
        raise DataError("there is no evidence to review labels with", hint="Pass at least one source.")
    _check({**evidence, **similarity}, (len(questions), len(vocabulary)))
    labels = np.zeros((len(questions), len(vocabulary)), dtype=np.bool_)
    for row, question in enumerate(questions):
        labels[row, [vocabulary.index(tag) for tag in question.tags if tag in vocabulary]] = True
    rows = np.flatnonzero(labels.any(axis=1))
    if not len(rows):
        return []
    known = labels[rows]
    scores = {name: logit(np.asarray(each, dtype=np.float64)[rows]) for name, each in evidence.items()}
    near = {name: np.asarray(each, dtype=np.float64)[rows] for name, each in similarity.items()}
    doubt = doubts(known, {**scores, **near}, seed=seed)
    probabilities = sigmoid(np.mean(list(scores.values()), axis=0))
    found = _contradicted(known, doubt, probabilities, vocabulary)
    return [replace(each, row=int(rows[each.row])) for each in found]


def _contradicted(
    labels: Flags, doubt: Floats, probabilities: Floats, vocabulary: Vocabulary
) -> list[DoubtfulRow]:
    """The rows that more likely have a wrong tag than not, and whose worst tag the text makes unlikely."""
    wrong = doubt.argmax(axis=1)
    absent = np.where(labels, -1.0, probabilities)
    missing = absent.argmax(axis=1)
    total = row_doubts(doubt)
    found = []
    for row in np.argsort(-total, kind="stable"):
        tag = wrong[row]
        if total[row] < 0 or probabilities[row, tag] >= _LIKELY:
            continue
        others = labels[:, tag].copy()
        others[row] = False
        beside = labels[row].copy()
        beside[tag] = False
        rival = float(absent[row, missing[row]])
        found.append(
            DoubtfulRow(
                row=int(row),
                doubt=float(sigmoid(total[row])),
                wrong=vocabulary.tags[tag],
                wrong_probability=float(probabilities[row, tag]),
                others=int(others.sum()),
                usual_probability=float(np.median(probabilities[others, tag])) if others.any() else None,
                together=int(labels[others][:, beside].any(axis=1).sum()) if beside.any() else None,
                missing=vocabulary.tags[missing[row]] if rival >= 0 else None,
                missing_probability=rival if rival >= 0 else None,
            )
        )
    return found


def retriever_evidence(retriever: Retriever, questions: Sequence[Question]) -> Floats:
    """Out-of-fold tag probabilities of a retriever.

    Args:
        retriever: fitted on the questions.
        questions: the same questions in the same order; rows outside its sample get its normal scores.

    Raises:
        DataError: the retriever was loaded from disk, so it has no out-of-fold scores.
    """
    chosen = retriever.out_of_fold_rows
    if retriever.out_of_fold is None or chosen is None:
        raise DataError(
            "a loaded retriever has no out-of-fold scores", hint="Fit it on the training rows again."
        )
    scores = np.zeros((len(questions), len(retriever.vocabulary)))
    scores[chosen] = retriever.out_of_fold
    unseen = np.setdiff1d(np.arange(len(questions)), chosen)
    if len(unseen):
        scores[unseen] = retriever.scores([questions[row] for row in unseen])
    return scores


def retriever_similarity(retriever: Retriever, questions: Sequence[Question]) -> dict[str, Floats]:
    """Similarity to the most similar other row with each tag (rows by tags), by words and by meaning.

    Args:
        retriever: fitted on the questions.
        questions: the same questions in the same order.
    """
    chosen = retriever.out_of_fold_rows
    drawn = np.arange(len(questions)) if chosen is None else chosen
    vocabulary = retriever.vocabulary
    tags = [[vocabulary.index(tag) for tag in questions[row].tags if tag in vocabulary] for row in drawn]
    order = sorted((tag, place) for place, each in enumerate(tags) for tag in each)
    known, starts = np.unique([tag for tag, _ in order], return_index=True)
    places = [place for _, place in order]
    found: dict[str, Floats] = {}
    for start in range(0, len(questions), _CHUNK):
        part = slice(start, start + _CHUNK)
        for name, similar in retriever.similarities(questions[part]).items():
            similar[np.arange(start, start + len(similar))[:, None] == drawn] = 0
            nearest = found.setdefault(name, np.zeros((len(questions), len(retriever.vocabulary))))
            nearest[part, known] = np.maximum.reduceat(similar[:, places], starts, axis=1)
    return found


def nearest_rows(retriever: Retriever, questions: Sequence[Question], rows: Sequence[int]) -> list[int]:
    """For each given row, the most similar other row: by meaning if there is an encoder, else by words.

    Args:
        retriever: fitted on the questions; only rows of its sample are candidates.
        questions: the same questions in the same order.
        rows: indices of the rows to compare.
    """
    chosen = retriever.out_of_fold_rows
    drawn = np.arange(len(questions)) if chosen is None else chosen
    found = []
    for row in rows:
        *_, similar = retriever.similarities([questions[row]]).values()
        found.append(int(drawn[int(np.argmax(np.where(drawn == row, -np.inf, similar[0])))]))
    return found


def _check(evidence: Mapping[str, Floats], shape: tuple[int, int]) -> None:
    for source, scores in evidence.items():
        if scores.shape != shape:
            raise DataError(
                f"the evidence {source!r} has shape {scores.shape} instead of {shape}",
                hint="Pass one row per question and one column per tag.",
            )
        if not np.isfinite(scores).all():
            raise DataError(
                f"the evidence {source!r} contains a number that is not finite", hint="Score the rows again."
            )
