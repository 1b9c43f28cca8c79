"""Whether the language model paid for itself: which rival, what is said first, and what it cost."""

from __future__ import annotations

import html
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from made_run import LINEAGE, PLAN, RECIPE, make_run
from rich.console import Console

from lawtags_client.cli.verdict import print_verdict
from lawtags_client.runs.language_model import (
    cost_per_point,
    language_model_gain,
    language_model_in_words,
    training_cost,
)
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.lost_rows import LostRows
from lawtags_client.runs.metrics import LanguageModelGain, Metrics, TrainingCost, read_metrics
from lawtags_client.runs.model_card import model_card
from lawtags_client.runs.outputs import PlanOutput
from lawtags_client.runs.planning.rates import HourlyPrice
from lawtags_client.runs.recipe import EvaluationSection, parse_recipe
from lawtags_client.runs.report import render_report
from lawtags_client.runs.series import StoppedTraining
from lawtags_client.runs.verdict import SYSTEMS, verdict

pytest.importorskip("numpy")

ROWS = 200
TRUTH = [frozenset({"a", "b"})] * ROWS
# The last systems are the simplest ones.
WITHOUT = [name for name in SYSTEMS if name not in ("tagger", "tuned", "base")]


def right_on(rows: int) -> list[frozenset[str]]:
    return [frozenset({"a", "b"}) if row < rows else frozenset({"y", "z"}) for row in range(ROWS)]


def metrics_of(lost: int = 0, **right: int) -> Metrics:
    predicted = {name: right_on(right[name]) for name in SYSTEMS if name in right}
    gone = {"tagger": LostRows(failed=lost)} if lost else None
    return verdict(TRUTH, predicted, EvaluationSection(bootstrap=200), lost=gone)


def gain_of(metrics: Metrics, cost: TrainingCost | None = None) -> LanguageModelGain:
    found = language_model_gain(metrics, cost)
    assert found is not None
    return found


def test_the_rival_is_the_best_system_without_a_language_model() -> None:
    found = gain_of(metrics_of(tagger=150, tuned=190, base=180, retriever=90, tfidf=100, most_frequent=10))
    assert (found.rival, found.rivals, found.reading) == ("tfidf", 3, "better")
    assert found.difference == pytest.approx(0.25)
    assert 0 < found.low < found.difference < found.high
    assert found.sentence.startswith("The language model paid for itself: it adds +0.250 [+0.")
    assert "tfidf is the best of 3 systems without one, chosen on these 200 rows" in found.sentence


def test_among_equals_the_simplest_is_the_rival() -> None:
    assert gain_of(metrics_of(tagger=150, **dict.fromkeys(WITHOUT, 120))).rival == WITHOUT[-1]


@pytest.mark.parametrize(("tagger", "first"), [(90, "is better without"), (120, "is as good without")])
def test_a_simple_system_that_is_as_good_or_better_is_named_first(tagger: int, first: str) -> None:
    found = gain_of(metrics_of(tagger=tagger, base=5, retriever=120, tfidf=60))
    assert found.sentence.startswith(f"retriever {first} a language model")
    assert "paid for itself" not in found.sentence
    assert ("did not pay for itself" in found.sentence) is (tagger < 120)
    assert f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]" in found.sentence


def test_a_difference_of_other_parts_is_not_called_the_model_s() -> None:
    left_out = metrics_of(tagger=90, blend=90, encoder=120, retriever=60)
    assert "differs by" in (said := gain_of(left_out).sentence) and ", with the tags of blend (" in said
    same = gain_of(metrics_of(tagger=90, blend=90, encoder=60)).sentence
    assert "differs by +0.000 [+0.000, +0.000], with the same tags (" in same
    used = gain_of(metrics_of(tagger=95, blend=90, encoder=120)).sentence
    assert "with the" not in used
    without_encoder = gain_of(metrics_of(tagger=60, retriever=60, tfidf=90)).sentence
    assert ", with the tags of retriever (" in without_encoder


def test_nothing_is_claimed_where_rows_are_lost_or_systems_are_missing() -> None:
    lost = gain_of(metrics_of(lost=20, tagger=150, retriever=90))
    assert lost.reading == "not judged"
    assert lost.sentence.startswith("It is not known")
    for alone in (metrics_of(tagger=150, base=10), metrics_of(retriever=90, tfidf=20)):
        assert language_model_gain(alone) is None
        assert language_model_in_words(alone) == []


