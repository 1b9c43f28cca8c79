"""Embeddings add what words do not show, and a tagger that uses them survives storage."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models

from lawtags_client.encoder import choice
from lawtags_client.encoder.choice import choose_encoder
from lawtags_client.errors import ConfigurationError, DataError, MissingExtraError
from lawtags_client.tagging import Question, Retriever, Tagger, Vocabulary, fit_tagger
from lawtags_client.tagging.embedding_signals import EMBEDDED, fit_signals
from lawtags_client.tagging.metrics import score
from lawtags_client.tagging.stack import ADDED_COLUMNS, ADDED_EMBEDDED, EMBEDDED_STACK, STACK
from lawtags_client.tagging.storage import load_tagger, save_tagger

from .test_tagger import forge, replace_arrays, set_at

# Words of one meaning and no letters in common: no n-gram leads from one to the other.
MEANINGS = {
    "landlord-law": ["tenant", "rent", "lease", "flat", "eviction", "deposit", "mietvertrag", "kaution"],
    "tax": ["levy", "revenue", "duty", "excise", "vat", "assessment", "finanzamt", "steuer"],
    "copyright": ["song", "author", "film", "piracy", "melody", "novel", "urheber", "werk"],
    "traffic": ["car", "speed", "ticket", "driver", "highway", "bicycle", "fahrrad", "ampel"],
}
WIDTH = 24


class Meanings:
    """Knows the meaning of words: a vector for each tag, and a little of its own for each word."""

    def __init__(self, identity: str = "meanings", width: int = WIDTH) -> None:
        self.identity = identity
        self.width = width
        self.asked = 0

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += len(texts)
        vectors = np.stack([self._vector(text) for text in texts])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def _vector(self, text: str) -> np.ndarray:
        total = np.full(self.width, 0.01)
        words = text.lower().split()
        for tag, known in MEANINGS.items():
            shared = sum(word in known for word in words) + (tag.replace("-", " ") in text)
            total += shared * self._noise(tag) * 2
        return total + sum(self._noise(word) for word in words) * 0.3

    def _noise(self, word: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4])
        return np.random.default_rng(seed).normal(size=self.width)


def questions(count: int, seed: int) -> list[Question]:
    generator = random.Random(seed)
    made = []
    for number in range(count):
        tags = generator.sample(sorted(MEANINGS), generator.choice([1, 1, 2]))
        words = [generator.choice(MEANINGS[tag]) for tag in tags]
        title = " ".join([*words, *generator.choices(["what", "when", "who", "may", "must"], k=3)])
        made.append(Question(id=f"{seed}-{number}", title=title, body=None, tags=tuple(sorted(tags))))
    return made


@pytest.fixture(scope="module")
def rows() -> list[Question]:
    return questions(40, 1)


@pytest.fixture(scope="module")
def others() -> list[Question]:
    return questions(60, 2)


@pytest.fixture(scope="module")
def embedded(rows) -> Retriever:
    return Retriever.fit(rows, Vocabulary.from_questions(rows), embedder=Meanings())


@pytest.fixture(scope="module")
def tagger(embedded, rows) -> Tagger:
    return fit_tagger(embedded, rows, questions(20, 3))


def test_embeddings_find_what_words_do_not(embedded, rows, others) -> None:
    plain = Retriever.fit(rows, Vocabulary.from_questions(rows))
    assert plain.stack == STACK and embedded.stack == EMBEDDED_STACK
    found = []
    for retriever in (plain, embedded):
        tags = [item.tags for item in fit_tagger(retriever, rows, questions(20, 3)).tag(others)]
        found.append(score([question.tags for question in others], tags).micro_f1)
    assert found[1] > found[0] + 0.05


def test_the_signals_of_a_training_row_come_from_what_has_not_seen_it(rows) -> None:
    vocabulary = Vocabulary.from_questions(rows)
    labels = np.zeros((len(rows), len(vocabulary)), dtype=np.float32)
    for place, question in enumerate(rows):
        labels[place, [vocabulary.index(tag) for tag in question.tags]] = 1
    part = np.arange(len(rows)) % 4

    def fitted(labels: np.ndarray) -> dict[str, Any]:
        return fit_signals(Meanings(), rows, vocabulary, labels, part, 5, lambda *_: None)[1]

    before = fitted(labels)
    for row in (0, 7, 39):
        changed = labels.copy()
        changed[row] = 1 - changed[row]
        after = fitted(changed)
        for name in EMBEDDED:
            assert after[name][row] == pytest.approx(before[name][row], abs=1e-6), name
        assert np.abs(after["meaning_ridge"] - before["meaning_ridge"]).max() > 1e-4
        assert np.abs(after["meaning_knn"] - before["meaning_knn"]).max() > 1e-4


def test_fewer_rows_than_neighbours_and_names_that_are_far(rows) -> None:
    few = rows[:12]
    retriever = Retriever.fit(few, Vocabulary.from_questions(few), embedder=Meanings(), folds=3)
    scores = retriever.scores(rows)
    assert np.isfinite(scores).all()
    assert retriever.scores([]).shape == (0, len(retriever.vocabulary))


def test_scores_do_not_depend_on_the_batch(embedded, others) -> None:
    whole = embedded.scores(others)
    alone = np.concatenate([embedded.scores([question]) for question in others])
    assert np.abs(whole - alone).max() < 1e-9


def test_a_loaded_tagger_scores_as_the_saved_one(tmp_path: Path, tagger, others) -> None:
    save_tagger(tagger, tmp_path)
    loaded = load_tagger(tmp_path, embedder=Meanings())
    assert np.array_equal(loaded.scores(others), tagger.scores(others))
    assert loaded.tag(others) == tagger.tag(others)
    save_tagger(loaded, tmp_path / "again")
    for name in ("tagger.json", "tagger.npz"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_another_encoder_is_refused(tmp_path: Path, tagger, others) -> None:
    save_tagger(tagger, tmp_path)
    with pytest.raises(ConfigurationError, match="was fitted with encoder meanings"):
        load_tagger(tmp_path, embedder=Meanings("another"))
    wide = load_tagger(tmp_path, embedder=Meanings(width=WIDTH + 1))
    with pytest.raises(DataError, match="dimensions"):
        wide.scores(others)


def test_a_tagger_whose_encoder_is_missing_names_the_extra(
    tmp_path: Path, tagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tagger(tagger, tmp_path)
    monkeypatch.setattr(choice, "package_folder", lambda: None)
    with pytest.raises(MissingExtraError) as caught:
        load_tagger(tmp_path)
    assert "lawtags[embed]" in str(caught.value)


def test_a_tagger_of_an_earlier_version_keeps_its_scores(tmp_path: Path, tagger, others) -> None:
    """It has a smaller stack, so what it lacks must weigh nothing."""
    added = (*ADDED_COLUMNS, *ADDED_EMBEDDED)
    weights = tagger.retriever.weights.copy()
    weights[[tagger.retriever.stack.index(name) for name in added]] = 0
    smaller = replace(tagger, retriever=replace(tagger.retriever, weights=weights))

    def as_version_3(document: dict[str, Any]) -> None:
        document["schema_version"] = 3
        del document["blend"]
        for name in added:
            del document["retriever"]["weights"][name]

    save_tagger(smaller, tmp_path)
    forge(tmp_path, as_version_3)
    loaded = load_tagger(tmp_path, embedder=Meanings())
    np.testing.assert_array_equal(loaded.retriever.scores(others), smaller.retriever.scores(others))
    assert not np.allclose(loaded.retriever.scores(others), tagger.retriever.scores(others))


@pytest.mark.parametrize(
    "change",
    [
        set_at("encoder", value=None),
        set_at("encoder", value={}),
        set_at("encoder", "identity", value=1),
        set_at("encoder", "path", value="/etc"),
        set_at("schema_version", value=2),
        set_at("schema_version", value=4),
        set_at("schema_version", value=True),
        set_at("retriever", "weights", value=dict.fromkeys(STACK, 0.0)),
    ],
)
def test_a_forged_description_is_refused(tmp_path: Path, tagger, change: Any) -> None:
    save_tagger(tagger, tmp_path)
    forge(tmp_path, change)
    with pytest.raises(DataError):
        load_tagger(tmp_path, embedder=Meanings())


def test_arrays_that_lie_are_refused(tmp_path: Path, tagger) -> None:
    def put(name: str, value: Any) -> Any:
        return lambda arrays: arrays.update({name: value(arrays[name])})

    changes = [
        put("embedding_vectors", lambda array: array[1:]),
        put("embedding_vectors", lambda array: array[:, 1:]),
        put("embedding_vectors", lambda array: array[0]),
        put("embedding_vectors", lambda array: array * np.float16(np.nan)),
        put("embedding_ridge", lambda array: array.T.copy()),
        put("embedding_ridge", lambda array: array + np.float32(np.inf)),
        put("embedding_names", lambda array: array[:-1]),
        put("embedding_names", lambda array: np.array(0, np.float16)),
        lambda arrays: arrays.pop("embedding_names"),
    ]
    for change in changes:
        save_tagger(tagger, tmp_path)
        replace_arrays(tmp_path, change)
        with pytest.raises(DataError):
            load_tagger(tmp_path, embedder=Meanings())


def test_progress_names_the_embeddings(rows) -> None:
    told: list[tuple[str, int, int]] = []
    vocabulary = Vocabulary.from_questions(rows)
    Retriever.fit(rows, vocabulary, embedder=Meanings(), on_progress=lambda *step: told.append(step))
    assert ("embeddings", 0, len(rows)) in told


def test_a_real_encoder_is_used_by_a_tagger_in_another_process(
    tmp_path: Path, rows, others, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAWTAGS_CACHE_DIR", str(tmp_path / "cache"))
    folder = tiny_models.make_encoder(tmp_path / "encoder")
    encoder = choose_encoder(str(folder)).encoder
    retriever = Retriever.fit(rows, Vocabulary.from_questions(rows), embedder=encoder)
    fitted = fit_tagger(retriever, rows, questions(20, 3))
    save_tagger(fitted, tmp_path / "tagger")
    code = (
        "import sys; from pathlib import Path; from lawtags_client.encoder.choice import choose_encoder;"
        "from lawtags_client.tagging import Question, load_tagger;"
        "tagger = load_tagger(Path('tagger'), embedder=choose_encoder('encoder').encoder);"
        "print([*map(float, tagger.scores([Question(id='1', title=sys.argv[1])])[0])]);"
        "print('torch' in sys.modules)"
    )

    def asked(title: str) -> tuple[np.ndarray, bool]:
        done = subprocess.run(
            [sys.executable, "-c", code, title], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        scores, loaded = done.stdout.splitlines()
        return np.asarray(eval(scores)), loaded == "True"

    # A training row's vector is in the cache, so that no model is loaded for it.
    scores, loaded = asked(rows[0].title)
    assert not loaded
    assert scores == pytest.approx(fitted.scores(rows[:1])[0], abs=1e-12)
    scores, loaded = asked("somebody keeps my deposit")
    assert loaded
    assert scores == pytest.approx(
        fitted.scores([Question(id="1", title="somebody keeps my deposit")])[0], abs=1e-6
    )
