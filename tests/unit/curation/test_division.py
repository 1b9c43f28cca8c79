from __future__ import annotations

import random
from collections import Counter

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.curation.options import SplitOptions
from lawtags_client.curation.read.dates import read_moment
from lawtags_client.curation.report import PARTS
from lawtags_client.curation.select.stratified_split import parts_by_tags, parts_by_time, shares_of

SHARES = {"training": 0.8, "validation": 0.1, "testing": 0.1}


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


def _by_time(moments: list[str], keys: list[float]) -> list[int]:
    return parts_by_time(numpy.array(moments, dtype="S32"), numpy.array(keys), SHARES).tolist()


def test_the_oldest_train_and_the_newest_test() -> None:
    moments = [f"2020-{number % 12 + 1:02}-{number // 12 + 1:02}" for number in range(240)]
    parts = _by_time(moments, [0.5] * 240)
    assert Counter(parts) == {0: 192, 1: 24, 2: 24}
    by_age = [part for _, part in sorted(zip(moments, parts, strict=True))]
    assert by_age == sorted(by_age)
    assert _by_time(moments[::-1], [0.5] * 240) == parts[::-1]


def test_questions_of_one_moment_are_in_no_order_of_the_input() -> None:
    keys = [random.Random(number).random() for number in range(50)]
    parts = _by_time(["2020-01-01"] * 50, keys)
    assert _by_time(["2020-01-01"] * 50, keys[::-1]) == parts[::-1]


def test_beside_a_test_file_training_gets_the_share_of_testing() -> None:
    assert shares_of(SplitOptions(), own_test=True) == pytest.approx({"training": 0.9, "validation": 0.1})
    assert shares_of(SplitOptions(8, 1, 1), own_test=False) == pytest.approx(SHARES)
    assert shares_of(SplitOptions(0.9, 0.1, 0), own_test=False) == pytest.approx(
        {"training": 0.9, "validation": 0.1}
    )


Tagged = tuple[float, tuple[str, ...]]


def _by_tags(rows: list[Tagged], shares: dict[str, float] = SHARES) -> list[str]:
    names = sorted({tag for _, tags in rows for tag in tags})
    sizes = numpy.array([len(tags) for _, tags in rows], dtype=numpy.int64)
    flat = numpy.array([names.index(tag) for _, tags in rows for tag in tags], dtype=numpy.int64)
    keys = numpy.array([key for key, _ in rows], dtype=float)
    return [PARTS[part] for part in parts_by_tags(sizes, flat, keys, shares)]


def _tagged(count: int, seed: int = 5) -> list[Tagged]:
    draw = random.Random(seed)
    names = [f"tag{number}" for number in range(30)]
    weights = [1 / (number + 1) for number in range(30)]
    return [(draw.random(), tuple(dict.fromkeys(draw.choices(names, weights, k=3)))) for _ in range(count)]


def test_every_part_gets_its_share_of_every_tag() -> None:
    rows = _tagged(1000)
    parts = _by_tags(rows)
    totals = Counter(tag for _, tags in rows for tag in tags)
    for part, share in SHARES.items():
        assert Counter(parts)[part] == pytest.approx(1000 * share, abs=15)
        found = Counter(
            tag for (_, tags), got in zip(rows, parts, strict=True) for tag in tags if got == part
        )
        for tag, total in totals.items():
            assert found[tag] == pytest.approx(total * share, abs=max(2, 0.03 * total))


def test_a_tag_of_one_question_is_taught_and_one_of_ten_is_in_every_part() -> None:
    rows: list[Tagged] = [(row / 40, ("common",)) for row in range(29)]
    rows.append((0.9, ("single",)))
    rows += [(row / 40, ("common", "ten")) for row in range(30, 40)]
    parts = _by_tags(rows)
    assert parts[29] == "training"
    assert Counter(parts[30:40]) == {"training": 8, "validation": 1, "testing": 1}


@given(st.randoms(use_true_random=False))
def test_the_order_of_questions_does_not_matter(draw: random.Random) -> None:
    rows = _tagged(60)
    expected = dict(zip(rows, _by_tags(rows), strict=True))
    draw.shuffle(rows)
    assert dict(zip(rows, _by_tags(rows), strict=True)) == expected


@given(
    st.lists(st.lists(st.sampled_from("abcde"), max_size=3, unique=True), max_size=30),
    st.sampled_from([{"training": 1.0}, {"training": 0.9, "testing": 0.1}, SHARES]),
)
def test_every_question_gets_a_part_that_has_a_share(rows: list[list[str]], shares: dict[str, float]) -> None:
    parts = _by_tags([(row / 31, tuple(tags)) for row, tags in enumerate(rows)], shares)
    assert len(parts) == len(rows)
    assert set(parts) <= shares.keys()
