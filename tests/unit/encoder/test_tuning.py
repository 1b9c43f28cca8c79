"""Tuning: learns, is deterministic, survives interruptions, and loads nothing that does not fit."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from numpy.typing import NDArray

from lawtags_client.encoder.folder import EncoderFolder
from lawtags_client.encoder.tuned_encoder import TunedEncoder, load_tuned_encoder
from lawtags_client.encoder.tuning import TuningOptions, TuningStoppedError, refit_encoder, tune_encoder
from lawtags_client.errors import ConfigurationError, DataError

TAGS = ["lease", "tax", "copyright"]
WORDS = {"lease": "rent landlord", "tax": "income deduction", "copyright": "photo author"}
OPTIONS = TuningOptions(epochs=6, batch_size=4, learning_rate=3e-3, head_learning_rate=5e-2, threads=1)


def rows(count: int, seed: int) -> tuple[list[str], NDArray[np.uint8]]:
    generator = np.random.default_rng(seed)
    labels = np.zeros((count, len(TAGS)), dtype=np.uint8)
    texts = []
    for row in range(count):
        chosen = generator.choice(len(TAGS), generator.integers(1, 3), replace=False)
        labels[row, chosen] = 1
        texts.append(" ".join(WORDS[TAGS[place]] for place in chosen) + " question" * (row % 5))
    return texts, labels


TEXTS, LABELS = rows(24, 0)
HELD, HELD_LABELS = rows(9, 1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> EncoderFolder:
    return EncoderFolder(tiny_models.make_encoder(tmp_path_factory.mktemp("encoder")), "tiny", "0" * 64)


def tune(
    base: EncoderFolder,
    folder: Path,
    options: TuningOptions = OPTIONS,
    *,
    stop: threading.Event | None = None,
    on_progress: Callable[[int, int, str], None] = lambda done, total, text: None,
    labels: NDArray[np.uint8] = LABELS,
    held: int = len(HELD),
) -> TunedEncoder:
    return tune_encoder(
        base,
        TEXTS,
        TAGS,
        labels,
        validation_texts=HELD[:held],
        validation_labels=HELD_LABELS[:held],
        folder=folder,
        options=options,
        on_progress=on_progress,
        stop=stop,
    )


@pytest.fixture(scope="module")
def whole(base: EncoderFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    tune(base, folder)
    return folder


def test_it_learns_the_tags(base: EncoderFolder, whole: Path) -> None:
    tuned = load_tuned_encoder(whole, base)
    assert tuned.tags == tuple(TAGS)
    losses = tuned.record.validation_losses
    assert min(losses) == losses[tuned.record.best_epoch - 1] < losses[0]
    found = tuned.log_odds(HELD)
    assert found.shape == HELD_LABELS.shape
    given, absent = found[HELD_LABELS == 1], found[HELD_LABELS == 0]
    assert given.mean() > absent.mean() + 1


def test_scores_do_not_depend_on_the_batch(base: EncoderFolder, whole: Path) -> None:
    tuned = load_tuned_encoder(whole, base)
    alone = np.concatenate([tuned.log_odds([text]) for text in HELD])
    assert np.abs(alone - tuned.log_odds(HELD)).max() < 1e-4
    assert tuned.log_odds([]).shape == (0, len(TAGS))


@pytest.mark.parametrize("steps", [1, 5, 6, 17])
def test_an_interrupted_tuning_ends_with_the_same_weights(
    base: EncoderFolder, whole: Path, tmp_path: Path, steps: int
) -> None:
    """Stopped again and again, before, at and after the end of an epoch of six steps."""
    seen: list[int] = []
    stops = 0
    while True:
        stop = threading.Event()
        begun = len(seen)

        def progress(
            done: int, total: int, text: str, stop: threading.Event = stop, begun: int = begun
        ) -> None:
            seen.append(done)
            if len(seen) - begun == steps:
                stop.set()

        try:
            tuned = tune(base, tmp_path, stop=stop, on_progress=progress)
            break
        except TuningStoppedError:
            stops += 1
    assert stops
    assert seen == list(range(1, len(seen) + 1)), "no step is done twice"
    assert (tmp_path / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert tuned.record.validation_losses == load_tuned_encoder(whole, base).record.validation_losses
    assert not (tmp_path / "checkpoint").exists()


def test_a_kill_loses_only_what_came_after_the_checkpoint(
    base: EncoderFolder, whole: Path, tmp_path: Path
) -> None:
    class Killed(Exception):
        pass

    def die(done: int, total: int, text: str) -> None:
        if done == 9:
            raise Killed

    with pytest.raises(Killed):
        tune(base, tmp_path, on_progress=die)
    again: list[int] = []
    tune(base, tmp_path, on_progress=lambda done, total, text: again.append(done))
    assert again[0] == 7, "from the end of the first epoch, which has six steps"
    assert (tmp_path / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_finished_tuning_is_only_loaded(base: EncoderFolder, whole: Path) -> None:
    seen: list[int] = []
    before = (whole / "model.safetensors").stat().st_mtime_ns
    tuned = tune(base, whole, replace(OPTIONS, threads=2), on_progress=lambda done, *_: seen.append(done))
    assert not seen
    assert tuned.identity == load_tuned_encoder(whole, base).identity
    assert (whole / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["cut", "other seed", "other labels", "not a checkpoint", "no best"])
def test_a_checkpoint_that_does_not_fit_is_not_resumed_from(
    base: EncoderFolder, tmp_path: Path, damage: str
) -> None:
    def stopped(done: int, total: int, text: str) -> None:
        if done == 8:
            stop.set()

    stop = threading.Event()
    with pytest.raises(TuningStoppedError):
        tune(base, tmp_path, stop=stop, on_progress=stopped)
    state, options, labels = tmp_path / "checkpoint" / "state.safetensors", OPTIONS, LABELS
    if damage == "cut":
        state.write_bytes(state.read_bytes()[:-100])
    elif damage == "not a checkpoint":
        state.write_bytes(b"\x80\x04.")
    elif damage == "no best":
        (tmp_path / "checkpoint" / "best.safetensors").unlink()
    elif damage == "other seed":
        options = replace(options, seed=1)
    else:
        labels = 1 - labels
    seen: list[int] = []
    tune(base, tmp_path, options, labels=labels, on_progress=lambda done, *_: seen.append(done))
    assert seen[0] == 1


def test_without_validation_rows_all_epochs_count(base: EncoderFolder, tmp_path: Path) -> None:
    tuned = tune(base, tmp_path, replace(OPTIONS, epochs=2), held=0)
    assert (tuned.record.epochs, tuned.record.best_epoch) == (2, 2)
    assert tuned.record.validation_losses == ()


def test_more_rows_are_learned_by_going_on(base: EncoderFolder, whole: Path, tmp_path: Path) -> None:
    tuned = load_tuned_encoder(whole, base)
    before = tuned.log_odds(HELD)
    texts, labels = [*TEXTS, *HELD], np.concatenate([LABELS, HELD_LABELS])

    def refit(folder: Path, stop: threading.Event | None = None, last: int = 0) -> TunedEncoder:
        def progress(done: int, total: int, text: str) -> None:
            assert total == 9
            if stop is not None and done == last:
                stop.set()

        return refit_encoder(
            tuned, base, texts, labels, folder=folder, options=OPTIONS, on_progress=progress, stop=stop
        )

    found = refit(tmp_path / "once")
    assert (found.record.epochs, found.record.validation_losses) == (1, ())
    signs = np.where(HELD_LABELS == 1, -1, 1)
    loss = [np.logaddexp(0, signs * log_odds).sum() for log_odds in (before, found.log_odds(HELD))]
    assert loss[1] < loss[0]
    assert np.array_equal(tuned.log_odds(HELD), before), "the encoder that it goes on from stays as it is"
    # Stopped and resumed, it ends alike; asked again, it is loaded.
    with pytest.raises(TuningStoppedError):
        refit(tmp_path / "twice", threading.Event(), 4)
    assert refit(tmp_path / "twice").identity == found.identity
    assert refit(tmp_path / "once", threading.Event(), 1).identity == found.identity


def test_it_stops_early_and_keeps_the_best_epoch(base: EncoderFolder, tmp_path: Path) -> None:
    wild = replace(OPTIONS, epochs=30, learning_rate=0.5, head_learning_rate=3.0)
    record = tune(base, tmp_path, wild).record
    assert record.epochs < 30
    assert record.epochs - record.best_epoch == wild.patience
    assert record.validation_losses[record.best_epoch - 1] == min(record.validation_losses)


def test_what_does_not_fit_is_refused(base: EncoderFolder, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="was tuned from encoder 00000000"):
        load_tuned_encoder(whole, replace(base, identity="1" * 64))
    with pytest.raises(DataError, match="cannot be read"):
        load_tuned_encoder(tmp_path, base)
    document = json.loads((whole / "encoder.json").read_text())
    weights = (whole / "model.safetensors").read_bytes()
    wrong = [
        ({**document, "tags": ["a", "a", "b"]}, weights),
        ({**document, "tags": document["tags"][:2]}, weights),
        ({**document, "kind": "other"}, weights),
        ({**document, "max_tokens": True}, weights),
        ({**document, "record": None}, weights),
        (document, weights[:-8]),
        ([], weights),
    ]
    for number, (said, data) in enumerate(wrong):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "encoder.json").write_text(json.dumps(said))
        (folder / "model.safetensors").write_bytes(data)
        with pytest.raises(DataError):
            load_tuned_encoder(folder, base)


@pytest.mark.parametrize(("texts", "tags"), [([], TAGS), (["a"], []), (["a"], TAGS)])
def test_labels_of_another_shape_are_refused(
    base: EncoderFolder, tmp_path: Path, texts: list[str], tags: list[str]
) -> None:
    with pytest.raises(DataError, match="labels of shape"):
        tune_encoder(
            base,
            texts,
            tags,
            LABELS,
            validation_texts=[],
            validation_labels=LABELS[:0],
            folder=tmp_path,
        )
