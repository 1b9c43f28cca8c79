"""The fit of a tagger: weights of blend and mix, and the thresholds of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.asking import PromptSettings
from lawtags_client.tagging.blend import (
    Blend,
    blend_columns,
    check_scorer,
    fit_blend_weights,
    folds,
    row_losses,
)
from lawtags_client.tagging.decision import Decision, Optimize, tune_decision, tune_on_few_rows
from lawtags_client.tagging.embedding_signals import TagClassifier, texts_of
from lawtags_client.tagging.first_token import FirstTokenMap
from lawtags_client.tagging.logistic import fit_towards, logit, sigmoid
from lawtags_client.tagging.metrics import score
from lawtags_client.tagging.mix import (
    MIX,
    FirstTokens,
    FitReport,
    Mix,
    Tagger,
    mix_columns,
    rows_with_evidence,
)
from lawtags_client.tagging.prompt import PromptStyle
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.retriever import Retriever
from lawtags_client.tagging.stack import log_prior
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lawtags_client.tagging._numpy import Floats, Integers

# With fewer rows of model evidence than this no weights are fitted.
FEWEST_ROWS = 10
# With this many validation rows, they weigh as much as the training rows in the choice of the threshold.
_EVEN_ROWS = 50
# The weights of the mix that mean "without the model".
_WITHOUT_MODEL = np.asarray([0.0, 1.0, 0.0, 0.0])


def fit_tagger(
    retriever: Retriever,
    train: Sequence[Question],
    validation: Sequence[Question],
    lm: FirstTokens | None = None,
    *,
    style: PromptStyle | None = None,
    asking: PromptSettings | None = None,
    least: int = 1,
    most: int = 5,
    optimize: Optimize = "micro",
    abstain_below: float | None = None,
    seed: int = 0,
    encoder: TagClassifier | None = None,
) -> Tagger:
    """Fit the weights of blend and mix, and the thresholds of all.

    The retriever's threshold is tuned on its out-of-fold scores of the training rows and on the validation
    rows. Blend and mix are fitted on the validation rows; their thresholds are tuned on cross-fitted scores
    of them. A mixture that is not better than one of its parts is replaced by that part.

    Args:
        retriever: fitted on ``train``.
        train: the rows that the retriever was fitted on.
        validation: rows that neither retriever nor model was fitted on.
        lm: for each validation row, the log-probabilities of the answer's first token, or None.
        style: format of the prompts.
        asking: how the texts of questions were prepared.
        least: minimum tags per question.
        most: maximum tags per question.
        optimize: the average of F1 that the thresholds are tuned for.
        abstain_below: a question whose best tag has a lower probability gets no tags; None never abstains.
        seed: seed of the folds and resamples.
        encoder: tuned on ``train``; scores the tags by itself.

    Raises:
        ConfigurationError: the retriever was loaded and has no out-of-fold scores, or was fitted on others;
            or the encoder scores other tags.
        DataError: there are no validation rows, or ``lm`` has another length.
    """
    if not validation:
        raise DataError("a tagger cannot be fitted without validation rows", hint="Pass labeled rows.")
    stack = retriever.scores(validation)
    true = [question.tags for question in validation]
    known, known_true = _out_of_fold(retriever, train)
    alone = tune_decision(
        np.concatenate([known, stack]),
        known_true + true,
        retriever.vocabulary,
        optimize=optimize,
        least=least,
        most=most,
        abstain_below=abstain_below,
        seed=seed,
    )
    report = FitReport(
        validation_rows=len(validation),
        model_rows=0,
        retriever_micro_f1=score(true, alone.all_tags(stack, retriever.vocabulary)).micro_f1,
        tagger_micro_f1=None,
    )
    fitting = _Fitting(retriever.vocabulary, true, alone, optimize, seed)
    known_scores: Floats = stack
    blend, mix, decision = None, None, alone
    if encoder is not None:
        check_scorer(encoder, retriever.vocabulary)
        blend, known_scores, report = fitting.blend(encoder, stack, validation, report)
        decision = blend.decision
    rows = rows_with_evidence(validation, lm)
    if lm is not None:
        report = replace(report, model_rows=len(rows))
        if len(rows) >= FEWEST_ROWS:
            evidence = [lm[row] or {} for row in rows]
            mix, report = fitting.mix(known_scores, rows, evidence, decision, report)
    return Tagger(retriever, style or PromptStyle(), alone, mix, report, asking, blend)


def refit_tagger(
    tagger: Tagger,
    train: Sequence[Question],
    validation: Sequence[Question],
    *,
    encoder: TagClassifier | None = None,
    seed: int = 0,
    n_jobs: int = 1,
) -> Tagger:
    """The tagger with its retriever fitted on the validation rows, too, and an encoder that knows them.

    Weights and thresholds need rows that retriever and encoder have not seen. Once they are chosen, these
    rows are worth more as training rows (``docs/quality.md``). The vocabulary stays the same.

    Args:
        tagger: what ``fit_tagger`` made of the same rows.
        train: the rows that its retriever was fitted on.
        validation: the rows that its weights were fitted on.
        encoder: the tuned encoder after ``refit_encoder``; None keeps that of the tagger.
        seed: as for the fit of its retriever.
        n_jobs: threads.

    Raises:
        DataError: there are too few rows.
        MissingExtraError: SciPy or scikit-learn is not installed.
    """
    first = tagger.retriever
    retriever = Retriever.fit(
        [*train, *validation],
        first.vocabulary,
        seed=seed,
        n_jobs=n_jobs,
        options=first.options,
        embedder=None if first.embedding is None else first.embedding.embedder,
    )
    blend = tagger.blend
    if blend is not None and encoder is not None:
        check_scorer(encoder, first.vocabulary)
        blend = replace(blend, encoder=encoder)
    return replace(tagger, retriever=retriever, blend=blend)


@dataclass(frozen=True)
class _Fitting:
    """The fits on the validation rows.

    Args:
        vocabulary: the tags.
        true: the true tags of the validation rows.
        alone: the retriever's decision, whose bounds hold for all.
        optimize: the average of F1 that the thresholds are tuned for.
        seed: of folds and resamples.
    """

    vocabulary: Vocabulary
    true: Sequence[tuple[str, ...]]
    alone: Decision
    optimize: Optimize
    seed: int

    def blend(
        self, encoder: TagClassifier, stack: Floats, validation: Sequence[Question], report: FitReport
    ) -> tuple[Blend, Floats, FitReport]:
        """The blend, its scores of the validation rows by weights not fitted on them, and the report."""
        log_odds = encoder.log_odds(texts_of(validation))
        columns = blend_columns(stack, log_odds, log_prior(self.vocabulary))
        labels = self.vocabulary.labels(self.true).astype(np.float64)
        chosen, weights, crossed = fit_blend_weights(columns, labels, seed=self.seed)
        decision = tune_on_few_rows(
            crossed,
            self.true,
            self.vocabulary,
            optimize=self.optimize,
            least=self.alone.least,
            most=self.alone.most,
            abstain_below=self.alone.abstain_below,
            seed=self.seed,
        )
        # The retriever alone has more rows behind its threshold.
        decision = self.alone if chosen == "retriever" else decision
        reached = score(self.true, decision.all_tags(crossed, self.vocabulary)).micro_f1
        report = replace(report, blend_micro_f1=reached, blend=chosen)
        return Blend(encoder, weights, decision), crossed, report

    def mix(
        self,
        known: Floats,
        rows: Sequence[int],
        lm: Sequence[Mapping[str, float]],
        decision: Decision,
        report: FitReport,
    ) -> tuple[Mix | None, FitReport]:
        """The mix with the model, or None if the model does not help, and the report.

        Args:
            known: scores of all validation rows without the model.
            rows: those with its evidence.
            lm: the evidence of these.
            decision: for scores without the model.
            report: of the fit so far.
        """
        stack, true = known[list(rows)], [self.true[row] for row in rows]
        labels = self.vocabulary.labels(true).astype(np.float64)
        tokens = FirstTokenMap.fit(lm, self.vocabulary)
        columns = mix_columns(stack, lm, tokens)

        def fit(chosen: Integers, weighed: Sequence[int]) -> NDArray[np.float64]:
            pairs = columns[chosen][:, :, weighed].reshape(-1, len(weighed))
            prior = _WITHOUT_MODEL[list(weighed)]
            return fit_towards(pairs, labels[chosen].ravel(), prior, penalty=1.0)

        def cross_fitted(weighed: Sequence[int]) -> NDArray[np.float64]:
            scores = np.zeros(stack.shape)
            for held in folds(len(stack), self.seed):
                scores[held] = columns[held][:, :, weighed] @ fit(np.flatnonzero(~held), weighed)
            return scores

        everything = range(len(MIX))
        crossed = cross_fitted(everything)
        # A better offset and slope of the other scores is no merit of the model.
        rivals = logit(stack), cross_fitted([place for place in everything if MIX[place] != "model"])
        without = min(
            (row_losses(rival, labels) for rival in rivals), key=lambda losses: float(losses.mean())
        )
        gains = without - row_losses(crossed, labels)
        gain, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))
        mixed = sigmoid(crossed)
        tuned = tune_decision(
            mixed,
            true,
            self.vocabulary,
            optimize=self.optimize,
            least=decision.least,
            most=decision.most,
            abstain_below=decision.abstain_below,
            seed=self.seed,
        )
        shrunk = tuned.shrunk_to(decision, len(stack) / (len(stack) + _EVEN_ROWS))
        reached = score(true, shrunk.all_tags(mixed, self.vocabulary)).micro_f1
        report = replace(report, tagger_micro_f1=reached, model_gain=gain, model_gain_error=error)
        if gain <= error:
            return None, report
        return Mix(tokens, fit(np.arange(len(stack)), everything), shrunk), report


def _out_of_fold(
    retriever: Retriever, train: Sequence[Question]
) -> tuple[NDArray[np.float64], list[tuple[str, ...]]]:
    scores, rows = retriever.out_of_fold, retriever.out_of_fold_rows
    if scores is None or rows is None or (len(rows) and int(rows[-1]) >= len(train)):
        raise ConfigurationError(
            "the retriever does not carry out-of-fold scores of these training rows",
            hint="Fit the retriever on them in this process before fitting the tagger.",
        )
    return scores, [train[row].tags for row in rows]