def test_a_single_rival_is_not_said_to_be_the_best_of_several() -> None:
    assert "retriever is the only system without one" in gain_of(metrics_of(tagger=9, retriever=3)).sentence


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (
            TrainingCost(seconds=312.4, tokens=1_234_567),
            "a training job of 312 s over about 1,230,000 tokens",
        ),
        (TrainingCost(seconds=4000), "a training job of 4,000 s"),
        (TrainingCost(seconds=40, price=0.02, currency="EUR"), "a training job of 40 s (0.020 EUR)"),
        (TrainingCost(tokens=77), "training on about 77 tokens"),
    ],
)
def test_the_sentence_says_what_it_cost(cost: TrainingCost, said: str) -> None:
    for tagger in (5, 60, 150):
        assert said in gain_of(metrics_of(tagger=tagger, retriever=60), cost).sentence
    for unknown in (None, TrainingCost()):
        sentence = gain_of(metrics_of(tagger=5, retriever=60), unknown).sentence
        assert "cost" not in sentence and "tokens" not in sentence


def test_a_point_has_a_price_where_an_hour_has_one() -> None:
    metrics = metrics_of(tagger=150, retriever=100)
    paid = gain_of(metrics, TrainingCost(seconds=500, price=2.5, currency="EUR"))
    assert paid.seconds_per_point == pytest.approx(20)
    assert paid.price_per_point == pytest.approx(0.1)
    assert cost_per_point(paid) == "0.10 EUR"
    assert "which is 20 s or 0.10 EUR per point" in paid.sentence
    assert cost_per_point(gain_of(metrics, TrainingCost(seconds=500))) == "20 s"
    # No gain is shown, so nothing was bought.
    assert cost_per_point(gain_of(metrics_of(tagger=100, retriever=100), paid.training)) is None


def test_a_training_that_was_followed_twice_has_no_known_time(tmp_path: Path) -> None:
    clock = iter(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=30 * n) for n in range(99))
    ledger = Ledger(tmp_path / "ledger.sqlite", now=lambda: next(clock))
    plan = PlanOutput.from_json({"plan": PLAN | {"rows_seen": 6}}).plan
    # Of a 60-token part, each row is seen twice.
    assert training_cost(ledger, plan) == TrainingCost(tokens=120)
    # 50 steps of the job that was stopped, and 20 of the one that took its place.
    stopped = StoppedTraining(
        job="cust-1", best_step=20, stopped_at=50, planned=360, reason="it overfits", metrics={}
    )
    assert training_cost(ledger, plan, stopped) == TrainingCost(tokens=round(120 * 70 / 360))
    ledger.begin("customize", "other inputs")
    ledger.fail("customize", {})
    ledger.begin("customize", "one")
    ledger.finish("customize", {})
    once = training_cost(ledger, plan)
    assert once.seconds is not None and once.seconds > 0 and once.price is None
    priced = training_cost(ledger, replace(plan, hourly=HourlyPrice(3600, "EUR", "1 x A100-80GB")))
    assert (priced.price, priced.currency) == (pytest.approx(once.seconds), "EUR")
    ledger.begin("customize", "two")
    ledger.begin("customize", "two")
    ledger.finish("customize", {})
    assert training_cost(ledger, plan).seconds is None
    assert training_cost(ledger, replace(plan, rows_seen=None)).tokens is None


def test_verdicts_of_older_releases_say_it_too(tmp_path: Path) -> None:
    old = read_metrics(make_run(tmp_path / "run"))
    assert old.language_model is None
    (said,) = language_model_in_words(old)
    assert said.startswith("most_frequent is as good without a language model")
    kept = replace(old, language_model=language_model_gain(old, TrainingCost(seconds=9)))
    assert "a training job of 9 s" in language_model_in_words(kept)[0]


def test_terminal_report_and_card_say_the_sentence_of_the_file(tmp_path: Path) -> None:
    for package in ("jinja2", "matplotlib"):
        pytest.importorskip(package)
    folder = make_run(tmp_path / "run")
    before = read_metrics(folder)
    kept = replace(before, language_model=gain_of(before, TrainingCost(seconds=9, tokens=70)))
    (folder / "metrics.json").write_text(json.dumps(kept.as_json()))
    metrics = read_metrics(folder)
    assert metrics == kept
    out = io.StringIO()
    print_verdict(Console(file=out, width=60), metrics)
    plan = PlanOutput.from_json({"plan": PLAN}).plan
    card = model_card(
        parse_recipe(RECIPE), plan=plan, model="m", metrics=metrics, licenses={}, lineage=LINEAGE
    )
    page = html.unescape(re.sub(r"<[^>]*>", "", render_report(folder, licenses={}, attribution="")))
    assert metrics.language_model is not None
    for text in (out.getvalue(), page, card):
        assert text.count(metrics.language_model.sentence) == 1
    shown = io.StringIO()
    print_verdict(Console(file=shown, width=60, force_terminal=True, color_system=None), metrics)
    # In a terminal, lines end between words, so that joining them yields the sentence again.
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= 60
    assert " ".join(metrics.language_model.sentence.split()) in " ".join(" ".join(lines).split())
