"""The systems without a language model, with a small encoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from rich.console import Console
from tiny_models import make_encoder

from lawtags_client.cli.progress import ProgressLines, shown
from lawtags_client.encoder import choice
from lawtags_client.encoder.choice import EncoderChoice
from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.files import sha256_file
from lawtags_client.platform import Platform
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.outputs import CurateOutput
from lawtags_client.runs.predictions import predictions_path, read_prediction_rows
from lawtags_client.runs.probabilities import find_probabilities, probabilities_path
from lawtags_client.runs.progress import LoggedProgress, Progress
from lawtags_client.runs.recipe import parse_recipe
from lawtags_client.runs.stage import RunContext, intact
from lawtags_client.runs.stages.baselines import FOLDER, OUT_OF_FOLD, Baselines, encoder_of, load_retriever
from lawtags_client.tagging.fitting import fit_tagger, refit_tagger
from lawtags_client.tagging.question import read_questions
from lawtags_client.tagging.retriever import Retriever
from lawtags_client.tagging.vocabulary import Vocabulary

KINDS = (("copy of a song", "copyright"), ("deposit of a flat", "landlord"), ("theft of a bicycle", "theft"))


class Shown(LoggedProgress):
    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[str]] = []
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def table(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        assert all(len(row) == len(headings) for row in rows)
        self.tables.append([row[0] for row in rows])


def run_of(folder: Path, progress: Progress, encoder: str) -> RunContext:
    for part, rows in (("training", 45), ("validation", 15), ("testing", 9)):
        path = folder / "curated" / "questions" / f"{part}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            {"id": f"{part}-{n}", "title": f"Is the {KINDS[n % 3][0]} {n} legal?", "tags": [KINDS[n % 3][1]]}
            for n in range(rows)
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    recipe: dict[str, Any] = {
        "schema_version": 1,
        "name": "small",
        "model": {"config": "ns/model@v1"},
        "retriever": {"encoder": encoder, "threads": 1},
        "evaluation": {"bootstrap": 100},
    }
    ledger = Ledger(folder / "ledger.sqlite")
    made = RunContext(folder, parse_recipe(recipe), (), None, cast(Platform, None), ledger, progress)
    made.outputs["curate"] = CurateOutput(digest="one")
    return made


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("scipy")
    monkeypatch.setenv("LAWTAGS_CACHE_DIR", str(tmp_path / "cache"))
    return make_encoder(tmp_path / "encoder")


async def test_the_words_are_shown_first_and_the_kept_retriever_is_judged_with_the_validation_rows(
    tmp_path: Path, encoder: Path
) -> None:
    told = Shown()
    made = run_of(tmp_path / "run", told, str(encoder))
    done = await Baselines().run(made)
    simple = {"tfidf", "most_frequent", "retriever_words"}
    assert [set(table) for table in told.tables] == [simple, {"retriever"}]
    assert [note.endswith("follows.") for note in told.notes] == [True, False]
    assert done.embeddings.startswith("with sentence embeddings")
    assert intact(made.folder, done)
    assert {f"{FOLDER}/{OUT_OF_FOLD}", "predictions-retriever_words.jsonl"} <= done.files.keys()
    for system in ("tfidf", "retriever_words", "retriever"):
        assert f"probabilities-{system}.npz" in done.files
    assert find_probabilities(made.folder, "most_frequent") is None

    embedder = encoder_of(made).encoder
    training, validation, testing = (
        read_questions(made.curated / "questions" / f"{part}.jsonl")
        for part in ("training", "validation", "testing")
    )
    fitted = Retriever.fit(training, Vocabulary.from_questions(training), seed=42, embedder=embedder)
    kept = load_retriever(made.folder, embedder)
    assert kept.out_of_fold is not None
    assert fitted.out_of_fold is not None
    assert (kept.out_of_fold == fitted.out_of_fold).all()
    assert (kept.scores(testing) == fitted.scores(testing)).all()
    tagger = fit_tagger(kept, training, validation, seed=42)
    judged = refit_tagger(tagger, training, validation, seed=42)
    given = judged.tag(testing)
    rows = read_prediction_rows(made.folder, "retriever")
    assert [row.tags for row in rows] == [tagged.tags for tagged in given]
    assert all(row.held for row in rows)
    probabilities = find_probabilities(made.folder, "retriever")
    assert probabilities is not None
    assert probabilities.tags == kept.vocabulary.tags
    assert (probabilities.scores == judged.scores(testing).astype(np.float32)).all()

    words = Retriever.fit(training, Vocabulary.from_questions(training), seed=42)
    tagger = fit_tagger(words, training, validation, seed=42)
    alone = refit_tagger(tagger, training, validation, seed=42).tag(testing)
    told_words = read_prediction_rows(made.folder, "retriever_words")
    assert [row.tags for row in told_words] == [tagged.tags for tagged in alone]


async def test_without_an_encoder_there_is_one_retriever_and_no_trace_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("scipy")
    monkeypatch.setattr(choice, "package_folder", lambda: None)
    told = Shown()
    made = run_of(tmp_path, told, "auto")
    for path in (predictions_path, probabilities_path):
        path(tmp_path, "retriever_words").write_text("of an earlier attempt\n")
    done = await Baselines().run(made)
    assert [set(table) for table in told.tables] == [{"retriever", "tfidf", "most_frequent"}]
    assert not predictions_path(tmp_path, "retriever_words").exists()
    assert not probabilities_path(tmp_path, "retriever_words").exists()
    assert done.embeddings.startswith("without sentence embeddings: ")


async def test_an_attempt_that_ends_while_embedding_is_made_again_from_what_is_there(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run_of(tmp_path / "run", Shown(), str(encoder))
    found = encoder_of(made)
    assert found.encoder is not None

    class Failing:
        identity, name = found.encoder.identity, found.encoder.name

        def embed(self, texts: Sequence[str]) -> Any:
            raise DataError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(
            "lawtags_client.runs.stages.baselines.encoder_of", lambda _: EncoderChoice(cast(Any, Failing()))
        )
        with pytest.raises(DataError, match="full"):
            await Baselines().run(made)
    assert predictions_path(made.folder, "retriever_words").exists()
    again = await Baselines().run(made)
    other = run_of(tmp_path / "other", Shown(), str(encoder))
    unbroken = await Baselines().run(other)
    names = [name for name in unbroken.files if name.startswith("predictions-")]
    assert len(names) == 4
    assert {name: again.files[name] for name in names} == {
        name: sha256_file(other.folder / name) for name in names
    }


async def test_a_kept_retriever_that_is_damaged_or_of_another_encoder_is_refused(
    tmp_path: Path, encoder: Path
) -> None:
    made = run_of(tmp_path / "run", Shown(), str(encoder))
    await Baselines().run(made)
    other = make_encoder(tmp_path / "other")
    with (other / "config.json").open("a") as stream:
        stream.write(" ")
    with pytest.raises(ConfigurationError, match="encoder"):
        load_retriever(made.folder, choice.choose_encoder(str(other)).encoder)
    path = made.folder / FOLDER / OUT_OF_FOLD
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError) as caught:
        load_retriever(made.folder, encoder_of(made).encoder)
    assert OUT_OF_FOLD in str(caught.value)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_table_is_shown_in_a_terminal_and_in_plain_lines(terminal: bool, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+") as stream:
        console = Console(file=stream, force_terminal=terminal, width=80)
        with shown(console) as progress:
            assert isinstance(progress, ProgressLines) is not terminal
            progress.table("First\x1b[2J", ("system", "micro F1", "95 %"), [["tfidf", "0.4", "0.3-0.5"]])
        stream.seek(0)
        text = stream.read()
    for word in ("First", "system", "micro F1", "tfidf", "0.3-0.5"):
        assert word in text
    assert "\x1b[2J" not in text
