"""Once weights and thresholds are chosen, the validation rows become training rows of the retriever."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lawtags_client.tagging import (
    MostFrequent,
    Question,
    Retriever,
    Tagger,
    TfidfLogistic,
    Vocabulary,
    fit_tagger,
)
from lawtags_client.tagging.fitting import refit_tagger
from lawtags_client.tagging.storage import load_tagger, save_tagger

from .conftest import made_up_first_tokens
from .test_embedding_signals import Meanings


def fitted(retriever: Retriever, train: list[Question], validation: list[Question]) -> Tagger:
    vocabulary = retriever.vocabulary
    return fit_tagger(
        retriever, train, validation, [made_up_first_tokens(each, vocabulary, 5) for each in validation]
    )


def test_only_the_retriever_learns_from_the_validation_rows(
    tmp_path: Path, retriever: Retriever, train: list[Question], validation: list[Question]
) -> None:
    before = fitted(retriever, train, validation)
    after = refit_tagger(before, train, validation)
    assert replace(after, retriever=before.retriever) == before
    assert after.vocabulary == before.vocabulary
    assert len(after.retriever.row_tags) == len(train) + len(validation)
    # It now knows these rows by heart.
    labels = before.vocabulary.labels([question.tags for question in validation]).astype(bool)
    assert (
        after.retriever.scores(validation)[labels].mean() > before.retriever.scores(validation)[labels].mean()
    )
    save_tagger(after, tmp_path / "tagger")
    loaded = load_tagger(tmp_path / "tagger")
    assert np.array_equal(loaded.scores(validation), after.scores(validation))


def test_a_tag_of_validation_rows_alone_is_not_learned(
    train: list[Question], validation: list[Question]
) -> None:
    vocabulary = Vocabulary.from_questions(train)
    strange = [replace(question, tags=(*question.tags, "admiralty")) for question in validation]
    before = fitted(Retriever.fit(train, vocabulary), train, strange)
    assert "admiralty" not in refit_tagger(before, train, strange).vocabulary


def test_the_embeddings_are_fitted_again(train: list[Question], validation: list[Question]) -> None:
    embedder = Meanings()
    retriever = Retriever.fit(train, Vocabulary.from_questions(train), embedder=embedder)
    after = refit_tagger(fit_tagger(retriever, train, validation), train, validation)
    assert after.retriever.embedding is not None
    assert after.retriever.embedding.embedder is embedder
    assert len(after.retriever.embedding.vectors) == len(train) + len(validation)


def test_the_simple_systems_learn_from_the_validation_rows_too() -> None:
    def rows(word: str, tags: tuple[str, ...], count: int) -> list[Question]:
        return [
            Question(id=f"{word}-{number}", title=f"{word} question {number}", tags=tags)
            for number in range(count)
        ]

    train = [*rows("lease", ("tenancy",), 6), *rows("patent", ("ip",), 5), *rows("will", ("estates",), 4)]
    validation = [*rows("zoning", ("estates",), 6), *rows("lease", ("tenancy",), 1)]
    asked = [Question(id="asked", title="zoning question")]
    # Only validation rows say which tag this word goes with.
    tfidf = TfidfLogistic.fit(train, validation)
    assert tfidf.predict(asked) == [("estates",)]
    assert tfidf.vocabulary == Vocabulary.from_questions(train)
    # With them, this tag is the most frequent one.
    assert MostFrequent.fit(train, validation, most=1).tags == ("estates",)
