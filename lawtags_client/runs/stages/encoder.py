"""Encoder: tunes a small encoder to give tags, on this machine, and scores it as a system of its own.

It is tuned on the training rows. The validation rows choose the epoch and the threshold. Where there are few
rows, these are then learned as well, in one more epoch over both.
``tuning_beside`` does most of it while the platform's job runs: what it has reached is in the run's folder,
and the stage goes on from there.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.encoder.tuning import TuningOptions, TuningStoppedError, refit_encoder, tune_encoder
from lawtags_client.errors import LawtagsError
from lawtags_client.runs.outputs import CurateOutput, EncoderOutput
from lawtags_client.runs.predictions import prediction, remove_predictions, write_predictions
from lawtags_client.runs.probabilities import write_probabilities
from lawtags_client.runs.stage import RunContext, file_digests
from lawtags_client.runs.stages.baselines import encoder_of, questions_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lawtags_client.encoder.choice import Encoder
    from lawtags_client.encoder.tuned_encoder import TunedEncoder
    from lawtags_client.tagging.question import Question
    from lawtags_client.tagging.vocabulary import Vocabulary

FOLDER = "encoder"
"""The folder of the tuned encoder, in the folder of a run."""
SYSTEM = "encoder"
_FINAL = "final"


@dataclass(frozen=True, slots=True)
class TunedEncoders:
    """The tuned encoder of a run, before and after it has learned the validation rows.

    Args:
        selected: has not seen them: weights and thresholds are fitted on its scores.
        final: gives the tags; ``selected`` where there are many rows, or no validation rows.
    """

    selected: TunedEncoder
    final: TunedEncoder


class TuneEncoder:
    """Tunes the encoder, keeps the epoch that is best on the validation rows, and goes on with these.

    Args:
        refit: whether it goes on with them; a sweep scores them, and uses nothing else.
    """

    name = "encoder"
    version = 4
    leaves = EncoderOutput

    def __init__(self, *, refit: bool = True) -> None:
        self._refit = refit

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        encoder = encoder_of(context).encoder
        return {
            **({} if self._refit else {"refit": False}),
            "curation": context.left(CurateOutput).digest,
            "options": context.recipe.encoder.model_dump(),
            "encoder": None if encoder is None else encoder.tuning_base.identity,
            "seed": context.recipe.training.seed,
            "evaluation": context.recipe.evaluation.model_dump(
                include={"max_tags", "optimize", "abstain_below"}
            ),
        }

    async def run(self, context: RunContext) -> EncoderOutput:
        # A system that this attempt lacks must not keep the predictions of an earlier one.
        remove_predictions(context.folder, SYSTEM)
        encoder, reason = await asyncio.to_thread(tunable, context)
        if encoder is None:
            context.progress.note(f"no encoder is tuned: {reason}")
            return EncoderOutput(summary={"tuned": "no"}, absent=reason)
        stop = threading.Event()
        try:
            tuned = await asyncio.to_thread(
                _tune,
                context,
                encoder,
                stop,
                lambda done, total, text: _show(context, done, total, text),
                refit=self._refit,
            )
        finally:
            stop.set()
        written = await asyncio.to_thread(_predict, context, tuned)
        record = tuned.selected.record
        records = [record] if tuned.final is tuned.selected else [record, tuned.final.record]
        return EncoderOutput(
            files=file_digests(context.folder, [*tuned_files(context.folder), *written]),
            summary={
                "epochs": record.epochs,
                "kept epoch": record.best_epoch,
                "validation loss": round(min(record.validation_losses), 3)
                if record.validation_losses
                else None,
                "tuning CPU seconds": round(sum(each.seconds for each in records), 1),
            },
        )


@asynccontextmanager
async def tuning_beside(context: RunContext) -> AsyncIterator[None]:
    """Tune the encoder in a thread while the body waits for the platform.

    When the body ends, the tuning stops after its step, with a checkpoint; the stage resumes it. An error in
    the tuning is left to the stage, where it will come up again: it must not cost the platform's job.
    """
    stop = threading.Event()
    task = asyncio.create_task(asyncio.to_thread(_beside, context, stop))
    try:
        yield
    finally:
        stop.set()
        # Shielded, so that the thread is not left behind if this task is cancelled as well.
        await asyncio.shield(asyncio.wait([task]))
        if not task.cancelled():
            task.exception()


def _beside(context: RunContext, stop: threading.Event) -> None:
    told = 0

    def show(done: int, total: int, text: str) -> None:
        nonlocal told
        quarter = done * 4 // total
        if quarter > told:
            told = quarter
            context.progress.note(f"encoder, beside the job: step {done} of {total}, {text}")

    try:
        encoder, _ = tunable(context)
        if encoder is not None:
            _tune(context, encoder, stop, show)
    except TuningStoppedError:
        pass
    except LawtagsError as problem:
        context.progress.note(f"the encoder could not be tuned beside the job: {problem}")


def tunable(context: RunContext) -> tuple[Encoder | None, str]:
    """The encoder to tune, or why none is."""
    if context.recipe.encoder.tune == "off":
        return None, "the recipe turns it off (encoder.tune: off)"
    chosen = encoder_of(context)
    return chosen.encoder, chosen.reason


def tuned_files(folder: Path) -> list[Path]:
    """The files of the tuned encoder in a run's folder, before and after the validation rows."""
    first = folder / FOLDER
    return [path for each in dict.fromkeys((first, _final_folder(folder))) for path in _files(each)]


