"""Parts of a report: tables for phones, threshold curve, questions, and figures of the run."""

from __future__ import annotations

import html

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.runs.metrics import QuestionsWon
from lawtags_client.runs.predictions import prediction
from lawtags_client.runs.probabilities import SystemProbabilities
from lawtags_client.runs.report_facts import in_words
from lawtags_client.runs.report_questions import TaggedQuestions
from lawtags_client.runs.responsive_tables import with_labels
from lawtags_client.runs.threshold_curve import threshold_curve
from lawtags_client.tagging.question import Question

TABLE = (
    '<table><tr><th>tag</th><th class="n">F1</th><th>more</th></tr>\n'
    '<tr><td>{}</td><td colspan="2">1</td></tr></table>'
)


def test_each_cell_gets_the_heading_of_its_column() -> None:
    found = with_labels(TABLE.format("tax") + "<table><tr><td>plain</td></tr></table>")
    assert '<td data-label="tag">tax</td><td data-label="F1" colspan="2">1</td>' in found
    assert found.startswith('<table class="labeled"><thead><tr class="headings">')
    assert found.count("</thead>") == 1
    assert "<table><tr><td>plain</td></tr></table>" in found


@given(st.text(max_size=40))
def test_text_of_data_stays_what_it_is(text: str) -> None:
    shown = html.escape(text)
    assert f">{shown}</td>" in with_labels(TABLE.format(shown))


def test_the_curve_follows_the_threshold() -> None:
    scores = np.array([[0.9, 0.4], [0.2, 0.1]], dtype=np.float32)
    found = SystemProbabilities(scores, ("a", "b"), np.array([0, 1]))
    curve = {point.threshold: point for point in threshold_curve(found, [{"a", "b"}, {"a"}], most=5)}
    assert len(curve) == 19
    # The likeliest tag is given at any threshold.
    assert (curve[0.95].precision, round(curve[0.95].recall, 3), curve[0.95].tags_per_row) == (
        1.0,
        0.667,
        1.0,
    )
    assert (curve[0.3].precision, curve[0.3].recall, curve[0.3].f1) == (1.0, 1.0, 1.0)
    assert curve[0.05].precision == 0.75
    assert threshold_curve(SystemProbabilities(scores[:0], ("a", "b"), np.array([], int)), [], most=5) == []


def test_worst_best_won_and_lost_questions_are_chosen_by_f1() -> None:
    questions = [Question(id=f"q{n}", title="Title", body="b" * 300, tags=("a", "b")) for n in range(4)]
    given = {
        "x": [["a", "b"], ["c"], ["a"], ["c"]],
        "y": [["c"], ["a", "b"], ["a"], ["c"]],
    }
    rows = {
        name: [prediction(n, f"q{n}", tags, scores={tags[0]: 0.1 * (n + 1)}) for n, tags in enumerate(each)]
        for name, each in given.items()
    }
    found = TaggedQuestions(questions, rows)
    worst, best = found.extremes(("x", "y"))
    assert [each.id for each in worst] == ["q3", "q1"], "the surest mistake first"
    assert [each.id for each in best] == ["q0", "q2"]
    assert worst[0].body.endswith("…") and worst[0].f1 == 0
    pair = found.won_and_lost(QuestionsWon(a="x", b="y", won=1, lost=1, unchanged=2, p_value=1.0))
    assert ([each.id for each in pair.won], [each.id for each in pair.lost]) == (["q0"], ["q1"])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "under 1 s"), (12.4, "12 s"), (648, "11 min"), (3600, "1 h 0 min"), (4000, "1 h 7 min")],
)
def test_durations_are_told_in_the_unit_that_fits(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
