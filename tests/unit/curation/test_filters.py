from __future__ import annotations

import os
import subprocess
import sys

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.features.filters import count_words, repeated_share, repeated_shares, word_counts


def test_words_are_parted_by_white_space() -> None:
    assert count_words(" one  two\nthree-four ") == 3


@pytest.mark.parametrize("words", [1, 5, 6, 15, 20, 33, 40])
def test_a_short_text_without_repetition_repeats_nothing(words: int) -> None:
    assert repeated_share(" ".join(f"word{number}" for number in range(words))) == 0


def test_repetition_is_found_whatever_parts_the_words() -> None:
    phrase = "please answer my question now"
    spaced = " ".join([phrase] * 10)
    assert repeated_share(spaced) > 0.85
    assert repeated_share(spaced.replace(" ", "\n").upper()) == repeated_share(spaced)


def test_one_phrase_said_twice_in_a_long_text_is_no_repetition() -> None:
    phrase = "under the terms of the"
    text = " ".join(f"w{number}" for number in range(60))
    assert repeated_share(f"{phrase} {text} {phrase} lease") < 0.15


def test_overlapping_occurrences_count_once() -> None:
    assert repeated_share("a " * 10) == pytest.approx(9 / 19)


def test_the_score_does_not_depend_on_the_seed_of_hashes() -> None:
    code = (
        "from lawtags_client.curation.features.filters import repeated_share as r;"
        "print(r('aa bb cc dd ee aa bb cc dd ee ff gg hh ii jjjjj ff gg hh ii jjjjj'))"
    )
    scores = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(scores) == 1


@given(st.text())
def test_a_share_lies_between_zero_and_one(text: str) -> None:
    assert 0 <= repeated_share(text) <= 1


def test_batches_keep_their_index_and_gaps() -> None:
    texts = pandas.Series(["a b", None, "c"], index=[7, 3, 9], dtype=object)
    assert list(word_counts(texts)) == [2, 0, 1]
    assert list(repeated_shares(texts)) == [0, 0, 0]
    assert list(word_counts(texts).index) == [7, 3, 9]
