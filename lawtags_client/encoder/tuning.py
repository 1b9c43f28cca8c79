"""Tune an encoder to give tags: a class head on its vectors, and all of its layers.

Binary cross-entropy with AdamW, a short warm-up and a cosine decay. The head begins at the tags' names and
at their frequency, so that the first step already starts from a sensible guess (the label-name
initialization of zero-shot classifiers). ``refit_encoder`` then goes on with the validation rows, which are
not needed anymore. ``docs/quality.md`` has what was tried.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.encoder.folder import EncoderFolder
from lawtags_client.encoder.tuned_encoder import (
    DOCUMENT,
    TunedEncoder,
    load_tuned_encoder,
    save_tuned_encoder,
)
from lawtags_client.encoder.tuning_loop import (
    Progress,
    TuningData,
    TuningLoop,
    TuningOptions,
    TuningStoppedError,
)
from lawtags_client.errors import DataError
from lawtags_client.files import atomic_write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["TuningOptions", "TuningStoppedError", "refit_encoder", "tune_encoder"]

# Of the rates of the tuning, where it goes on with more rows.
_REFIT_RATE = 0.3


def tune_encoder(
    base: EncoderFolder,
    texts: Sequence[str],
    tags: Sequence[str],
    labels: NDArray[np.uint8],
    *,
    validation_texts: Sequence[str],
    validation_labels: NDArray[np.uint8],
    folder: Path,
    options: TuningOptions | None = None,
    on_progress: Progress = lambda done, total, text: None,
    stop: threading.Event | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> TunedEncoder:
    """Tune an encoder on labeled texts; called again with the same arguments, it resumes.

    The same arguments give the same weights, however often the tuning is interrupted. On cores that other
    processes use, too, set ``OMP_WAIT_POLICY=PASSIVE`` before torch is imported, as ``lawtags`` does: it
    halves the CPU time.

    Args:
        base: the encoder to start from.
        texts: the training rows.
        tags: one for each column of the labels.
        labels: 1 where a row has a tag, rows by tags.
        validation_texts: rows that choose the epoch whose weights are kept; may be empty.
        validation_labels: of these rows.
        folder: receives checkpoints and the result; what belongs to other arguments is removed.
        options: how to tune.
        on_progress: called with the steps done, those of all epochs, and the losses in words.
        stop: set from another thread to stop after the current step.
        clock: seconds, for the checkpoints.

    Raises:
        DataError: there are no rows or no tags, or the loss is not finite.
        MissingExtraError: torch, transformers or tokenizers is not installed.
        TuningStoppedError: ``stop`` was set.
    """
    options = options or TuningOptions()
    data = TuningData(base, texts, tags, labels, validation_texts, validation_labels)
    return _tuned(data, options, folder, on_progress, stop, clock)


def refit_encoder(
    tuned: TunedEncoder,
    base: EncoderFolder,
    texts: Sequence[str],
    labels: NDArray[np.uint8],
    *,
    folder: Path,
    options: TuningOptions | None = None,
    on_progress: Progress = lambda done, total, text: None,
    stop: threading.Event | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> TunedEncoder:
    """Go on with a tuned encoder for one epoch at lower rates; called again alike, it resumes.

    It is meant for the training and validation rows together, once the validation rows have chosen the epoch,
    the weights of the blend and all thresholds.

    Args:
        tuned: the encoder to go on with; it stays as it is.
        base: what it was tuned from.
        texts: the rows.
        labels: 1 where a row has a tag, rows by the tags of ``tuned``.
        folder: receives checkpoints and the result; another one than that of ``tuned``.
        options: those of the tuning; their number of epochs does not count.
        on_progress: called with the steps done, those of the epoch, and the loss in words.
        stop: set from another thread to stop after the current step.
        clock: seconds, for the checkpoints.

    Raises:
        DataError: there are no rows, or the loss is not finite.
        MissingExtraError: torch, transformers or tokenizers is not installed.
        TuningStoppedError: ``stop`` was set.
    """
    options = options or TuningOptions()
    options = replace(
        options,
        epochs=1,
        learning_rate=_REFIT_RATE * options.learning_rate,
        head_learning_rate=_REFIT_RATE * options.head_learning_rate,
    )
    data = TuningData(base, texts, tuned.tags, labels, (), labels[:0], start=tuned)
    return _tuned(data, options, folder, on_progress, stop, clock)


def _tuned(
    data: TuningData,
    options: TuningOptions,
    folder: Path,
    on_progress: Progress,
    stop: threading.Event | None,
    clock: Callable[[], float],
) -> TunedEncoder:
    digest = _digest(data, options)
    done = _finished(folder, digest, data.base, options)
    if done is not None:
        return done
    work = folder / "checkpoint"
    training = TuningLoop(data, options, digest, work, on_progress, stop or threading.Event(), clock)
    head, record = training.run()
    save_tuned_encoder(head, data.base, options.max_tokens, record, folder)
    atomic_write_json(folder / "inputs.json", {"digest": digest})
    shutil.rmtree(work, ignore_errors=True)
    return load_tuned_encoder(folder, data.base, threads=options.threads)


def _digest(data: TuningData, options: TuningOptions) -> str:
    """The hash by which a checkpoint is recognised as one of the same training."""
    chosen = asdict(options)
    del chosen["threads"], chosen["checkpoint_seconds"]
    begun = [data.base.identity] if data.start is None else [data.base.identity, data.start.identity]
    found = hashlib.sha256(json.dumps([*begun, chosen, list(data.tags)]).encode())
    parts = (data.texts, data.labels), (data.validation_texts, data.validation_labels)
    for texts, labels in parts:
        found.update(json.dumps([list(texts), list(labels.shape)]).encode())
        found.update(labels.astype("uint8").tobytes())
    return found.hexdigest()


def _finished(folder: Path, digest: str, base: EncoderFolder, options: TuningOptions) -> TunedEncoder | None:
    try:
        if json.loads((folder / "inputs.json").read_bytes())["digest"] == digest:
            return load_tuned_encoder(folder, base, threads=options.threads)
    except (OSError, ValueError, KeyError, TypeError, DataError):
        pass  # nothing is there yet, or nothing that could be used
    # So that a reader never takes the result of other arguments for this one.
    for name in (DOCUMENT, "inputs.json"):
        (folder / name).unlink(missing_ok=True)
    return None
