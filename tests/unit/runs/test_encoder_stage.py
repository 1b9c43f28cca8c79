"""The encoder stage: beside the platform's job, interrupted, switched off, and in the tagger."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_models import make_encoder

from lawtags_client.encoder import choice, tuning, tuning_loop
from lawtags_client.encoder.catalog import CatalogEntry
from lawtags_client.encoder.folder import named_folder
from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.files import sha256_file
from lawtags_client.runs.outputs import EncoderOutput
from lawtags_client.runs.predictions import predictions_path, read_prediction_rows
from lawtags_client.runs.probabilities import probabilities_path
from lawtags_client.runs.stage import RunContext, intact
from lawtags_client.runs.stages.baselines import encoder_of, questions_of
from lawtags_client.runs.stages.encoder import (
    FOLDER,
    TuneEncoder,
    _tune,
    final_files,
    load_tuned,
    tuned_files,
    tuning_beside,
)
from lawtags_client.tagging.embedding_signals import texts_of
from lawtags_client.tagging.fitting import fit_tagger, refit_tagger
from lawtags_client.tagging.mix import Tagger
from lawtags_client.tagging.retriever import Retriever
from lawtags_client.tagging.storage import ENCODER_FOLDER, load_tagger, save_tagger
from lawtags_client.tagging.vocabulary import Vocabulary

from .test_baselines import Shown, run_of


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("scipy")
    return make_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAWTAGS_CACHE_DIR", str(tmp_path / "cache"))


def context(folder: Path, encoder: Path, **options: object) -> RunContext:
    made = run_of(folder, Shown(), str(encoder))
    section = made.recipe.encoder.model_copy(update={"epochs": 2, "learning_rate": 1e-3, **options})
    made.recipe = made.recipe.model_copy(update={"encoder": section})
    return made


def notes(made: RunContext) -> str:
    assert isinstance(made.progress, Shown)
    return "\n".join(made.progress.notes)


def weights(made: RunContext) -> list[bytes]:
    return [path.read_bytes() for path in tuned_files(made.folder) if path.suffix == ".safetensors"]


async def until(found: Path) -> None:
    ends = time.monotonic() + 120
    while not found.exists():
        assert time.monotonic() < ends
        await asyncio.sleep(0.01)


async def test_the_stage_ends_alike_whether_or_not_it_began_beside_the_job(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = context(tmp_path / "whole", encoder)
    expected = await TuneEncoder().run(whole)
    assert intact(whole.folder, expected)
    assert expected.absent is None
    assert expected.summary["epochs"] == 2

    made = context(tmp_path / "beside", encoder)
    async with tuning_beside(made):
        # The job ends as soon as the first epoch is over.
        await until(made.folder / FOLDER / "checkpoint" / "state.safetensors")
    assert "encoder, beside the job: step" in notes(made)
    done = await TuneEncoder().run(made)
    assert weights(made) == weights(whole)
    rows = read_prediction_rows(made.folder, "encoder")
    assert rows == read_prediction_rows(whole.folder, "encoder")
    assert all(row.held and row.tags and row.scores for row in rows)

    # Done again, nothing is computed: the result is loaded.
    monkeypatch.setattr(tuning, "TuningLoop", None)
    assert (await TuneEncoder().run(made)).files == done.files


async def test_the_validation_rows_are_learned_once_they_have_chosen(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = context(tmp_path, encoder)
    steps: list[tuple[float, float | None]] = []
    monkeypatch.setattr(made.progress, "update", lambda done, total, text: steps.append((done, total)))
    made.outputs["encoder"] = await TuneEncoder().run(made)
    tuned = load_tuned(made, encoder_of(made).encoder)
    assert tuned is not None
    validation = questions_of(made)["validation"]
    vocabulary = Vocabulary.from_questions(questions_of(made)["training"])
    labels = vocabulary.labels([question.tags for question in validation])
    losses = [
        np.logaddexp(0, np.where(labels, -1, 1) * each.log_odds(texts_of(validation))).sum()
        for each in (tuned.selected, tuned.final)
    ]
    assert losses[1] < losses[0]
    assert tuned.final.record.epochs == 1
    # One bar for both, which ends where it should.
    done = [step for step, total in steps if total]
    assert done == sorted(done)
    assert steps[-1][0] == steps[-1][1]
    assert len({total for _, total in steps}) == 1


async def test_without_validation_rows_there_is_one_encoder(tmp_path: Path, encoder: Path) -> None:
    made = context(tmp_path, encoder, epochs=1)
    made.outputs["encoder"] = await TuneEncoder().run(made)
    assert len(tuned_files(made.folder)) == 4
    assert final_files(made.folder) == tuned_files(made.folder)[2:]

    questions = {**questions_of(made), "validation": []}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lawtags_client.runs.stages.encoder.questions_of", lambda context: questions)
        embedder = encoder_of(made).encoder
        assert embedder is not None
        tuned = _tune(made, embedder, threading.Event(), lambda done, total, text: None)
    assert tuned.final is tuned.selected
    assert final_files(made.folder) == tuned_files(made.folder)


async def test_a_sweep_does_not_go_on_with_the_rows_that_it_scores(tmp_path: Path, encoder: Path) -> None:
    made = context(tmp_path, encoder, epochs=1)
    learned = await TuneEncoder().run(made)
    assert TuneEncoder(refit=False).inputs(made) != TuneEncoder().inputs(made)
    made.outputs["encoder"] = done = await TuneEncoder(refit=False).run(made)
    assert set(done.files) < set(learned.files)
    tuned = load_tuned(made, encoder_of(made).encoder)
    assert tuned is not None
    assert tuned.final is tuned.selected


async def test_with_many_rows_there_is_one_encoder(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = context(tmp_path, encoder, epochs=1)
    rows = len(questions_of(made)["training"])
    monkeypatch.setattr(tuning_loop, "_MANY_ROWS", rows)
    done = await TuneEncoder().run(made)
    assert len(tuned_files(made.folder)) == 2
    # One row less than that is few: the result of the other way is not taken for this one.
    monkeypatch.setattr(tuning_loop, "_MANY_ROWS", rows + 1)
    assert set((await TuneEncoder().run(made)).files) > set(done.files)


async def test_the_encoder_abstains_where_the_recipe_says_so(tmp_path: Path, encoder: Path) -> None:
    made = context(tmp_path, encoder, epochs=1)
    never_sure = made.recipe.evaluation.model_copy(update={"abstain_below": 1.0})
    made.recipe = made.recipe.model_copy(update={"evaluation": never_sure})
    await TuneEncoder().run(made)
    assert all(row.abstained and not row.tags for row in read_prediction_rows(made.folder, "encoder"))


async def test_a_failed_job_keeps_what_the_encoder_has_reached(tmp_path: Path, encoder: Path) -> None:
    made = context(tmp_path, encoder)
    state = made.folder / FOLDER / "checkpoint" / "state.safetensors"
    with pytest.raises(DataError, match="the job failed"):
        async with tuning_beside(made):
            await until(state)
            raise DataError("the job failed")
    assert state.is_file() or all(path.is_file() for path in tuned_files(made.folder))
    assert (await TuneEncoder().run(made)).absent is None


async def test_an_error_in_the_tuning_does_not_cost_the_job(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = context(tmp_path, encoder)

    def broken(*args: object, **kwargs: object) -> None:
        raise DataError("the loss of the encoder is nan")

    monkeypatch.setattr("lawtags_client.runs.stages.encoder.tune_encoder", broken)
    async with tuning_beside(made):
        await asyncio.sleep(0)
    assert "could not be tuned beside the job: the loss of the encoder is nan" in notes(made)
    with pytest.raises(DataError, match="is nan"):
        await TuneEncoder().run(made)


@pytest.mark.parametrize("why", ["off", "no package"])
async def test_without_an_encoder_the_stage_says_why_and_leaves_no_old_predictions(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "off":
        made = context(tmp_path, encoder, tune="off")
    else:
        monkeypatch.setattr(choice, "package_folder", lambda: None)
        made = context(tmp_path, Path("auto"))
    for path in (predictions_path, probabilities_path):
        path(tmp_path, "encoder").write_text("of an earlier attempt\n")
    async with tuning_beside(made):
        pass
    done = await TuneEncoder().run(made)
    assert done.absent
    assert done.files == {}
    assert not predictions_path(tmp_path, "encoder").exists()
    assert not probabilities_path(tmp_path, "encoder").exists()
    assert ("encoder.tune: off" if why == "off" else "pip install") in notes(made)
    made.outputs["encoder"] = done
    assert load_tuned(made, encoder_of(made).encoder) is None


async def test_a_tagger_with_a_tuned_encoder_loads_as_it_was_saved(tmp_path: Path, encoder: Path) -> None:
    made = context(tmp_path / "run", encoder)
    made.outputs["encoder"] = await TuneEncoder().run(made)
    embedder = encoder_of(made).encoder
    questions = questions_of(made)
    training, testing = questions["training"], questions["testing"]
    retriever = Retriever.fit(training, Vocabulary.from_questions(training), embedder=embedder)
    tuned = load_tuned(made, embedder)
    assert tuned is not None
    tagger = fit_tagger(retriever, training, questions["validation"], encoder=tuned.selected)
    tagger = refit_tagger(tagger, training, questions["validation"], encoder=tuned.final)
    assert tagger.blend is not None
    assert tagger.blend.encoder is tuned.final

    folder = tmp_path / "tagger"
    save(made, tagger, folder)
    loaded = load_tagger(folder, embedder=embedder)
    assert np.array_equal(loaded.scores(testing), tagger.scores(testing))
    assert loaded.tag(testing) == tagger.tag(testing)
    assert loaded.report == tagger.report

    (folder / ENCODER_FOLDER / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"does not fit encoder.json, or is missing"):
        load_tagger(folder, embedder=embedder)
    other = context(tmp_path / "other", encoder, epochs=1)
    await TuneEncoder().run(other)
    save(other, tagger, folder)
    with pytest.raises(DataError, match=r"does not belong to tagger.json"):
        load_tagger(folder, embedder=embedder)
    assert embedder is not None
    stranger = replace(embedder.tuning_base, identity="f" * 64)
    with pytest.raises(ConfigurationError, match="was fitted with encoder"):
        load_tagger(folder, embedder=choice.Encoder(stranger))


async def test_a_large_encoder_embeds_and_the_small_one_of_the_package_is_tuned(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {path.name: sha256_file(path) for path in encoder.iterdir() if path.is_file()}
    large = CatalogEntry("large", (), files, 0, "Apache-2.0", "tests")
    shutil.copytree(encoder, large.folder)
    small = named_folder(make_encoder(tmp_path / "small", seed=1))
    monkeypatch.setattr(choice, "CATALOG", {"large": large})
    monkeypatch.setattr(choice, "package_folder", lambda: small)

    made = context(tmp_path / "run", Path("large"))
    made.outputs["encoder"] = await TuneEncoder().run(made)
    embedder = encoder_of(made).encoder
    assert embedder is not None
    assert (embedder.name, embedder.tuning_base) == ("large", small)
    tuned = load_tuned(made, embedder)
    questions = questions_of(made)
    training = questions["training"]
    retriever = Retriever.fit(training, Vocabulary.from_questions(training), embedder=embedder)
    assert tuned is not None
    tagger = fit_tagger(retriever, training, questions["validation"], encoder=tuned.selected)
    tagger = refit_tagger(tagger, training, questions["validation"], encoder=tuned.final)
    save(made, tagger, tmp_path / "tagger")
    # Nobody has to name the encoder: it is found by its identity.
    assert load_tagger(tmp_path / "tagger").tag(training[:5]) == tagger.tag(training[:5])


def save(made: RunContext, tagger: Tagger, folder: Path) -> None:
    save_tagger(tagger, folder)
    (folder / ENCODER_FOLDER).mkdir(exist_ok=True)
    for path in final_files(made.folder):
        (folder / ENCODER_FOLDER / path.name).write_bytes(path.read_bytes())


def test_the_output_of_the_stage_reads_as_it_was_written() -> None:
    made = EncoderOutput(absent="no package", summary={"tuned": "no"})
    assert EncoderOutput.from_json(made.as_json()) == made
