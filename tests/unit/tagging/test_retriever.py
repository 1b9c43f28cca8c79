"""The retriever learns from training rows only, and from saved arrays it makes scikit-learn's figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.tagging import Question, Retriever, RetrieverOptions, Vocabulary
from lawtags_client.tagging.baselines import MostFrequent, TfidfLogistic
from lawtags_client.tagging.decision import Decision, tune_threshold
from lawtags_client.tagging.logistic import fit_one_vs_rest, fit_towards, sigmoid
from lawtags_client.tagging.metrics import score
from lawtags_client.tagging.names import TagNames, stem
from lawtags_client.tagging.text_features import TermBlock, TextFeatures

from .conftest import made_up_questions


def micro(true: list[Question], said: list[tuple[str, ...]]) -> float:
    return score([question.tags for question in true], said).micro_f1


def labels_of(questions: list[Question], vocabulary: Vocabulary) -> np.ndarray:
    return np.asarray(
        [[tag in question.tags for tag in vocabulary] for question in questions], dtype=np.float32
    )


def test_weights_from_saved_terms_are_those_of_scikit_learn(train, test_rows) -> None:
    titles = [Question(id=row.id, title=row.title) for row in train]
    queries = [Question(id=row.id, title=row.title) for row in test_rows]
    fitted, counts = TextFeatures.fit(titles)
    # As they come from a file: terms and frequencies alone.
    words, characters = (
        TermBlock(block.grams, block.terms, block.idf) for block in (fitted.words, fitted.characters)
    )
    features = TextFeatures(words, characters, fitted.word_weight)
    theirs = [
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=2, sublinear_tf=True),
    ]
    expected = np.hstack([one.fit_transform(row.title for row in titles).toarray() for one in theirs])
    assert np.allclose(features.weigh(*counts).toarray(), expected, atol=1e-6)
    expected = np.hstack([one.transform(row.title for row in queries).toarray() for one in theirs])
    assert np.allclose(features.rows(queries).toarray(), expected, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=6))
def test_a_text_is_weighed_alike_whatever_stands_beside_it(texts: list[str]) -> None:
    questions = [Question(id=str(number), title=text, body=text[::-1]) for number, text in enumerate(texts)]
    features, counts = TextFeatures.fit([*questions, *questions])
    together = features.rows(questions).toarray()
    assert np.array_equal(features.weigh(*counts).toarray(), np.vstack([together, together]))
    for question, row in zip(questions, together, strict=True):
        assert np.array_equal(features.rows([question]).toarray()[0], row)


def test_questions_without_a_common_term_have_a_retriever_and_a_baseline() -> None:
    questions = [
        Question(id=str(n), title=chr(0x4E00 + n), body=None, tags=(f"tag-{n % 2}",)) for n in range(12)
    ]
    vocabulary = Vocabulary.from_questions(questions)
    fitted = Retriever.fit(questions, vocabulary)
    assert np.isfinite(fitted.scores(questions)).all()
    assert TfidfLogistic.fit(questions, questions).predict([Question(id="a", title="Rent")])


@pytest.mark.parametrize("rows", [200, 1700])
def test_regressions_find_the_minimum(rows: int) -> None:
    questions = made_up_questions(rows, seed=9, bodies=False)
    vocabulary = Vocabulary.from_questions(questions, min_count=5)
    features, counts = TextFeatures.fit(questions)
    matrix = features.weigh(*counts)
    labels = labels_of(questions, vocabulary)
    duals, offsets = fit_one_vs_rest(matrix, labels, tolerance=1e-3, n_jobs=2)
    mine = (matrix @ matrix.T).toarray() @ duals + duals.sum(axis=0) + offsets
    wide = np.hstack([matrix.toarray().astype(np.float64), np.ones((rows, 1))])
    for tag in (0, len(vocabulary) - 1):
        y, offset = labels[:, tag].astype(np.float64), float(offsets[tag])

        def objective(
            weights: np.ndarray, y: np.ndarray = y, offset: float = offset
        ) -> tuple[float, np.ndarray]:
            at = wide @ weights + offset
            loss = np.logaddexp(0, at) - y * at
            gradient = weights + 20 * wide.T @ (sigmoid(at) - y)
            return 0.5 * float(weights @ weights) + 20 * float(loss.sum()), gradient

        start = np.zeros(wide.shape[1])
        found = minimize(
            objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 3000, "ftol": 1e-12}
        )
        assert np.abs(sigmoid(mine[:, tag]) - sigmoid(wide @ found.x + offset)).max() < 2e-3


def test_regressions_predict_as_those_of_scikit_learn(train, validation) -> None:
    vocabulary = Vocabulary.from_questions(train, min_count=5)
    features, counts = TextFeatures.fit(train)
    matrix, queries = features.weigh(*counts), features.rows(validation)
    labels = labels_of(train, vocabulary)
    duals, offsets = fit_one_vs_rest(matrix, labels)
    mine = sigmoid((queries @ matrix.T).toarray() @ duals + duals.sum(axis=0) + offsets)
    for tag in range(len(vocabulary)):
        theirs = (
            LogisticRegression(C=20, max_iter=2000).fit(matrix, labels[:, tag]).predict_proba(queries)[:, 1]
        )
        # Theirs leaves the intercept free; ours is drawn towards the tag's prior.
        assert np.abs(mine[:, tag] - theirs).max() < 0.08


def test_a_tag_without_positive_rows_gets_its_prior() -> None:
    import scipy.sparse

    matrix = scipy.sparse.identity(20, format="csr", dtype=np.float32)
    duals, offsets = fit_one_vs_rest(matrix, np.zeros((20, 1), dtype=np.float32))
    assert not duals.any()
    assert sigmoid(offsets)[0] == pytest.approx(0.025)


def test_a_penalised_fit_goes_from_its_prior_to_the_data() -> None:
    generator = np.random.default_rng(0)
    columns = np.column_stack([np.ones(2000), generator.normal(size=2000)])
    labels = generator.random(2000) < sigmoid(columns @ [-1.0, 2.0])
    free = fit_towards(columns, labels, [0.0, 0.0], penalty=1e-3)
    assert free == pytest.approx([-1.0, 2.0], abs=0.25)
    held = fit_towards(columns, labels, [0.5, 0.5], penalty=1e6)
    assert held == pytest.approx([0.5, 0.5], abs=0.01)
    assert fit_towards(columns, labels, [0.0, 0.0], penalty=1e-3, start=[3.0, -3.0]) == pytest.approx(
        free, abs=1e-3
    )


@pytest.mark.parametrize(
    ("words", "same"),
    [
        ("contracts", "contract"),
        ("companies", "company"),
        ("renting", "rent"),
        ("licenses", "license"),
        ("taxes", "tax"),
    ],
)
def test_forms_of_a_word_meet_in_their_stem(words: str, same: str) -> None:
    assert stem(words) == stem(same)


def test_names_are_found_whole_and_only_whole() -> None:
    names = TagNames(["contract-law", "c++", "copyright", "---"])
    found = names.found_in(["The laws of contracts", "Contract only", "c++ and copyrights?", None])
    assert found.tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


def test_the_stack_beats_regressions_and_frequency(retriever, train, validation, test_rows) -> None:
    vocabulary = retriever.vocabulary
    true = [question.tags for question in validation]
    threshold = tune_threshold(retriever.scores(validation), true, vocabulary)
    stack = micro(test_rows, Decision(threshold).all_tags(retriever.scores(test_rows), vocabulary))
    regressions = micro(test_rows, TfidfLogistic.fit(train, validation).predict(test_rows))
    frequent = micro(test_rows, MostFrequent.fit(train, validation).predict(test_rows))
    assert stack > 0.8
    assert regressions > frequent + 0.2
    assert stack >= regressions - 0.02


def test_out_of_fold_scores_do_not_know_their_row() -> None:
    # Tags drawn by lot: whoever knows the row scores high, whoever does not scores as by chance.
    generator = np.random.default_rng(0)
    questions = [
        Question(
            id=str(n),
            title=f"first{n % 13} second{n % 12}",
            body=None,
            tags=(f"tag-{generator.integers(6)}",),
        )
        for n in range(150)
    ]
    vocabulary = Vocabulary.from_questions(questions)
    fitted = Retriever.fit(questions, vocabulary, seed=1)
    assert fitted.out_of_fold is not None
    honest = sum(
        lists[0] in q.tags for q, lists in zip(questions, fitted.out_of_fold_shortlists(1), strict=True)
    )
    best = fitted.features(questions)["lr"].argmax(axis=1)
    seen = sum(vocabulary.tags[place] in q.tags for q, place in zip(questions, best, strict=True))
    assert honest < 40  # chance is 25
    assert seen > 50  # n-grams of one row alone are no features, so not all can be learnt by heart


def test_shortlists_hold_the_best_tags_first(retriever, test_rows) -> None:
    question = test_rows[0]
    scores = retriever.scores([question])[0]
    listed = retriever.shortlist(question, 4)
    assert list(listed) == [retriever.vocabulary.tags[place] for place in np.argsort(-scores)[:4]]
    assert retriever.shortlist(question, 0) == ()
    assert len(retriever.out_of_fold_shortlists(3)) == 200


def test_the_same_seed_gives_the_same_retriever(train, test_rows) -> None:
    vocabulary = Vocabulary.from_questions(train)
    scores = [Retriever.fit(train, vocabulary, seed=4, n_jobs=jobs).scores(test_rows) for jobs in (1, 2)]
    assert np.abs(scores[0] - scores[1]).max() < 0.01


def test_above_the_limit_rows_are_drawn(train) -> None:
    fitted = Retriever.fit(train, Vocabulary.from_questions(train), options=RetrieverOptions(most_rows=80))
    assert fitted.out_of_fold_rows is not None
    assert len(fitted.out_of_fold_rows) == 80
    assert sorted(set(fitted.out_of_fold_rows.tolist())) == fitted.out_of_fold_rows.tolist()
    assert fitted.duals.shape[0] == 80


def test_progress_is_told_to_its_end(train) -> None:
    told: list[tuple[str, int, int]] = []
    Retriever.fit(train, Vocabulary.from_questions(train), on_progress=lambda *step: told.append(step))
    assert told[-1][0] == "done"
    assert told[-1][1] == told[-1][2]
    assert [step[1] for step in told] == sorted(step[1] for step in told)


def test_too_few_rows_are_refused(train) -> None:
    with pytest.raises(DataError):
        Retriever.fit(train[:5], Vocabulary.from_questions(train[:5]))
    with pytest.raises(DataError):
        Retriever.fit(train, Vocabulary((), (), 0))
    with pytest.raises(ConfigurationError):
        Retriever.fit(train, Vocabulary.from_questions(train), folds=1)


def test_titles_alone_and_empty_texts_are_scored(retriever) -> None:
    scores = retriever.scores(
        [
            Question(id="a", title="Tenant and rent"),
            Question(id="b", title="?!", body=""),
            Question(id="c", title=""),
        ]
    )
    assert np.isfinite(scores).all()
    assert retriever.scores([]).shape == (0, len(retriever.vocabulary))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(0, 2), st.integers(2, 5), st.integers(0, 1000))
def test_the_tuned_threshold_is_the_best_one(rows: int, least: int, most: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    vocabulary = Vocabulary(tuple("abcdef"), (1,) * 6, 6)
    scores = generator.random((rows, 6))
    true = [tuple(tag for tag in "abcdefX" if generator.random() < 0.3) for _ in range(rows)]

    def quality(threshold: float) -> float:
        return score(true, Decision(threshold, least, most).all_tags(scores, vocabulary)).micro_f1

    tuned = tune_threshold(scores, true, vocabulary, least=least, most=most, resamples=0)
    assert quality(tuned) >= max(quality(step / 50) for step in range(51)) - 1e-9


def test_a_decision_gives_the_least_and_never_more_than_the_most() -> None:
    vocabulary = Vocabulary(("a", "b", "c"), (3, 2, 1), 3)
    decision = Decision(0.5, least=1, most=2)
    assert decision.tags(np.asarray([0.1, 0.2, 0.1]), vocabulary) == ("b",)
    assert decision.tags(np.asarray([0.7, 0.8, 0.9]), vocabulary) == ("c", "b")
    assert decision.tags(np.asarray([0.3, 0.3, 0.3]), vocabulary) == ("a",)
    with pytest.raises(ConfigurationError):
        Decision(0.5, least=3, most=2)
