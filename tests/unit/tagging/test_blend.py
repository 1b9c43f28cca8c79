"""The blend never loses to its parts, and the mix never to what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.tagging import Question, Tagger, Vocabulary, fit_tagger
from lawtags_client.tagging.blend import blend_columns, fit_blend_weights, row_losses
from lawtags_client.tagging.decision import Decision, expected_threshold, tune_on_few_rows
from lawtags_client.tagging.logistic import sigmoid
from lawtags_client.tagging.metrics import score
from lawtags_client.tagging.retriever import Retriever

from .conftest import made_up_first_tokens

TAGS = 12
# By how much the blend of so many validation rows may be worse than the better part on other rows.
WORST = {6: 1.25, 40: 1.03, 300: 1.005}


def made(rows: int, seed: int, *noises: float) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """Labels, and log-odds of several systems that see the truth through noise of these sizes."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(-2.5, 2, (rows, TAGS))
    labels = (generator.random((rows, TAGS)) < sigmoid(truth)).astype(float)
    return labels, [truth + generator.normal(0, noise, truth.shape) for noise in noises]


def loss(log_odds: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
    return float(row_losses(log_odds, labels).mean())


def frequencies(labels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.clip(labels.mean(axis=0), 0.5 / len(labels), 1))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rows", WORST)
@pytest.mark.parametrize("noises", [(1.0, 1.0), (1.0, 9.0), (9.0, 1.0), (0.1, 6.0)], ids=str)
def test_a_blend_does_not_lose_to_its_parts(seed: int, rows: int, noises: tuple[float, float]) -> None:
    """On other rows: as good as the better part, up to what so few rows can tell."""
    labels, (retrieved, encoded) = made(rows, seed, *noises)
    columns = blend_columns(sigmoid(retrieved), encoded, frequencies(labels))
    chosen, weights, crossed = fit_blend_weights(columns, labels, seed=0)
    assert crossed.shape == labels.shape
    other, (a, b) = made(2000, seed + 100, *noises)
    blended = loss(blend_columns(sigmoid(a), b, frequencies(labels)) @ weights, other)
    best = min(loss(a, other), loss(b, other))
    assert blended < best * WORST[rows]
    if noises == (1.0, 1.0) and rows >= 40:
        assert chosen.endswith("mixture")
        assert blended < best


def test_a_part_that_knows_nothing_is_dropped() -> None:
    labels, (good, _) = made(300, 0, 0.0, 1.0)
    generator = np.random.default_rng(1)
    columns = blend_columns(sigmoid(good), generator.normal(0, 30, good.shape), frequencies(labels))
    chosen, weights, _ = fit_blend_weights(columns, labels, seed=0)
    assert chosen == "retriever" or abs(weights[2]) < 0.02


@pytest.mark.parametrize("rows", [1, 3, 40])
def test_rows_without_a_known_tag_leave_the_retriever_as_it_is(rows: int) -> None:
    _, (retrieved, encoded) = made(rows, 0, 1.0, 1.0)
    columns = blend_columns(sigmoid(retrieved), encoded, np.full(TAGS, -2.0))
    chosen, weights, scores = fit_blend_weights(columns, np.zeros((rows, TAGS)), seed=0)
    assert (chosen, weights.tolist()) == ("retriever", [0, 1, 0, 0, 0])
    np.testing.assert_allclose(scores, sigmoid(retrieved), rtol=1e-4)


class FakeEncoder:
    """Scores by a rule of its own; ``identity`` is what a saved tagger is held to."""

    def __init__(
        self, tags: Sequence[str], rule: Callable[[str], NDArray[np.float32]], identity: str
    ) -> None:
        self._rule, self.identity = rule, identity
        self.tags = tuple(tags)

    def log_odds(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._rule(text) for text in texts]).astype(np.float32)


def knowing(questions: Sequence[Question], vocabulary: Vocabulary, noise: float) -> FakeEncoder:
    """An encoder that knows the tags of some questions, through noise."""
    tags = {question.title: question.tags for question in questions}

    def rule(text: str) -> NDArray[np.float32]:
        title = text.split("\n")[0]
        generator = np.random.default_rng(sum(map(ord, title)))
        found = generator.normal(-3, noise, len(vocabulary))
        for tag in tags[title]:
            if tag in vocabulary:
                found[vocabulary.index(tag)] += 5
        return found.astype(np.float32)

    return FakeEncoder(vocabulary.tags, rule, "1" * 64)


