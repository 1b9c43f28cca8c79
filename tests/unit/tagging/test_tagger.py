"""The mix uses a model's evidence, falls back to the retriever openly, and survives storage."""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.tagging import (
    FirstTokenMap,
    PromptStyle,
    Question,
    Retriever,
    Tagger,
    Vocabulary,
    fit_tagger,
)
from lawtags_client.tagging.fitting import FEWEST_ROWS
from lawtags_client.tagging.metrics import score
from lawtags_client.tagging.storage import load_tagger, save_tagger
from lawtags_client.tagging.tagger_files import document_digest

from .conftest import made_up_first_tokens, made_up_questions


def evidence(questions: list[Question], vocabulary: Vocabulary) -> list[dict[str, float]]:
    return [made_up_first_tokens(question, vocabulary, 5) for question in questions]


def micro(true: list[Question], tagger: Tagger, lm: Any = None) -> float:
    return score([q.tags for q in true], [item.tags for item in tagger.tag(true, lm)]).micro_f1


@pytest.fixture(scope="module")
def tagger(retriever, train, validation) -> Tagger:
    return fit_tagger(retriever, train, validation, evidence(validation, retriever.vocabulary))


def test_the_longest_observed_prefix_owns_a_tag() -> None:
    vocabulary = Vocabulary(("united-states", "united-kingdom", "us", "uber", "tax"), (6, 2, 1, 1, 1), 10)
    tokens = FirstTokenMap.fit(
        [{" united": -0.1, " u": -3.0}, {"\u0120us": -1.0, " ": -2.0, "Tax": -2.0}], vocabulary
    )
    assert tokens.owners == ("united", "united", "us", "u", None)
    found = np.exp(tokens.log_probabilities({" united": math.log(0.8), "us": math.log(0.1)}))
    assert found.sum() == pytest.approx(1)
    assert found[0] == pytest.approx(3 * found[1])
    assert found[0] + found[1] == pytest.approx(8 * found[2])
    assert found[3] <= found[2]


def test_odd_distributions_are_read() -> None:
    vocabulary = Vocabulary(("aa", "bb"), (1, 1), 2)
    tokens = FirstTokenMap.fit([{"aa": -1.0, "bb": -1.0}], vocabulary)
    for row in ({}, {"aa": -math.inf}, {"aa": math.nan}, {"aa": 0.5}, {"": -1.0}, {"zz": -0.1}):
        found = tokens.log_probabilities(row)
        assert np.isfinite(found).all()
        assert np.exp(found).sum() == pytest.approx(1)
        assert np.abs(tokens.evidence(row)).max() <= 8


def test_a_good_model_makes_the_tagger_better_than_the_retriever(tagger, test_rows) -> None:
    mixed = micro(test_rows, tagger, evidence(test_rows, tagger.retriever.vocabulary))
    assert mixed > micro(test_rows, tagger) + 0.01
    assert tagger.mix is not None
    assert tagger.mix.weights[2] > 0.2


def test_a_useless_model_does_little_harm(retriever, train, validation, test_rows) -> None:
    vocabulary = retriever.vocabulary
    generator = np.random.default_rng(0)

    def noise(count: int) -> list[dict[str, float]]:
        return [{f" {tag[:6]}": float(generator.normal(-4, 1)) for tag in vocabulary} for _ in range(count)]

    fitted = fit_tagger(retriever, train, validation, noise(len(validation)))
    assert micro(test_rows, fitted, noise(len(test_rows))) > micro(test_rows, fitted) - 0.03


def test_without_a_model_the_retriever_speaks_with_its_own_threshold(
    tagger, retriever, train, validation
) -> None:
    alone = fit_tagger(retriever, train, validation)
    assert alone.mix is None
    assert alone.threshold == alone.retriever_decision.threshold == tagger.retriever_decision.threshold
    assert [item.tags for item in alone.tag(validation)] == [item.tags for item in tagger.tag(validation)]
    assert not any(item.with_model for item in tagger.tag(validation))
    assert alone.report.tagger_micro_f1 is None
    few: list[Any] = [None] * len(validation)
    few[: FEWEST_ROWS - 1] = evidence(validation[: FEWEST_ROWS - 1], retriever.vocabulary)
    assert fit_tagger(retriever, train, validation, few).mix is None


def test_rows_without_evidence_fall_back_one_by_one(tagger, test_rows) -> None:
    lm: list[Any] = evidence(test_rows, tagger.retriever.vocabulary)
    lm[3] = None
    lm[4] = {}
    tagged, alone = tagger.tag(test_rows, lm), tagger.tag(test_rows)
    assert [item.with_model for item in tagged[:6]] == [True, True, True, False, False, True]
    assert tagged[3] == alone[3]
    assert np.array_equal(tagger.scores(test_rows, lm)[4], tagger.scores(test_rows)[4])