def final_files(folder: Path) -> list[Path]:
    """The files of the encoder that gives the tags, in a run's folder."""
    return _files(_final_folder(folder))


def _final_folder(folder: Path) -> Path:
    first = folder / FOLDER
    return first / _FINAL if (first / _FINAL).is_dir() else first


def _files(folder: Path) -> list[Path]:
    from lawtags_client.encoder.tuned_encoder import DOCUMENT, WEIGHTS

    return [folder / name for name in (DOCUMENT, WEIGHTS)]


def load_tuned(context: RunContext, encoder: Encoder | None) -> TunedEncoders | None:
    """The tuned encoder of a run; None if it has none.

    Args:
        context: the run.
        encoder: the one that it was tuned from.

    Raises:
        ConfigurationError: it was tuned from another encoder.
        DataError: a file is missing or damaged.
    """
    found = context.find(EncoderOutput)
    if encoder is None or found is None or found.absent is not None:
        return None
    selected, final = context.folder / FOLDER, _final_folder(context.folder)
    first = encoder.tuned(selected)
    return TunedEncoders(first, first if final == selected else encoder.tuned(final))


def _show(context: RunContext, done: int, total: int, text: str) -> None:
    context.progress.update(done, total, f"encoder, {text}")


def _tune(
    context: RunContext,
    encoder: Encoder,
    stop: threading.Event,
    on_progress: Callable[[int, int, str], None],
    *,
    refit: bool = True,
) -> TunedEncoders:
    from lawtags_client.tagging.embedding_signals import texts_of
    from lawtags_client.tagging.vocabulary import Vocabulary

    questions, folder = questions_of(context), context.folder / FOLDER
    training, validation = questions["training"], questions["validation"]
    vocabulary, options = Vocabulary.from_questions(training), _options(context)
    goes_on = refit and validation and options.refits(len(training))
    known = [*training, *validation] if goes_on else []
    steps, last = 0, -(-len(known) // options.batch_size)

    def first(done: int, total: int, text: str) -> None:
        nonlocal steps
        steps = total
        on_progress(done, total + last, text)

    selected = tune_encoder(
        encoder.tuning_base,
        texts_of(training),
        vocabulary.tags,
        _labels(training, vocabulary),
        validation_texts=texts_of(validation),
        validation_labels=_labels(validation, vocabulary),
        folder=folder,
        options=options,
        on_progress=first,
        stop=stop,
    )
    if not known:
        shutil.rmtree(folder / _FINAL, ignore_errors=True)
        return TunedEncoders(selected, selected)
    final = refit_encoder(
        selected,
        encoder.tuning_base,
        texts_of(known),
        _labels(known, vocabulary),
        folder=folder / _FINAL,
        options=options,
        on_progress=lambda done, total, text: on_progress(
            steps + done, steps + total, f"{text}, with the validation rows"
        ),
        stop=stop,
    )
    return TunedEncoders(selected, final)


def _options(context: RunContext) -> TuningOptions:
    options = context.recipe.encoder
    return TuningOptions(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        head_learning_rate=options.head_learning_rate,
        max_tokens=options.max_tokens,
        seed=context.recipe.training.seed,
        threads=context.recipe.retriever.threads,
    )


def _labels(questions: Sequence[Question], vocabulary: Vocabulary) -> NDArray[np.uint8]:
    return vocabulary.labels([question.tags for question in questions]).astype("uint8")


def _predict(context: RunContext, tuned: TunedEncoders) -> list[Path]:
    from lawtags_client.tagging.calibration import fit_platt
    from lawtags_client.tagging.decision import tune_on_few_rows
    from lawtags_client.tagging.embedding_signals import texts_of
    from lawtags_client.tagging.logistic import sigmoid
    from lawtags_client.tagging.scores import named_scores
    from lawtags_client.tagging.vocabulary import Vocabulary

    questions = questions_of(context)
    vocabulary = Vocabulary.from_questions(questions["training"])
    validation, testing = questions["validation"], questions["testing"]
    known = tuned.selected.log_odds(texts_of(validation))
    # The tuning stops early, which leaves probabilities too low.
    offset, slope = fit_platt(known, _labels(validation, vocabulary))
    decision = tune_on_few_rows(
        sigmoid(offset + slope * known),
        [question.tags for question in validation],
        vocabulary,
        most=context.recipe.evaluation.max_tags,
        optimize=context.recipe.evaluation.optimize,
        abstain_below=context.recipe.evaluation.abstain_below,
        seed=context.recipe.training.seed,
    )
    scores = sigmoid(offset + slope * tuned.final.log_odds(texts_of(testing)))
    rows = [
        prediction(
            number,
            question.id,
            decision.tags(row, vocabulary),
            scores=named_scores(row, vocabulary),
            held=True,
            abstained=decision.abstains(row),
        )
        for number, (question, row) in enumerate(zip(testing, scores, strict=True))
    ]
    return [
        write_predictions(context.folder, SYSTEM, rows),
        write_probabilities(context.folder, SYSTEM, scores, vocabulary.tags),
    ]
