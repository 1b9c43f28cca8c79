"""Questions won and lost, McNemar's test, and confusions between tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import ConfigurationError
from lawtags_client.tagging.confusion import TagConfusion, confusions
from lawtags_client.tagging.paired import mcnemar, pair_questions, question_f1

TAGS = st.frozensets(st.sampled_from("abcd"))
ROWS = st.lists(st.tuples(TAGS, TAGS, TAGS), max_size=12)


@given(ROWS)
def test_every_question_is_won_or_lost_or_unchanged_and_sides_are_symmetric(
    rows: list[tuple[frozenset[str], frozenset[str], frozenset[str]]],
) -> None:
    true, first, second = ([row[place] for row in rows] for place in range(3))
    found, back = pair_questions(true, first, second), pair_questions(true, second, first)
    assert sorted((*found.won, *found.lost, *found.unchanged)) == list(range(len(rows)))
    assert (found.won, found.lost, found.unchanged) == (back.lost, back.won, back.unchanged)
    assert found.p_value == back.p_value
    assert all(question_f1(true[n], first[n]) > question_f1(true[n], second[n]) for n in found.won)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_the_p_value_is_that_of_the_binomial_test(won: int, lost: int) -> None:
    scipy = pytest.importorskip("scipy.stats")
    expected = scipy.binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert mcnemar(won, lost) == pytest.approx(expected, rel=1e-6, abs=1e-300)


def test_predictions_of_other_rows_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="1 and 2 predictions"):
        pair_questions([{"a"}], [{"a"}], [{"a"}, {"b"}])


def test_a_confusion_is_a_missed_tag_beside_a_wrong_one() -> None:
    true = [{"tax", "vat"}, {"tax"}, {"tax"}, {"lease"}, set()]
    given = [{"vat"}, {"vat", "fees"}, {"vat"}, {"lease"}, {"vat"}]
    assert confusions(true, given) == [TagConfusion("tax", "vat", 2, 3)]
    assert confusions(true, given, least=1, most=1) == [TagConfusion("tax", "vat", 2, 3)]
    assert len(confusions(true, given, least=1)) == 2
    with pytest.raises(ConfigurationError):
        confusions(true, given[:1])