def test_scores_name_the_best_tags_in_order(tagger, test_rows) -> None:
    lm = evidence(test_rows, tagger.retriever.vocabulary)
    for item in tagger.tag(test_rows, lm, best=7):
        assert len(item.scores) == 7
        assert list(item.scores.values()) == sorted(item.scores.values(), reverse=True)
        assert tuple(item.scores)[: len(item.tags)] == item.tags
        assert 1 <= len(item.tags) <= 5


def test_wrong_input_to_the_fit_is_refused(tmp_path: Path, retriever, tagger, train, validation) -> None:
    with pytest.raises(DataError):
        fit_tagger(retriever, train, [])
    with pytest.raises(DataError):
        fit_tagger(retriever, train, validation, [None])
    with pytest.raises(ConfigurationError):
        fit_tagger(retriever, train[:10], validation)
    save_tagger(tagger, tmp_path)
    with pytest.raises(ConfigurationError):
        fit_tagger(load_tagger(tmp_path).retriever, train, validation)


def test_the_tagger_makes_the_prompt_of_its_style(retriever, train, validation) -> None:
    fitted = fit_tagger(retriever, train, validation, style=PromptStyle(task="Tag it.", shortlist=2))
    text = fitted.prompt(Question(id="1", title="Rent of a tenant", body="Long body")).text
    assert text.startswith(
        "Tag it.\nTitle: Rent of a tenant\nQuestion: Long body\nCandidate tags: landlord-law, "
    )
    assert text.endswith("\nTags:")


