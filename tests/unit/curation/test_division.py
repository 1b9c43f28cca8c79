from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.division import Divided, parts_by_tags, parts_by_time, read_moment, shares_of
from lawtags_client.curation.options import SplitOptions

SHARES = {"training": 0.8, "validation": 0.1, "testing": 0.1}
PLACE = {"training": 0, "validation": 1, "testing": 2}


@pytest.mark.parametrize(
    ("created", "moment"),
    [
        ("2020-01-02", "2020-01-02T00:00:00+00:00"),
        ("2020-01-02T03:04:05.678", "2020-01-02T03:04:05.678000+00:00"),
        ("2020-01-02T00:30:00+02:00", "2020-01-01T22:30:00+00:00"),
        ("2020-01-02T03:04:05Z", "2020-01-02T03:04:05+00:00"),
        ("1577934245", "2020-01-02T03:04:05+00:00"),
        ("1577934245.0", "2020-01-02T03:04:05+00:00"),
        ("1577934245000", "2020-01-02T03:04:05+00:00"),
        ("999999999999999999999999", None),
        ("last summer", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_of_every_form_sort_together(created: str | None, moment: str | None) -> None:
    assert read_moment(created) == moment


@given(st.text())
def test_no_text_breaks_the_reading_of_dates(text: str) -> None:
    moment = read_moment(text)
    assert moment is None or read_moment(moment) == moment


def test_the_oldest_train_and_the_newest_test() -> None:
    rows = [Divided(number, 0.5, f"2020-{number % 12 + 1:02}-{number // 12 + 1:02}") for number in range(240)]
    parts = parts_by_time(rows[::-1], SHARES)
    assert Counter(parts.values()) == {"training": 192, "validation": 24, "testing": 24}
    by_age = [PLACE[parts[one.row]] for one in sorted(rows, key=lambda one: one.moment)]
    assert by_age == sorted(by_age)
    assert parts == parts_by_time(rows, SHARES)


def test_questions_of_one_moment_are_in_no_order_of_the_input() -> None:
    rows = [Divided(number, random.Random(number).random(), "2020-01-01") for number in range(50)]
    parts = parts_by_time(rows, SHARES)
    moved = [Divided(99 - one.row, one.key, one.moment) for one in rows]
    assert {99 - row: part for row, part in parts_by_time(moved, SHARES).items()} == parts


def test_beside_a_test_file_training_gets_the_share_of_testing() -> None:
    assert shares_of(SplitOptions(), own_test=True) == pytest.approx({"training": 0.9, "validation": 0.1})
    assert shares_of(SplitOptions(8, 1, 1), own_test=False) == pytest.approx(SHARES)
    assert shares_of(SplitOptions(0.9, 0.1, 0), own_test=False) == pytest.approx(
        {"training": 0.9, "validation": 0.1}
    )


def _tagged(count: int, seed: int = 5) -> list[Divided]:
    draw = random.Random(seed)
    names = [f"tag{number}" for number in range(30)]
    weights = [1 / (number + 1) for number in range(30)]
    return [
        Divided(row, draw.random(), tags=tuple(dict.fromkeys(draw.choices(names, weights, k=3))))
        for row in range(count)
    ]


def test_every_part_gets_its_share_of_every_tag() -> None:
    rows = _tagged(1000)
    parts = parts_by_tags(rows, SHARES)
    assert len(parts) == 1000
    totals = Counter(tag for one in rows for tag in one.tags)
    for part, share in SHARES.items():
        assert Counter(parts.values())[part] == pytest.approx(1000 * share, abs=15)
        found = Counter(tag for one in rows for tag in one.tags if parts[one.row] == part)
        for tag, total in totals.items():
            assert found[tag] == pytest.approx(total * share, abs=max(2, 0.03 * total))


def test_a_tag_of_one_question_is_taught_and_one_of_ten_is_in_every_part() -> None:
    rows = [Divided(row, row / 40, tags=("common",)) for row in range(29)]
    rows.append(Divided(29, 0.9, tags=("single",)))
    rows += [Divided(row, row / 40, tags=("common", "ten")) for row in range(30, 40)]
    parts = parts_by_tags(rows, SHARES)
    assert parts[29] == "training"
    assert Counter(parts[row] for row in range(30, 40)) == {"training": 8, "validation": 1, "testing": 1}


@given(st.randoms(use_true_random=False))
def test_the_order_of_questions_does_not_matter(draw: random.Random) -> None:
    rows = _tagged(60)
    expected = parts_by_tags(rows, SHARES)
    draw.shuffle(rows)
    assert parts_by_tags(rows, SHARES) == expected


@given(
    st.lists(st.lists(st.sampled_from("abcde"), max_size=3), max_size=30),
    st.sampled_from([{"training": 1.0}, {"training": 0.9, "testing": 0.1}, SHARES]),
)
def test_every_question_gets_a_part_that_has_a_share(rows: list[list[str]], shares: dict[str, float]) -> None:
    divided = [Divided(row, row / 31, tags=tuple(tags)) for row, tags in enumerate(rows)]
    parts = parts_by_tags(divided, shares)
    assert parts.keys() == set(range(len(rows)))
    assert set(parts.values()) <= shares.keys()
