from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.dedup import (
    Candidate,
    exact_duplicates,
    jaccard,
    near_duplicates,
    near_pairs,
    shingles,
    signature_bands,
    text_digest,
)
from lawtags_client.curation.options import SplitOptions
from lawtags_client.curation.split import part_of, parts_of, split_key

WORDS = [f"word{number}" for number in range(400)]


def _text(seed: int, words: int = 60) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def _candidate(row: int, text: str, **more: object) -> Candidate:
    return Candidate(row, text_digest(text, None), signature_bands(shingles(text, None)), **more)  # type: ignore[arg-type]


def test_the_same_words_in_another_form_are_an_exact_duplicate() -> None:
    assert text_digest("Is it “legal”?", "Yes.\nNo") == text_digest("is it legal", "yes no!")
    assert text_digest("a b", "c") != text_digest("a", "b c")


def test_the_best_score_stays_then_the_oldest_then_the_first() -> None:
    rows = [
        Candidate(0, "x", score=1, created="2020-01-01"),
        Candidate(1, "x", score=5, created="2021-01-01"),
        Candidate(2, "x", score=5, created="2019-01-01"),
        Candidate(3, "y", created=None),
        Candidate(4, "y", created="2020-01-01"),
        Candidate(5, "z"),
        Candidate(6, "z"),
    ]
    expected = {0: 2, 1: 2, 3: 4, 6: 5}
    assert exact_duplicates(rows) == expected
    assert exact_duplicates(rows[::-1]) == expected


def test_near_duplicates_are_found_and_others_are_not() -> None:
    original = _text(1)
    changed = original.replace(original.split()[5], "another")
    texts = [original, changed, *(_text(seed) for seed in range(2, 60))]
    found = {row: shingles(text, None) for row, text in enumerate(texts)}
    pairs = near_pairs([_candidate(row, text) for row, text in enumerate(texts)])
    assert (0, 1) in pairs
    dropped = near_duplicates(pairs, lambda a, b: jaccard(found[a], found[b]), 0.8)
    assert dropped == {1: 0}


def test_a_chain_of_small_changes_does_not_empty_the_data() -> None:
    similar = {(0, 1): 0.9, (1, 2): 0.9, (0, 2): 0.5}
    assert near_duplicates([(0, 1), (0, 2), (1, 2)], lambda a, b: similar[a, b], 0.8) == {1: 0}


def test_a_pair_below_the_threshold_is_kept_though_its_signature_collides() -> None:
    assert near_duplicates([(0, 1)], lambda *_: 0.79, 0.8) == {}


def test_texts_of_few_words_have_a_signature() -> None:
    assert len(signature_bands(shingles("", None))) == len(signature_bands(shingles("one", None))) == 20


@given(st.text(), st.integers(0, 5))
def test_a_part_depends_on_words_and_seed_alone(title: str, seed: int) -> None:
    assert split_key(title, seed) == split_key(f"  {title} ", seed)
    assert 0 <= split_key(title, seed) < 1


def test_parts_have_their_shares_and_stay_when_rows_are_added() -> None:
    titles = [f"Question number {number}?" for number in range(5000)]
    parts = parts_of(titles, SplitOptions())
    assert parts.count("training") == pytest.approx(4000, abs=120)
    assert parts.count("validation") == pytest.approx(500, abs=90)
    assert parts_of(["A new one", *titles], SplitOptions())[1:] == parts
    assert parts_of(titles, SplitOptions(seed=1)) != parts


def test_a_test_file_leaves_validation_as_it_was() -> None:
    for key in (0.0, 0.5, 0.79, 0.8, 0.89, 0.9, 0.999):
        own, shared = part_of(key, SplitOptions(), own_test=True), part_of(key, SplitOptions())
        assert own == ("training" if shared == "testing" else shared)


def test_a_part_without_a_share_gets_no_row() -> None:
    options = SplitOptions(training=0.95, validation=0.05, testing=0)
    assert {part_of(key / 1000, options) for key in range(1000)} == {"training", "validation"}
    assert part_of(1 - 2**-53, SplitOptions(training=1, validation=0, testing=0)) == "training"
