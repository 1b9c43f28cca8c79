from __future__ import annotations

import itertools
import math
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.loss_chart import draw_svg, draw_text

CURVES = {
    "train_loss": [(step, 4.0 / step) for step in range(1, 31)],
    "val_loss": [(10, 1.0), (20, 0.8), (30, 1.1)],
}
ANY = st.dictionaries(
    st.text(max_size=8),
    st.lists(st.tuples(st.integers(1, 3000), st.floats()), max_size=20).map(sorted),
    max_size=5,
)


def lines(**options: int | bool) -> list[str]:
    given_options = {"width": 60, "height": 10, **options}
    return ["".join(cell.text for cell in row) for row in draw_text(CURVES, **given_options)]  # type: ignore[arg-type]


def test_a_chart_has_axes_labels_and_both_curves() -> None:
    drawn = lines()
    assert len(drawn) == 10
    assert drawn[0].startswith("4.000 ┤") and drawn[7].startswith("0.133 ┤")
    assert drawn[8].startswith("      └──")
    assert drawn[9].split() == ["1", "30"]
    owners = {cell.curve for row in draw_text(CURVES, width=60, height=10) for cell in row}
    assert owners == {None, 0, 1}


def test_every_line_has_the_width_that_was_asked_for() -> None:
    for width in (30, 80, 120):
        assert {len(line) for line in lines(width=width)} == {width}


def test_the_chart_fills_up_as_the_training_goes_on() -> None:
    early = draw_text({"train_loss": CURVES["train_loss"][:6]}, width=60, height=10, last_step=60)
    columns = [column for row in early for column, cell in enumerate(row) if cell.curve == 0]
    assert max(columns) < 12


def test_without_unicode_there_are_marks() -> None:
    drawn = "\n".join(lines(ascii_only=True))
    assert drawn.isascii() and "*" in drawn and "o" in drawn


def test_a_rising_curve_rises() -> None:
    rows = draw_text({"x": [(1, 0.0), (10, 1.0)]}, width=40, height=8, ascii_only=True)
    places = [[c for c, cell in enumerate(row) if cell.curve == 0] for row in rows[:6]]
    assert all(min(above) > max(below) for above, below in itertools.pairwise(places))


def test_a_single_value_is_named_once_beside_its_mark() -> None:
    lines = [
        "".join(cell.text for cell in row)
        for row in draw_text({"train_loss": [(1, 4.519)]}, width=60, height=10)
    ]
    (named,) = [line for line in lines if "4.519" in line]
    assert any("⠀" < character <= "⣿" for character in named)


def test_no_points_and_no_room_are_no_chart() -> None:
    assert draw_text({}, width=60, height=10) == []
    assert draw_text({"x": [(1, math.nan)]}, width=60, height=10) == []
    assert draw_text(CURVES, width=12, height=10) == draw_text(CURVES, width=60, height=3) == []
    assert draw_svg({"x": [(1, math.inf)]}) == ""


@given(ANY, st.integers(0, 150), st.integers(0, 30), st.none() | st.integers(0, 5000), st.booleans())
def test_any_points_can_be_drawn(
    curves: dict[str, list[tuple[int, float]]], width: int, height: int, last: int | None, marks: bool
) -> None:
    rows = draw_text(curves, width=width, height=height, last_step=last, ascii_only=marks)
    assert len({sum(len(cell.text) for cell in row) for row in rows}) <= 1


@given(ANY, st.none() | st.integers(0, 5000))
def test_any_points_are_well_formed_svg(curves: dict[str, list[tuple[int, float]]], last: int | None) -> None:
    # Control characters cannot stand in XML at all, and names of series come from services.
    named = {"".join(c for c in name if c.isprintable()): curve for name, curve in curves.items()}
    drawn = draw_svg(named, last_step=last)
    if drawn:
        ElementTree.fromstring(drawn)
        assert "nan" not in drawn.split("<text")[0] and "inf" not in drawn.split("<text")[0]


def test_names_are_escaped() -> None:
    drawn = draw_svg({"<script>": [(1, 1.0), (2, 2.0)]})
    assert "<script>" not in drawn and "&lt;script&gt;" in drawn
