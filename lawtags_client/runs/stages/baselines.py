"""Baselines: every system without a language model, before anything is sent to the platform."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.encoder.choice import EncoderChoice, choose_encoder
from lawtags_client.runs.arrays import read_arrays, write_arrays
from lawtags_client.runs.outputs import BaselinesOutput, CurateOutput
from lawtags_client.runs.predictions import (
    Prediction,
    prediction,
    read_predictions,
    remove_predictions,
    write_predictions,
)
from lawtags_client.runs.probabilities import write_probabilities
from lawtags_client.runs.stage import RunContext, file_digests

if TYPE_CHECKING:
    from lawtags_client.tagging._numpy import Floats
    from lawtags_client.tagging.embedding_signals import Embedder
    from lawtags_client.tagging.question import Question
    from lawtags_client.tagging.retriever import Retriever
    from lawtags_client.tagging.vocabulary import Vocabulary

FOLDER = "retriever"
"""The folder of the fitted retriever, in the folder of a run."""
OUT_OF_FOLD = "out-of-fold.npz"
_SYSTEMS = ("retriever", "retriever_words", "tfidf", "most_frequent")
_HEADINGS = ("system", "micro F1", "95 %", "macro F1", "samples F1")

Questions = Mapping[str, Sequence["Question"]]


class Baselines:
    """Fits the retriever and the simple systems, and shows a first table.

    The retriever of the training rows and its out-of-fold scores stay in the run's folder: ``predict``
    chooses weights and thresholds by them. All systems are judged after a second fit, which has the
    validation rows, too, so that none of them knows fewer rows than the tagger. Embeddings of an interrupted
    attempt are in the cache of vectors.

    Args:
        shown: whether to show the table.
    """

    name = "baselines"
    version = 3
    leaves = BaselinesOutput

    def __init__(self, *, shown: bool = True) -> None:
        self._shown = shown

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        encoder = encoder_of(context).encoder
        return {
            "curation": context.left(CurateOutput).digest,
            # The number of threads does not change the fit.
            "retriever": context.recipe.retriever.model_dump(exclude={"threads", "encoder"}),
            "encoder": None if encoder is None else encoder.identity,
            "seed": context.recipe.training.seed,
            "most": context.recipe.evaluation.max_tags,
            **decisions_of(context),
        }

    async def run(self, context: RunContext) -> BaselinesOutput:
        questions = await asyncio.to_thread(questions_of, context)
        chosen = await asyncio.to_thread(encoder_of, context)
        fitting = _Fitting(context, questions, chosen.encoder, shown=self._shown)
        written = await asyncio.to_thread(fitting.run)
        return BaselinesOutput(
            files=file_digests(context.folder, written),
            summary={"test rows": len(questions["testing"]), "systems": len(fitting.systems)},
            embeddings=_embeddings(chosen),
        )


def questions_of(context: RunContext) -> dict[str, list[Question]]:
    """The curated questions of a run, by part."""
    from lawtags_client.tagging.question import read_questions

    return {
        part: read_questions(context.curated / "questions" / f"{part}.jsonl")
        for part in ("training", "validation", "testing")
    }


def encoder_of(context: RunContext) -> EncoderChoice:
    """The sentence encoder of a run's recipe."""
    options = context.recipe.retriever
    return choose_encoder(options.encoder, threads=options.threads)


def decisions_of(context: RunContext) -> dict[str, object]:
    """How a run's recipe decides on tags; empty for the only way that older releases had."""
    options = context.recipe.evaluation
    changed = {} if options.optimize == "micro" else {"optimize": options.optimize}
    return changed | ({} if options.abstain_below is None else {"abstain_below": options.abstain_below})


