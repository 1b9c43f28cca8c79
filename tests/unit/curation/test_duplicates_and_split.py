from __future__ import annotations

import random
from itertools import pairwise

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.features.fingerprints import shingles, signature_bands, text_digest
from lawtags_client.curation.features.split import part_of, split_key
from lawtags_client.curation.options import SplitOptions
from lawtags_client.curation.select.duplicates import exact_duplicates, near_duplicates, near_pairs

WORDS = [f"word{number}" for number in range(400)]


def _text(seed: int, words: int = 60) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def test_the_same_words_in_another_form_are_an_exact_duplicate() -> None:
    assert text_digest("Is it “legal”?", "Yes.\nNo") == text_digest("is it legal", "yes no!")
    assert text_digest("a b", "c") != text_digest("a", "b c")


def _pairs(texts: list[str], rows: list[int] | None = None) -> list[tuple[int, int]]:
    bands = numpy.array([signature_bands(shingles(text, None)) for text in texts])
    chosen = numpy.arange(len(texts)) if rows is None else numpy.array(rows)
    found = near_pairs(lambda band, of: bands[of, band], chosen, numpy.arange(len(texts)))
    return [(int(kept), int(other)) for kept, other in found]


def test_the_foremost_of_the_same_words_stays() -> None:
    digest = numpy.array([(7, 1), (7, 1), (7, 1), (7, 2), (5, 2), (5, 2), (9, 9)], dtype=numpy.uint64)
    rank = numpy.array([2, 1, 0, 3, 5, 4, 6])
    dropped, instead = exact_duplicates(digest, numpy.arange(7), rank)
    assert dict(zip(dropped.tolist(), instead.tolist(), strict=True)) == {0: 2, 1: 2, 4: 5}
    dropped, _ = exact_duplicates(digest, numpy.array([0, 3, 4, 6]), rank)
    assert not len(dropped)


def test_near_duplicates_are_found_and_others_are_not() -> None:
    original = _text(1)
    changed = original.replace(original.split()[5], "another")
    texts = [original, changed, *(_text(seed) for seed in range(2, 60))]
    found = {row: shingles(text, None) for row, text in enumerate(texts)}
    pairs = _pairs(texts)
    assert (0, 1) in pairs
    assert not _pairs(texts, [0, *range(2, 60)])
    dropped, instead = near_duplicates(
        numpy.array(pairs), len(texts), lambda a, b: len(found[a] & found[b]) / len(found[a] | found[b]), 0.8
    )
    assert (dropped.tolist(), instead.tolist()) == ([1], [0])


@given(st.lists(st.integers(0, 3), max_size=40))
def test_of_a_crowd_each_is_compared_with_the_foremost_and_with_the_next(values: list[int]) -> None:
    groups = [[row for row, value in enumerate(values) if value == wanted] for wanted in range(4)]
    expected = {
        (kept, other)
        for group in groups
        for kept, other in [*((group[0], row) for row in group[1:]), *pairwise(group)]
    }
    # As if the last row were the one to keep.
    rank, last = numpy.arange(len(values))[::-1], len(values) - 1
    bands = numpy.array(values[::-1], dtype=numpy.int64)
    found = near_pairs(lambda band, of: bands[of], numpy.arange(len(values)), rank)
    pairs = [(last - int(kept), last - int(other)) for kept, other in found]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == expected
    assert pairs == sorted(pairs)


def test_a_chain_of_small_changes_does_not_empty_the_data() -> None:
    similar = {(0, 1): 0.9, (1, 2): 0.9, (0, 2): 0.5}
    pairs = numpy.array([(0, 1), (0, 2), (1, 2)])
    dropped, instead = near_duplicates(pairs, 3, lambda a, b: similar[a, b], 0.8)
    assert (dropped.tolist(), instead.tolist()) == ([1], [0])


def test_a_pair_below_the_threshold_is_kept_though_its_signature_collides() -> None:
    dropped, _ = near_duplicates(numpy.array([(0, 1)]), 2, lambda *_: 0.79, 0.8)
    assert not len(dropped)


def test_texts_of_few_words_have_a_signature() -> None:
    assert len(signature_bands(shingles("", None))) == len(signature_bands(shingles("one", None))) == 20


@given(st.text(), st.integers(0, 5))
def test_a_part_depends_on_words_and_seed_alone(title: str, seed: int) -> None:
    assert split_key(title, seed) == split_key(f"  {title} ", seed)
    assert 0 <= split_key(title, seed) < 1


def test_parts_have_their_shares_and_stay_when_rows_are_added() -> None:
    titles = [f"Question number {number}?" for number in range(5000)]

    def parts_of(titles: list[str], options: SplitOptions) -> list[str]:
        return [part_of(split_key(title, options.seed), options) for title in titles]

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


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("if x > 5 holds", "if x < 5 holds"),
        ("of ROS 2", "of ROS 3"),
        ("he may sell", "he may not sell"),
        ("in C++", "in C#"),
    ],
)
def test_long_questions_of_one_difference_are_near_duplicates_up_to_the_highest_threshold(
    first: str, second: str
) -> None:
    one, other = (shingles(f"What now {part}?", _text(1)) for part in (first, second))
    alike = len(one & other) / len(one | other)
    assert 0.8 < alike < 1
    assert text_digest(first, _text(1)) != text_digest(second, _text(1))
    for threshold, dropped in ((0.8, 1), (1.0, 0)):
        found, _ = near_duplicates(numpy.array([(0, 1)]), 2, lambda a, b: alike, threshold)
        assert len(found) == dropped
