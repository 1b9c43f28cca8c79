"""The tagger: the tuned model's tag probabilities mixed with those of retriever and tuned encoder.

The mix is a logistic regression over pairs of question and tag, fitted on validation rows only, since the
model has seen the training rows. Its weights are shrunk toward the tagger without a model. Where the model
does not make the validation rows likelier, by more than one standard error, it is left out altogether.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lawtags_client.errors import DataError
from lawtags_client.tagging._numpy import np
from lawtags_client.tagging.asking import PromptSettings
from lawtags_client.tagging.blend import (
    Blend,
)
from lawtags_client.tagging.decision import Decision
from lawtags_client.tagging.first_token import FirstTokenMap
from lawtags_client.tagging.logistic import logit, sigmoid
from lawtags_client.tagging.prompt import Prompt, PromptBuilder, PromptStyle, estimate_tokens
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.retriever import Retriever
from lawtags_client.tagging.scores import BEST, BLOCK, named_scores
from lawtags_client.tagging.stack import log_prior
from lawtags_client.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lawtags_client.tagging._numpy import Floats

FirstTokens = Sequence[Mapping[str, float] | None]

# The columns of the mix. The stack is the blend, if there is one, and else the retriever.
MIX = ("one", "stack", "model", "prior")


@dataclass(frozen=True)
class Mix:
    """How the model's evidence enters.

    Args:
        tokens: from first tokens to tags.
        weights: in the order of ``MIX``.
        decision: from mixed scores to tags.
    """

    tokens: FirstTokenMap
    weights: NDArray[np.float64]
    decision: Decision

    def scores(self, stack: Floats, lm: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
        """Mixed probabilities, rows by tags."""
        return np.asarray(sigmoid(mix_columns(stack, lm, self.tokens) @ self.weights), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Tagging:
    """What the tagger says about one question.

    Args:
        tags: the tags to give, best first.
        scores: probabilities of the best tags, best first.
        with_model: whether the model's evidence was used; else retriever and encoder spoke alone.
        abstained: whether no tag was likely enough for an answer.
    """

    tags: tuple[str, ...]
    scores: dict[str, float]
    with_model: bool
    abstained: bool = False


@dataclass(frozen=True)
class FitReport:
    """The result of the fit: row counts, and micro F1 on the validation rows.

    All scores come from weights that were not fitted on the row, but thresholds that were, so they are
    slightly optimistic. Only the test rows give an unbiased estimate.

    Args:
        validation_rows: how many there are.
        model_rows: how many of them have the model's evidence.
        retriever_micro_f1: of the retriever alone.
        tagger_micro_f1: with the model's evidence, even if it was left out; None without evidence.
        blend_micro_f1: of retriever and encoder; None without an encoder.
        blend: the kind of mixture, or the part that the blend has fallen back to; None without an
            encoder.
        model_gain: by how much the model lowers the cross-entropy of a validation row; None without
            evidence.
        model_gain_error: standard error of this.
    """

    validation_rows: int
    model_rows: int
    retriever_micro_f1: float | None
    tagger_micro_f1: float | None
    blend_micro_f1: float | None = None
    blend: str | None = None
    model_gain: float | None = None
    model_gain_error: float | None = None


@dataclass(frozen=True)
class Tagger:
    """Scores and chooses tags; made by ``fit_tagger``.

    Args:
        retriever: scores without a model.
        style: how the model is asked.
        retriever_decision: from the retriever's scores to tags.
        mix: how the model's evidence enters; None for a tagger without a model, or with one that adds
            nothing.
        report: what the fit saw.
        asking: how questions are prepared for the model; None if unknown, as in taggers of older releases.
        blend: how a tuned encoder enters; None without one.
    """

    retriever: Retriever
    style: PromptStyle
    retriever_decision: Decision
    mix: Mix | None
    report: FitReport
    asking: PromptSettings | None = None
    blend: Blend | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """The tags that it may give."""
        return self.retriever.vocabulary

    @property
    def uses_model(self) -> bool:
        """Whether the model's evidence changes its scores; if not, the model need not be asked."""
        return self.mix is not None

    @property
    def threshold(self) -> float:
        """The threshold of the mix if there is one, else of the blend, else of the retriever."""
        return self._decision(with_model=True).threshold

    @property
    def least(self) -> int:
        """The fewest tags that it gives."""
        return self.retriever_decision.least

    @property
    def most(self) -> int:
        """The most tags that it gives."""
        return self.retriever_decision.most

    def prompt(self, question: Question, count_tokens: Callable[[str], int] | None = None) -> Prompt:
        """The prompt for a question, as the model was trained with.

        Args:
            question: the question, with its texts as curation leaves them.
            count_tokens: the length of a text in the model's tokens; by the tagger's own tokenizer if None.

        Raises:
            MissingExtraError: the tagger has a tokenizer, and the ``tokenizers`` package is not installed.
        """
        return self.prompts([question], count_tokens)[0]

    def prompts(
        self, questions: Sequence[Question], count_tokens: Callable[[str], int] | None = None
    ) -> list[Prompt]:
        """The prompts for many questions; arguments and errors as for ``prompt``."""
        if count_tokens is None:
            count_tokens = self.asking.count_tokens if self.asking else estimate_tokens
        return build_prompts(questions, self.style, count_tokens, self.retriever)

    def scores(self, questions: Sequence[Question], lm: FirstTokens | None = None) -> NDArray[np.float64]:
        """Probabilities, questions by tags of the vocabulary.

        Args:
            questions: the questions.
            lm: for each the log-probabilities of the answer's first token, or None where there are none;
                such rows get the scores of retriever and encoder.

        Raises:
            DataError: ``lm`` has another length.
        """
        rows_with_evidence(questions, lm)
        if len(questions) <= BLOCK:
            return self._block(questions, lm)
        starts = range(0, len(questions), BLOCK)
        return np.concatenate(
            [
                self._block(
                    questions[start : start + BLOCK], None if lm is None else lm[start : start + BLOCK]
                )
                for start in starts
            ]
        )

    def _block(self, questions: Sequence[Question], lm: FirstTokens | None) -> NDArray[np.float64]:
        scores = self.retriever.scores(questions)
        if self.blend is not None and len(questions):
            scores = self.blend.scores(scores, questions, self.vocabulary)
        rows = rows_with_evidence(questions, lm)
        if self.mix is not None and lm is not None and rows:
            scores[rows] = self.mix.scores(scores[rows], [lm[row] or {} for row in rows])
        return scores

    def decide(self, row_scores: Floats, *, with_model: bool = True) -> tuple[str, ...]:
        """The tags to give for one row of scores, best first.

        Args:
            row_scores: one row of ``scores``.
            with_model: whether the row was scored with the model's evidence: without it, another threshold
                applies.
        """
        return self._decision(with_model=with_model).tags(row_scores, self.retriever.vocabulary)

    def abstains(self, row_scores: Floats, *, with_model: bool = True) -> bool:
        """Whether no tag is likely enough for an answer; arguments as for ``decide``."""
        return self._decision(with_model=with_model).abstains(row_scores)

    def tag(
        self, questions: Sequence[Question], lm: FirstTokens | None = None, *, best: int = BEST
    ) -> list[Tagging]:
        """Tag questions.

        Args:
            questions: the questions.
            lm: as for ``scores``.
            best: how many tags to give scores for.

        Raises:
            DataError: ``lm`` has another length.
        """
        return self.tag_scored(self.scores(questions, lm), questions, lm, best=best)

    def tag_scored(
        self,
        scores: Floats,
        questions: Sequence[Question],
        lm: FirstTokens | None = None,
        *,
        best: int = BEST,
    ) -> list[Tagging]:
        """Tag questions whose scores are known.

        Args:
            scores: as ``scores`` returns them for the other arguments.
            questions: the questions.
            lm: as for ``scores``.
            best: how many tags to give scores for.

        Raises:
            DataError: ``lm`` has another length.
        """
        evident = set(rows_with_evidence(questions, lm)) if self.mix is not None else set()
        taggings = []
        for place, row in enumerate(scores):
            named = named_scores(row, self.retriever.vocabulary, best)
            with_model = place in evident
            decision = self._decision(with_model=with_model)
            tags = decision.tags(row, self.retriever.vocabulary)
            taggings.append(Tagging(tags, named, with_model, decision.abstains(row)))
        return taggings

    def _decision(self, *, with_model: bool) -> Decision:
        if self.mix is not None and with_model:
            return self.mix.decision
        return self.retriever_decision if self.blend is None else self.blend.decision