def fit_retriever(
    context: RunContext,
    training: Sequence[Question],
    embedder: Embedder | None,
    *,
    on_words: Callable[[Retriever], None] | None = None,
) -> Retriever:
    """Fit the retriever of a run on training rows.

    Args:
        context: the run.
        training: the rows.
        embedder: the sentence encoder, if there is one.
        on_words: told of the retriever without embeddings, which comes first.

    Raises:
        DataError: there are too few rows.
    """
    from lawtags_client.tagging.retriever import Retriever
    from lawtags_client.tagging.retriever_fit import RetrieverOptions
    from lawtags_client.tagging.vocabulary import Vocabulary

    recipe, progress = context.recipe, context.progress
    return Retriever.fit(
        training,
        Vocabulary.from_questions(training),
        options=RetrieverOptions(folds=recipe.retriever.folds, most_rows=recipe.retriever.max_rows),
        n_jobs=recipe.retriever.threads,
        seed=recipe.training.seed,
        embedder=embedder,
        on_progress=lambda step, done, total: progress.update(done, total, f"retriever, {step}"),
        on_words=on_words,
    )


def load_retriever(folder: Path, embedder: Embedder | None) -> Retriever:
    """The fitted retriever of a run, with its out-of-fold scores.

    Args:
        folder: the run's.
        embedder: the encoder that it was fitted with.

    Raises:
        DataError: a file is missing or damaged.
        ConfigurationError: it was fitted with another encoder.
    """
    from lawtags_client.tagging._numpy import np
    from lawtags_client.tagging.storage import load_tagger

    retriever = load_tagger(folder / FOLDER, embedder=embedder).retriever
    scores, rows = read_arrays(folder / FOLDER / OUT_OF_FOLD, ("scores", "rows"))
    return replace(retriever, out_of_fold=scores.astype(np.float64), out_of_fold_rows=rows.astype(np.int64))


