"""Planted wrong tags are found by their rows' own evidence, and sound rows are left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lawtags_client.errors import DataError
from lawtags_client.tagging import Question, Retriever, Vocabulary
from lawtags_client.tagging.label_detector import doubts, row_doubts
from lawtags_client.tagging.label_review import (
    DoubtfulRow,
    doubtful_rows,
    nearest_rows,
    retriever_evidence,
    retriever_similarity,
)
from lawtags_client.tagging.retriever_fit import RetrieverOptions

from .conftest import TOPICS, made_up_questions


def _planted(questions: list[Question], rows: range) -> list[Question]:
    """The questions, some of them with one topic replaced by another."""
    topics, changed = sorted(TOPICS), list(questions)
    for row in rows:
        given = questions[row].tags
        wrong = next(topic for topic in topics[row % 6 :] + topics if topic not in given)
        changed[row] = replace(questions[row], tags=(wrong, *given[1:]))
    return changed


@pytest.fixture(scope="module")
def reviewed() -> tuple[list[Question], range, Retriever]:
    rows = range(3, 240, 20)
    questions = _planted(made_up_questions(240, 3, bodies=False), rows)
    return questions, rows, Retriever.fit(questions, Vocabulary.from_questions(questions), folds=3)


def test_planted_tags_come_first_and_are_named(reviewed: tuple[list[Question], range, Retriever]) -> None:
    questions, planted, retriever = reviewed
    evidence = {"retriever": retriever_evidence(retriever, questions)}
    near = retriever_similarity(retriever, questions)
    found = doubtful_rows(questions, retriever.vocabulary, evidence, similarity=near)
    first = [each for each in found[: len(planted)] if each.row in planted]
    assert len(first) >= len(planted) - 1
    for each in first:
        assert each.wrong == questions[each.row].tags[0]
        assert each.missing not in questions[each.row].tags
        assert each.wrong_probability < 0.5 <= each.doubt <= 1
    assert [each.doubt for each in found] == sorted((each.doubt for each in found), reverse=True)
    assert found == doubtful_rows(questions, retriever.vocabulary, evidence, similarity=near)


def test_a_row_does_not_confirm_its_own_tag_where_the_retriever_did_not_draw_it(
    reviewed: tuple[list[Question], range, Retriever],
) -> None:
    questions, _, everything = reviewed
    options = RetrieverOptions(folds=3, most_rows=100)
    retriever = Retriever.fit(questions, everything.vocabulary, options=options)
    scores = retriever_evidence(retriever, questions)
    left = sorted(set(range(240)) - set(retriever.out_of_fold_rows.tolist()))
    assert len(left) == 140
    np.testing.assert_array_equal(scores[left], retriever.scores([questions[row] for row in left]))


def test_the_nearest_row_is_another_one(reviewed: tuple[list[Question], range, Retriever]) -> None:
    questions, _, retriever = reviewed
    twin = [*questions, replace(questions[7], id="twin")]
    fitted = Retriever.fit(twin, retriever.vocabulary, folds=3)
    assert nearest_rows(fitted, twin, [7, 240]) == [240, 7]


def test_a_row_is_not_similar_to_itself(reviewed: tuple[list[Question], range, Retriever]) -> None:
    questions, _, retriever = reviewed
    (near,) = retriever_similarity(retriever, questions).values()
    similar = retriever.similarities([questions[7]])["words"][0]
    similar[7] = 0
    for place, tag in enumerate(retriever.vocabulary):
        rows = [row for row, question in enumerate(questions) if tag in question.tags]
        assert near[7, place] == pytest.approx(max(similar[rows]))


def test_evidence_that_cannot_be_used_is_refused(
    reviewed: tuple[list[Question], range, Retriever],
) -> None:
    questions, _, retriever = reviewed
    scores = retriever_evidence(retriever, questions)
    broken = scores.copy()
    broken[5, 0] = np.nan
    for evidence, words in (({}, "no evidence"), ({"a": scores[1:]}, "shape"), ({"a": broken}, "finite")):
        with pytest.raises(DataError, match=words):
            doubtful_rows(questions, retriever.vocabulary, evidence)


@pytest.mark.parametrize("tags", [(), ("a",), ("a", "b")])
def test_rows_that_leave_nothing_to_compare_are_no_error(tags: tuple[str, ...]) -> None:
    questions = [Question(id=str(row), title="title", tags=tags) for row in range(12)]
    vocabulary = Vocabulary.from_questions(questions)
    scores = np.full((12, len(vocabulary)), 0.9)
    assert doubtful_rows(questions, vocabulary, {"a": scores}) == []


def test_the_odds_of_a_rows_tags_are_added() -> None:
    doubt = np.array([[-np.inf, 1.0, -np.inf], [0.0, 0.0, -np.inf]])
    assert row_doubts(doubt) == pytest.approx([1.0, np.log(2)])


@pytest.mark.parametrize("seed", range(5))
def test_one_row_that_could_have_another_tag_is_no_proof_against_its_own(seed: int) -> None:
    # All planted tags are in the fold of the last row, so nothing can be learned for that fold.
    labels = np.ones((10, 2), dtype=np.bool_)
    labels[9, 1] = False
    scores = np.random.default_rng(seed).normal(size=labels.shape)
    doubt = doubts(labels, {"a": scores}, seed=seed)
    assert (doubt < np.inf).all()
    assert np.isneginf(doubt[9]).all()


def test_a_planted_rare_tag_is_found_among_sound_rare_ones() -> None:
    generator = np.random.default_rng(4)
    labels = np.zeros((300, 40), dtype=np.bool_)
    labels[np.arange(300), np.concatenate([np.arange(240) % 3, np.arange(60) % 37 + 3])] = True
    scores = np.where(labels, 1.5, -3.0) + generator.normal(0, 1, labels.shape)
    planted = np.arange(0, 240, 24)
    labels[planted, planted % 3] = False
    labels[planted, planted // 24 + 5] = True
    total = row_doubts(doubts(labels, {"a": scores}))
    assert len(set(np.argsort(-total)[:12].tolist()) & set(planted.tolist())) >= 9


@pytest.mark.parametrize(
    ("others", "usual", "together", "reason"),
    [
        (0, None, 0, "the text gives it 0.4%; no other row has it"),
        (1, 0.31, None, "the text gives it 0.4%; the only other row with it gets 31%"),
        (
            7,
            0.062,
            0,
            "the text gives it 0.4%; the 7 other rows with it typically get 6.2%; "
            "never together with another tag of this row",
        ),
        (7, 0.31, 2, "the text gives it 0.4%; the 7 other rows with it typically get 31%"),
    ],
)
def test_the_reason_says_what_speaks_against_a_tag(
    others: int, usual: float | None, together: int | None, reason: str
) -> None:
    assert DoubtfulRow(0, 0.9, "tax", 0.004, others, usual, together, "eu", 0.8).reason == reason