def test_a_loaded_tagger_scores_as_the_saved_one(
    tmp_path: Path, tagger, retriever, train, validation, test_rows
) -> None:
    for number, saved in enumerate((tagger, fit_tagger(retriever, train, validation))):
        folder = tmp_path / str(number)
        save_tagger(saved, folder)
        loaded = load_tagger(folder)
        lm = evidence(test_rows, retriever.vocabulary) if saved.mix else None
        assert np.abs(loaded.scores(test_rows, lm) - saved.scores(test_rows, lm)).max() < 1e-6
        assert loaded.tag(test_rows, lm) == saved.tag(test_rows, lm)
        assert (loaded.style, loaded.report, loaded.threshold) == (saved.style, saved.report, saved.threshold)
        assert loaded.retriever.vocabulary == saved.retriever.vocabulary
        save_tagger(loaded, folder / "again")
        for name in ("tagger.json", "tagger.npz"):
            assert (folder / "again" / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("optimize", ["samples", "macro"])
def test_a_tagger_with_other_decisions_is_equal_once_loaded(
    tmp_path: Path, retriever, train, validation, test_rows, optimize: Any
) -> None:
    lm = evidence(test_rows, retriever.vocabulary)
    given = evidence(validation, retriever.vocabulary)
    options = {"optimize": optimize, "least": 0, "most": 3}
    always = fit_tagger(retriever, train, validation, given, **options)
    # So that some rows get tags and others do not.
    bound = float(np.median(always.scores(test_rows, lm).max(axis=1)))
    saved = fit_tagger(retriever, train, validation, given, **options, abstain_below=bound)
    save_tagger(saved, tmp_path)
    loaded = load_tagger(tmp_path)
    assert loaded.retriever_decision == saved.retriever_decision
    assert loaded.mix is not None
    assert saved.mix is not None
    assert loaded.mix.decision == saved.mix.decision
    assert (loaded.mix.decision.thresholds is None) is (optimize == "samples")
    tagged = loaded.tag(test_rows, lm)
    assert tagged == saved.tag(test_rows, lm)
    assert 0 < sum(one.abstained for one in tagged) < len(tagged)
    assert all(one.tags == () for one in tagged if one.abstained)
    for one, other in zip(tagged, always.tag(test_rows, lm), strict=True):
        assert one.abstained or one.tags == other.tags


def test_every_run_saves_the_same_bytes(tmp_path: Path, train, validation) -> None:
    vocabulary = Vocabulary.from_questions(train)
    for folder in (tmp_path / "1", tmp_path / "2"):
        fitted = Retriever.fit(train, vocabulary, seed=2)
        save_tagger(fit_tagger(fitted, train, validation, evidence(validation, vocabulary)), folder)
    for name in ("tagger.json", "tagger.npz"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_a_tagger_of_an_earlier_release_scores_as_it_did() -> None:
    # Written by the release before scikit-learn counted the n-grams.
    folder = Path(__file__).parent / "earlier_tagger"
    questions = made_up_questions(6, seed=13)
    tagger = load_tagger(folder)
    scores = tagger.scores(questions, evidence(questions, tagger.vocabulary))
    assert scores == pytest.approx(np.asarray(json.loads((folder / "scores.json").read_text())), abs=1e-6)


def forge(folder: Path, change: Any) -> None:
    """Change ``tagger.json`` and give it a digest that fits."""
    path = folder / "tagger.json"
    document = json.loads(path.read_text())
    change(document)
    document["digest"] = document_digest(document)
    path.write_text(json.dumps(document))


def set_at(*keys: str | int, value: Any) -> Any:
    def change(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        set_at("schema_version", value=2),
        set_at("kind", value="something"),
        set_at("extra", value=1),
        set_at("vocabulary", "tags", value=["a"]),
        set_at("vocabulary", value=None),
        set_at("retriever", "weights", value={}),
        set_at("retriever", "options", value={"unknown": 1}),
        set_at("decision", value={"threshold": 0.5, "least": 9, "most": 1}),
        set_at("decision", "thresholds", value=[0.5]),
        set_at("decision", "abstain_below", value=2),
        set_at("mix", "decision", "thresholds", value=["high"]),
        set_at("mix", "tokens", value=["a"]),
        set_at("style", "order", value="best"),
        set_at("arrays", "members", "duals", "shape", value=[10**9, 10**9]),
        set_at("arrays", "members", "duals", "dtype", value="|O"),
        set_at("arrays", "members", value={}),
        set_at("style", "task", value=1),
        set_at("style", "separator", value=None),
        set_at("style", "shortlist", value=1e308),
        set_at("vocabulary", "tags", 0, value=1),
        set_at("vocabulary", "counts", 0, value=-1),
        set_at("vocabulary", "counts", 0, value="x"),
        set_at("vocabulary", "rows", value=None),
        set_at("vocabulary", "rows", value=2**70),
        set_at("retriever", "options", "neighbours", value="x"),
        set_at("retriever", "options", "neighbours", value=0),
        set_at("retriever", "options", "neighbours", value=10**9),
        set_at("retriever", "word_weight", value=1e300),
        set_at("retriever", "weights", "lr", value=1e300),
        set_at("decision", value="x"),
        set_at("mix", "decision", value=None),
        set_at("mix", "decision", "threshold", value=None),
        set_at("blend", value={"weights": {}, "decision": {}, "encoder": "x"}),
    ],
)
def test_a_forged_description_is_refused(tmp_path: Path, tagger, change: Any) -> None:
    save_tagger(tagger, tmp_path)
    forge(tmp_path, change)
    with pytest.raises(DataError):
        load_tagger(tmp_path)


@pytest.mark.parametrize("name", ["tagger.json", "tagger.npz"])
def test_damaged_and_missing_files_are_refused(tmp_path: Path, tagger, name: str) -> None:
    save_tagger(tagger, tmp_path)
    path = tmp_path / name
    whole = path.read_bytes()
    for damaged in (
        b"",
        whole[: len(whole) // 2],
        whole[:200] + b"9" + whole[201:] + b" ",
        b"[]",
        b"\xff\xfe",
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataError):
            load_tagger(tmp_path)
    path.unlink()
    with pytest.raises(DataError) as caught:
        load_tagger(tmp_path)
    assert name in str(caught.value)


def replace_arrays(folder: Path, change: Any) -> None:
    """Change ``tagger.npz`` and make both digests fit."""
    path = folder / "tagger.npz"
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    change(arrays)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_arrays(folder, buffer.getvalue())


def write_arrays(folder: Path, data: bytes) -> None:
    (folder / "tagger.npz").write_bytes(data)
    forge(folder, set_at("arrays", "sha256", value=hashlib.sha256(data).hexdigest()))


def test_arrays_that_lie_are_refused(tmp_path: Path, tagger) -> None:
    def put(name: str, value: Any) -> Any:
        return lambda arrays: arrays.update({name: value(arrays[name])})

    changes = [
        put("duals", lambda array: array[:, 1:]),
        put("duals", lambda array: np.where(array > 0, np.inf, array).astype(np.float16)),
        put("row_tags", lambda array: array + 1000),
        put("words_gaps", lambda array: array + 10_000),
        put("words_starts", lambda array: array[::-1].copy()),
        put("row_starts", lambda array: array * 0),
        put("words_counts", lambda array: array * 0),
        put("words_terms", lambda array: array * 0 + 10),
        put("offsets", lambda array: array.astype(object)),
        lambda arrays: arrays.pop("offsets"),
        lambda arrays: arrays.update(more=np.zeros(1)),
    ]
    for change in changes:
        save_tagger(tagger, tmp_path)
        replace_arrays(tmp_path, change)
        with pytest.raises(DataError):
            load_tagger(tmp_path)


def test_an_array_longer_than_its_header_is_refused(tmp_path: Path, tagger) -> None:
    save_tagger(tagger, tmp_path)
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(tmp_path / "tagger.npz") as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.infolist():
            content = old.read(entry.filename)
            new.writestr(
                entry.filename, content + (b"\0" * 5_000_000 if entry.filename == "duals.npy" else b"")
            )
    write_arrays(tmp_path, buffer.getvalue())
    with pytest.raises(DataError):
        load_tagger(tmp_path)
