"""TF-IDF of word and character n-grams, saved as plain arrays.

Two blocks stand side by side: word 1-2-grams of title and body, and character 3-5-grams of the title's
words. Each block's rows have length one before weighting, so that a long body does not drown the title.
The weights are those of scikit-learn's ``TfidfVectorizer(sublinear_tf=True, smooth_idf=True)``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lawtags_client.errors import MissingExtraError
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.question import Question

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORDS = re.compile(r"\b\w\w+\b")
_SPACES = re.compile(r"\s+")

# Chosen on legal and technical questions: where there are bodies, the words hold title and body, the
# letters only the title, and so the words weigh more.
WORD_WEIGHT = {False: 1.0, True: 2.0**0.5}
MOST_CHARACTER_GRAMS = 60_000
MOST_WORD_GRAMS = 200_000


def scipy_sparse() -> Any:
    """The module ``scipy.sparse``.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    try:
        import scipy.sparse
    except ImportError as error:
        raise MissingExtraError("scipy", "tag", "The tagger") from error
    return scipy.sparse


def word_grams(text: str) -> list[str]:
    """Words of two letters or more, and pairs of neighbours."""
    words = _WORDS.findall(text.lower())
    return words + [f"{left} {right}" for left, right in pairwise(words)]


def character_grams(text: str) -> list[str]:
    """Runs of three to five characters inside words, which are padded with a blank on either side."""
    grams: list[str] = []
    for word in _SPACES.sub(" ", text.lower()).split():
        padded = f" {word} "
        for size in (3, 4, 5):
            if len(padded) <= size:
                grams.append(padded)
                break
            grams.extend(padded[start : start + size] for start in range(len(padded) - size + 1))
    return grams


@dataclass(frozen=True)
class TermBlock:
    """One kind of n-grams: its terms and their inverse document frequencies."""

    terms: tuple[str, ...]
    idf: NDArray[np.float32]

    @classmethod
    def fit(cls, counted: Sequence[Counter[str]], most: int) -> TermBlock:
        """Keep the terms of two rows or more, and of these the ``most`` frequent."""
        rows: Counter[str] = Counter()
        total: Counter[str] = Counter()
        for counts in counted:
            rows.update(counts.keys())
            total.update(counts)
        kept = [term for term, count in rows.items() if count >= 2]
        if len(kept) > most:
            kept = sorted(kept, key=lambda term: (-total[term], term))[:most]
        kept.sort()
        frequency = np.asarray([rows[term] for term in kept], dtype=np.float64)
        idf = np.log((1 + len(counted)) / (1 + frequency)) + 1
        return cls(tuple(kept), idf.astype(np.float32))

    def count(self, counted: Iterable[Counter[str]]) -> Any:
        """Counts of the known terms as a sparse matrix of rows by terms."""
        places = self._places
        indices: list[int] = []
        values: list[int] = []
        starts = [0]
        for counts in counted:
            found = sorted((places[term], count) for term, count in counts.items() if term in places)
            indices.extend(place for place, _ in found)
            # More than 255 of one term in a post is noise; the logarithm hardly moves.
            values.extend(min(count, 255) for _, count in found)
            starts.append(len(indices))
        return scipy_sparse().csr_matrix(
            (np.asarray(values, np.uint8), np.asarray(indices, np.int32), np.asarray(starts, np.int32)),
            shape=(len(starts) - 1, len(self.terms)),
        )

    def weigh(self, counts: Any, weight: float) -> Any:
        """TF-IDF rows of length ``weight`` (or zero)."""
        weighted = counts.astype(np.float32)
        weighted.data = (1 + np.log(weighted.data)) * self.idf[weighted.indices]
        squares = np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel()
        lengths = np.sqrt(np.maximum(squares, np.finfo(np.float32).tiny))
        weighted.data *= np.repeat((weight / lengths).astype(np.float32), np.diff(weighted.indptr))
        return weighted

    @cached_property
    def _places(self) -> dict[str, int]:
        return {term: place for place, term in enumerate(self.terms)}


@dataclass(frozen=True)
class TextFeatures:
    """Turns questions into TF-IDF rows.

    Args:
        words: the block of word n-grams.
        characters: the block of character n-grams.
        word_weight: length of a row of words; a row of characters has length one.
    """

    words: TermBlock
    characters: TermBlock
    word_weight: float

    @classmethod
    def fit(cls, questions: Sequence[Question]) -> tuple[TextFeatures, tuple[Any, Any]]:
        """Learn the terms of training rows; returns also the counts of these rows."""
        words, characters = _counted(questions)
        features = cls(
            TermBlock.fit(words, MOST_WORD_GRAMS),
            TermBlock.fit(characters, MOST_CHARACTER_GRAMS),
            WORD_WEIGHT[any(question.body for question in questions)],
        )
        return features, (features.words.count(words), features.characters.count(characters))

    def rows(self, questions: Sequence[Question]) -> Any:
        """TF-IDF rows of questions, as a sparse matrix."""
        words, characters = _counted(questions)
        return self.weigh(self.words.count(words), self.characters.count(characters))

    def weigh(self, words: Any, characters: Any) -> Any:
        """TF-IDF rows from counts."""
        blocks = [self.words.weigh(words, self.word_weight), self.characters.weigh(characters, 1.0)]
        return scipy_sparse().hstack(blocks).tocsr()


def _counted(questions: Sequence[Question]) -> tuple[list[Counter[str]], list[Counter[str]]]:
    def of(analyse: Callable[[str], list[str]], texts: Iterable[str]) -> list[Counter[str]]:
        return [Counter(analyse(text)) for text in texts]

    whole = (
        f"{question.title}\n{question.body}" if question.body else question.title for question in questions
    )
    return of(word_grams, whole), of(character_grams, (question.title for question in questions))