def build_prompts(
    questions: Sequence[Question],
    style: PromptStyle,
    count_tokens: Callable[[str], int],
    retriever: Retriever,
) -> list[Prompt]:
    """The prompts for questions outside the training rows.

    Args:
        questions: with their texts as curation leaves them.
        style: how prompts look.
        count_tokens: the length of a text in the model's tokens.
        retriever: names the candidate tags, where the style wants some.
    """
    builder, size = PromptBuilder(style, count_tokens), style.shortlist
    lists = [retriever.shortlist(question, size) if size else () for question in questions]
    return [
        builder.build(question.title, question.body, candidates)
        for question, candidates in zip(questions, lists, strict=True)
    ]


def mix_columns(stack: Floats, lm: Sequence[Mapping[str, float]], tokens: FirstTokenMap) -> Floats:
    """The columns of the mix, rows by tags by ``MIX``."""
    evidence = np.stack([tokens.evidence(row) for row in lm])
    prior = np.broadcast_to(log_prior(tokens.vocabulary), stack.shape)
    return np.stack([np.ones(stack.shape), logit(stack), evidence, prior], axis=2)


def rows_with_evidence(questions: Sequence[Question], lm: FirstTokens | None) -> list[int]:
    """The places of the questions that the model has answered.

    Raises:
        DataError: ``lm`` has another length.
    """
    if lm is None:
        return []
    if len(lm) != len(questions):
        raise DataError(
            f"{len(lm)} rows of log-probabilities do not match {len(questions)} questions",
            hint="Pass one per question; None if the model did not answer.",
        )
    return [row for row, tokens in enumerate(lm) if tokens]
