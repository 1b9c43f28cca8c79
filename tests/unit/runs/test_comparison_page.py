"""The page of a comparison, from folders that were written by hand."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_run import HOSTILE, RECIPE, make_run
from typer.testing import CliRunner

from lawtags_client.cli.app import app
from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.comparison import compare_runs
from lawtags_client.runs.comparison_page import render_comparison
from lawtags_client.runs.differing_keys import differing_keys
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.predictions import prediction, write_predictions
from lawtags_client.runs.recipe import parse_recipe
from lawtags_client.tagging.paired_tags import pair_tags

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

TAGS = st.frozensets(st.sampled_from("abcd"), max_size=3)


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """The second run has one more right tag in two of three questions, and another recipe."""
    one = make_run(tmp_path / "runs" / "one", title=HOSTILE)
    two = make_run(tmp_path / "runs" / "two", title=HOSTILE)
    rows = [
        prediction(n, id, ["landlord", *(["contract-law"] if n else [])], scores={})
        for n, id in enumerate("abc")
    ]
    write_predictions(two, "tagger", rows)
    recipe = parse_recipe(RECIPE | {"training": {"epochs": 4}}).record()
    Ledger(two / "ledger.sqlite").set_fact("recipe", recipe)
    return [one, two]


def test_the_page_says_who_won_which_questions_and_what_differs(runs: list[Path]) -> None:
    text = render_comparison(compare_runs(runs), runs)
    assert "two is better than one" in text or "No difference between two and one is shown" in text
    assert "2 questions won" in text
    assert "training.epochs" in text
    tags = re.search(r'<section id="tags">.*?</section>', text, re.DOTALL)
    assert tags is not None and "contract-law" in tags[0]
    assert "is as good as A on every question with tuned" in text


def test_the_page_needs_no_network_and_runs_nothing(runs: list[Path]) -> None:
    text = render_comparison(compare_runs(runs), runs)
    elements = Elements()
    elements.feed(text)
    assert "script" not in elements.names and "link" not in elements.names
    assert all(each.startswith("#") for each in elements.addresses)
    assert "&lt;script&gt;" in text and "\x1b" not in text


def test_another_system_may_be_shown_and_an_unknown_one_is_refused(runs: list[Path]) -> None:
    found = compare_runs(runs)
    text = render_comparison(found, runs, "tfidf")
    assert "Tags of tfidf" in text
    with pytest.raises(ConfigurationError, match="luck") as caught:
        render_comparison(found, runs, "luck")
    assert "tagger" in (caught.value.hint or "")


def test_runs_with_other_test_rows_stand_beside_each_other_without_differences(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / "one"), make_run(tmp_path / "two", ids=("x", "y"))]
    text = render_comparison(compare_runs(folders), folders)
    assert "not directly comparable" in text
    assert 'id="tags"' not in text and 'id="won"' not in text


def test_the_command_writes_the_page(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call = CliRunner().invoke
    done = call(app, ["runs", "compare", "one", "two", "--html", "a b/page.html", "--json"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a b" / "page.html").read_text("utf-8").startswith("<!doctype html>")
    told = json.loads(done.stdout)
    assert told["settings"] == [{"key": "training.epochs", "values": ["1", "4"]}]
    (tmp_path / "file").write_text("")
    for words in (
        ["--html", "file/page.html"],
        ["--html", "p.html", "--system", "luck"],
        ["--system", "tagger"],
    ):
        done = call(app, ["runs", "compare", "one", "two", *words])
        assert done.exit_code in (1, 2), done.output
        assert "Traceback" not in done.output


def test_a_recipe_of_an_older_release_differs_in_what_was_set_alone(runs: list[Path]) -> None:
    Ledger(runs[0] / "ledger.sqlite").set_fact("recipe", RECIPE)
    assert [each.key for each in differing_keys(runs)] == ["training.epochs"]
    Ledger(runs[0] / "ledger.sqlite").set_fact("recipe", {"of": "the future"})
    assert ("of", ("the future", "not set")) in [(each.key, each.values) for each in differing_keys(runs)]


def test_long_values_that_differ_at_their_end_differ(runs: list[Path]) -> None:
    gates = [
        {"system": "tagger", "tag": f"tag-{number}", "metric": "recall", "at_least": 0.5}
        for number in range(9)
    ]
    for number, run in enumerate(runs):
        last = {"system": "tagger", "metric": "micro_f1", "at_least": 0.5 + number / 10}
        Ledger(run / "ledger.sqlite").set_fact("recipe", {**RECIPE, "gates": [*gates, last]})
    (found,) = differing_keys(runs)
    assert found.key == "gates" and len(set(found.values)) == len(runs)
    # As it is written in a recipe, without what nobody has set.
    assert all(
        value.startswith('[{"system": "tagger", "metric": "recall", "tag": "tag-0"') for value in found.values
    )


@given(rows=st.lists(st.tuples(TAGS, TAGS, TAGS), min_size=1, max_size=12))
def test_each_decision_that_differs_is_won_by_one_side(
    rows: list[tuple[frozenset[str], frozenset[str], frozenset[str]]],
) -> None:
    truth, mine, other = zip(*rows, strict=True)
    for tag in pair_tags(truth, mine, other):
        differing = sum((tag.tag in a) != (tag.tag in b) for a, b in zip(mine, other, strict=True))
        assert tag.won + tag.lost == differing
        right = [sum((tag.tag in said) == (tag.tag in true) for said, true in zip(given, truth, strict=True))
                 for given in (mine, other)]  # fmt: skip
        assert right[0] - right[1] == tag.won - tag.lost
        assert 0 <= tag.p_value <= 1
    with pytest.raises(ConfigurationError):
        pair_tags(truth, mine, [*other, frozenset()])


def test_runs_that_tag_every_question_alike_are_said_to_do_so(runs: list[Path], tmp_path: Path) -> None:
    alike = [runs[0], make_run(tmp_path / "runs" / "three", title=HOSTILE)]
    said = "No question is tagged better by one run than by another."
    assert said in render_comparison(compare_runs(alike), alike)
    assert said not in render_comparison(compare_runs(runs), runs)