def micro(true: list[Question], tagger: Tagger, lm: list[dict[str, float]] | None = None) -> float:
    return score([q.tags for q in true], [item.tags for item in tagger.tag(true, lm)]).micro_f1


def noise(count: int, vocabulary: Vocabulary) -> list[dict[str, float]]:
    generator = np.random.default_rng(0)
    return [{f" {tag[:6]}": float(generator.normal(-4, 1)) for tag in vocabulary} for _ in range(count)]


def test_an_encoder_that_knows_more_makes_the_tagger_better(
    retriever: Retriever, train: list[Question], validation: list[Question], test_rows: list[Question]
) -> None:
    encoder = knowing([*validation, *test_rows], retriever.vocabulary, 1.0)
    blended = fit_tagger(retriever, train, validation, encoder=encoder)
    alone = fit_tagger(retriever, train, validation)
    assert blended.blend is not None
    assert blended.report.blend != "retriever"
    assert micro(test_rows, blended) > micro(test_rows, alone) + 0.1
    assert blended.threshold == blended.blend.decision.threshold
    assert blended.retriever_decision == alone.retriever_decision


@pytest.mark.parametrize("strength", ["useless", "constant", "mediocre", "strong"])
@pytest.mark.parametrize("with_encoder", [False, True])
def test_a_model_never_costs_the_tagger_anything(
    retriever: Retriever,
    train: list[Question],
    validation: list[Question],
    test_rows: list[Question],
    strength: str,
    with_encoder: bool,
) -> None:
    vocabulary = retriever.vocabulary

    def model(questions: list[Question]) -> list[dict[str, float]]:
        drawn = noise(len(questions), vocabulary)
        if strength == "useless":
            return drawn
        if strength == "constant":
            return [{f" {tag[:6]}": -3.0 for tag in vocabulary}] * len(questions)
        every = 1 if strength == "strong" else 3
        return [
            made_up_first_tokens(question, vocabulary, 5) if place % every == 0 else drawn[place]
            for place, question in enumerate(questions)
        ]

    encoder = knowing([*validation, *test_rows], vocabulary, 3.0) if with_encoder else None
    tagger = fit_tagger(retriever, train, validation, model(validation), encoder=encoder)
    without = micro(test_rows, tagger)
    assert micro(test_rows, tagger, model(test_rows)) >= without - 0.01
    report = tagger.report
    assert report.model_gain is not None and report.model_gain_error is not None
    assert (tagger.mix is not None) == (report.model_gain > report.model_gain_error)
    if strength in ("useless", "constant"):
        assert tagger.mix is None
        assert micro(test_rows, tagger, model(test_rows)) == without


def test_an_encoder_of_other_tags_is_refused(
    retriever: Retriever, train: list[Question], validation: list[Question]
) -> None:
    encoder = knowing(validation, retriever.vocabulary, 1.0)
    encoder.tags = encoder.tags[::-1]
    with pytest.raises(ConfigurationError, match="which are not the"):
        fit_tagger(retriever, train, validation, encoder=encoder)
    with pytest.raises(DataError, match="scores of shape"):
        blend_columns(np.zeros((2, 3)), np.zeros((2, 4)), np.zeros(3))


def test_the_expected_threshold_is_that_of_labels_where_scores_are_calibrated() -> None:
    generator = np.random.default_rng(0)
    scores = sigmoid(generator.normal(-2, 1.5, (4000, TAGS)))
    labels = generator.random(scores.shape) < scores
    vocabulary = Vocabulary(tuple(f"t{n}" for n in range(TAGS)), tuple([1] * TAGS), 10)
    true = [tuple(vocabulary.tags[place] for place in np.flatnonzero(row)) for row in labels]

    def f1(threshold: float) -> float:
        return score(true, Decision(threshold).all_tags(scores, vocabulary)).micro_f1

    found = expected_threshold(scores)
    assert f1(found) > max(f1(threshold) for threshold in np.linspace(0.05, 0.9, 18)) - 0.005
    few = tune_on_few_rows(scores[:20], true[:20], vocabulary)
    assert f1(few.threshold) > f1(found) - 0.03
    with pytest.raises(ConfigurationError, match="without rows"):
        expected_threshold(scores[:0])