class _Fitting:
    """The fits of one attempt, in a worker thread.

    Args:
        context: the run.
        questions: by part.
        embedder: the sentence encoder, if there is one.
        shown: whether to show the scores.
    """

    def __init__(
        self, context: RunContext, questions: Questions, embedder: Embedder | None, *, shown: bool
    ) -> None:
        self._context, self._questions, self._embedder = context, questions, embedder
        self._shown = shown
        self._written: list[Path] = []
        self.systems: list[str] = []
        self._told: list[str] = []

    def run(self) -> list[Path]:
        """Fit all systems, show their scores if wanted, and return what was written."""
        for system in _SYSTEMS:
            # A system that this attempt lacks must not keep the predictions of an earlier one.
            remove_predictions(self._context.folder, system)
        self._add_simple()
        retriever = self._fit_retriever()
        self._add_retriever("retriever", retriever, keep=True)
        self._show()
        return self._written

    def _add_simple(self) -> None:
        from lawtags_client.tagging.baselines import MostFrequent, TfidfLogistic

        training, validation, testing = (
            self._questions[part] for part in ("training", "validation", "testing")
        )
        self._context.progress.update(0, None, "most frequent tags, TF-IDF")
        threads = self._context.recipe.retriever.threads
        tfidf = TfidfLogistic.fit(training, validation, n_jobs=threads)
        scores = tfidf.scores(testing)
        found = {
            "tfidf": tfidf.decision.all_tags(scores, tfidf.vocabulary),
            "most_frequent": MostFrequent.fit(training, validation).predict(testing),
        }
        for system, rows in found.items():
            # All of these systems choose among the tags of the vocabulary.
            self._add(
                system,
                [
                    prediction(number, question.id, tags, held=True)
                    for number, (question, tags) in enumerate(zip(testing, rows, strict=True))
                ],
            )
        self._keep_scores("tfidf", scores, tfidf.vocabulary)

    def _fit_retriever(self) -> Retriever:
        def on_words(retriever: Retriever) -> None:
            self._add_retriever("retriever_words", retriever, keep=False)
            # The first embedding of many rows takes minutes.
            self._show()

        return fit_retriever(self._context, self._questions["training"], self._embedder, on_words=on_words)

    def _add_retriever(self, system: str, retriever: Retriever, *, keep: bool) -> None:
        from lawtags_client.tagging.fitting import fit_tagger, refit_tagger
        from lawtags_client.tagging.storage import load_tagger, save_tagger

        recipe = self._context.recipe
        training, validation, testing = (
            self._questions[part] for part in ("training", "validation", "testing")
        )
        tagger = fit_tagger(
            retriever,
            training,
            validation,
            most=recipe.evaluation.max_tags,
            optimize=recipe.evaluation.optimize,
            abstain_below=recipe.evaluation.abstain_below,
            seed=recipe.training.seed,
        )
        if keep:
            folder = self._context.folder / FOLDER
            shutil.rmtree(folder, ignore_errors=True)
            save_tagger(tagger, folder)
            _keep_out_of_fold(retriever, folder / OUT_OF_FOLD)
            self._written += sorted(folder.iterdir())
            # The one that is kept is judged, not the one in memory.
            tagger = load_tagger(folder, embedder=self._embedder)
        # Like the tagger, it knows the validation rows once its threshold is chosen.
        tagger = refit_tagger(
            tagger, training, validation, seed=recipe.training.seed, n_jobs=recipe.retriever.threads
        )
        scores = tagger.scores(testing)
        given = tagger.tag_scored(scores, testing)
        self._add(
            system,
            [
                prediction(
                    number,
                    question.id,
                    tagged.tags,
                    scores=tagged.scores,
                    held=True,
                    abstained=tagged.abstained,
                )
                for number, (question, tagged) in enumerate(zip(testing, given, strict=True))
            ],
        )
        self._keep_scores(system, scores, tagger.vocabulary)

    def _add(self, system: str, rows: Sequence[Prediction]) -> None:
        self._written.append(write_predictions(self._context.folder, system, rows))
        self.systems.append(system)

    def _keep_scores(self, system: str, scores: Floats, vocabulary: Vocabulary) -> None:
        self._written.append(write_probabilities(self._context.folder, system, scores, vocabulary.tags))

    def _show(self) -> None:
        if not self._shown:
            return
        context = self._context
        truth = [frozenset(question.tags) for question in self._questions["testing"]]
        # Nothing is shown twice: the retriever with embeddings comes minutes after the others.
        fresh = [system for system in self.systems if system not in self._told]
        told = {system: read_predictions(context.folder, system) for system in fresh}
        more = "More" if self._told else "First"
        self._told += fresh
        context.progress.table(
            f"{more} results on {len(truth)} test rows, 95 % intervals",
            _HEADINGS,
            _figures(context, truth, told),
        )
        waiting = self._embedder is not None and "retriever" not in self.systems
        embedding = " The retriever with sentence embeddings follows." if waiting else ""
        context.progress.note(f"No language model is in this table yet.{embedding}")


def _figures(
    context: RunContext, truth: Sequence[frozenset[str]], told: Mapping[str, Sequence[frozenset[str]]]
) -> list[list[str]]:
    from lawtags_client.tagging.metrics import resample, score

    options = context.recipe.evaluation
    rows = []
    for system, tags in told.items():
        scores = score(truth, tags)
        found = resample(truth, tags, samples=options.bootstrap, seed=options.seed).intervals()["micro_f1"]
        figures = (scores.micro_f1, scores.macro_f1, scores.samples_f1)
        micro, macro, samples = (f"{value:.3f}" for value in figures)
        rows.append([system, micro, f"{found.low:.3f}-{found.high:.3f}", macro, samples])
    return sorted(rows, key=lambda row: row[1], reverse=True)


def _keep_out_of_fold(retriever: Retriever, path: Path) -> None:
    assert retriever.out_of_fold is not None
    assert retriever.out_of_fold_rows is not None
    write_arrays(path, {"scores": retriever.out_of_fold, "rows": retriever.out_of_fold_rows})


def _embeddings(chosen: EncoderChoice) -> str:
    if chosen.encoder is None:
        return f"without sentence embeddings: {chosen.reason}"
    return f"with sentence embeddings by {chosen.encoder.name} ({chosen.encoder.identity[:12]})"
