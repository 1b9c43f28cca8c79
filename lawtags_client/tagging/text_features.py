"""TF-IDF of word and character n-grams, by scikit-learn.

Two blocks stand side by side: word 1-2-grams of title and body, and character 3-5-grams of the title's
words. Each block's rows have length one before weighting, so that a long body does not drown the title.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypedDict

from lawtags_client.errors import MissingExtraError
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.question import Question

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

Grams = Literal["words", "characters"]


class _GramOptions(TypedDict):
    """How scikit-learn's ``CountVectorizer`` splits a text into n-grams."""

    analyzer: str
    ngram_range: tuple[int, int]


_GRAMS: Mapping[Grams, _GramOptions] = {
    "words": {"analyzer": "word", "ngram_range": (1, 2)},
    "characters": {"analyzer": "char_wb", "ngram_range": (3, 5)},
}
_MOST_GRAMS: Mapping[Grams, int] = {"words": 200_000, "characters": 60_000}

# Chosen on legal and technical questions: where there are bodies, the words hold title and body, the
# letters only the title, and so the words weigh more.
WORD_WEIGHT = {False: 1.0, True: 2.0**0.5}


def scipy_sparse() -> ModuleType:
    """The module ``scipy.sparse``.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    try:
        import scipy.sparse
    except ImportError as error:
        raise MissingExtraError("scipy", "tag", "The tagger") from error
    module: ModuleType = scipy.sparse
    return module


def _sklearn_text() -> ModuleType:
    try:
        import sklearn.feature_extraction.text
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "tag", "The tagger") from error
    module: ModuleType = sklearn.feature_extraction.text
    return module


@dataclass(frozen=True)
class TermBlock:
    """One kind of n-grams: its terms and their inverse document frequencies."""

    grams: Grams
    terms: tuple[str, ...]
    idf: NDArray[np.float32]

    @classmethod
    def fit(cls, grams: Grams, texts: Sequence[str]) -> tuple[TermBlock, csr_matrix]:
        """Keep the terms of two texts or more, and of these the most frequent; returns also their counts."""
        text = _sklearn_text()
        vectorizer = text.CountVectorizer(min_df=2, max_features=_MOST_GRAMS[grams], **_GRAMS[grams])
        try:
            counts = vectorizer.fit_transform(texts)
        except ValueError:  # no two texts share a term
            return cls(grams, (), np.zeros(0, np.float32)), _no_terms(len(texts))
        terms = tuple(map(str, vectorizer.get_feature_names_out()))
        idf = text.TfidfTransformer().fit(counts).idf_.astype(np.float32)
        return cls(grams, terms, idf), _small(counts)

    def count(self, texts: Iterable[str]) -> csr_matrix:
        """Counts of the known terms as a sparse matrix of texts by terms."""
        texts = list(texts)
        if not self.terms or not texts:
            return scipy_sparse().csr_matrix((len(texts), len(self.terms)), dtype=np.uint8)
        return _small(self._vectorizer.transform(texts))

    def weigh(self, counts: csr_matrix) -> csr_matrix:
        """TF-IDF rows of length one, or zero where a row has no known term."""
        weighted = counts.astype(np.float32)
        return self._transformer.transform(weighted, copy=False) if all(counts.shape) else weighted

    @cached_property
    def _vectorizer(self) -> CountVectorizer:
        return _sklearn_text().CountVectorizer(vocabulary=self.terms, **_GRAMS[self.grams])

    @cached_property
    def _transformer(self) -> TfidfTransformer:
        transformer = _sklearn_text().TfidfTransformer(sublinear_tf=True)
        transformer.idf_ = self.idf
        return transformer


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
    def fit(cls, questions: Sequence[Question]) -> tuple[TextFeatures, tuple[csr_matrix, csr_matrix]]:
        """Learn the terms of training rows; returns also the counts of these rows."""
        words, word_counts = TermBlock.fit("words", _whole(questions))
        characters, character_counts = TermBlock.fit("characters", _titles(questions))
        weight = WORD_WEIGHT[any(question.body for question in questions)]
        return cls(words, characters, weight), (word_counts, character_counts)

    def rows(self, questions: Sequence[Question]) -> csr_matrix:
        """TF-IDF rows of questions, as a sparse matrix."""
        return self.weigh(self.words.count(_whole(questions)), self.characters.count(_titles(questions)))

    def weigh(self, words: csr_matrix, characters: csr_matrix) -> csr_matrix:
        """TF-IDF rows from counts."""
        blocks = [self.words.weigh(words) * np.float32(self.word_weight), self.characters.weigh(characters)]
        return scipy_sparse().hstack(blocks).tocsr()


def _whole(questions: Sequence[Question]) -> list[str]:
    return [
        f"{question.title}\n{question.body}" if question.body else question.title for question in questions
    ]


def _titles(questions: Sequence[Question]) -> list[str]:
    return [question.title for question in questions]


def _small(counts: csr_matrix) -> csr_matrix:
    """Counts as bytes, with the terms of a row in order, as they are saved."""
    counts.sort_indices()
    # More than 255 of one term in a post is noise; the logarithm hardly moves.
    return scipy_sparse().csr_matrix(
        (np.minimum(counts.data, 255).astype(np.uint8), counts.indices, counts.indptr), shape=counts.shape
    )


def _no_terms(rows: int) -> csr_matrix:
    return scipy_sparse().csr_matrix((rows, 0), dtype=np.uint8)
