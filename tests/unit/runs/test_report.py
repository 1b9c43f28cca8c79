"""The page and the card, from a run's folder that was written by hand."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from made_run import HOSTILE, LICENSE, LINEAGE, PLAN, RECIPE, make_run

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.files import sha256_file
from lawtags_client.runs.metrics import Metrics, read_metrics
from lawtags_client.runs.model_card import attribution, data_licenses, model_card
from lawtags_client.runs.outputs import PlanOutput
from lawtags_client.runs.pooling import SplitSampling, pool
from lawtags_client.runs.probabilities import SystemProbabilities
from lawtags_client.runs.recipe import EvaluationSection, parse_recipe
from lawtags_client.runs.repeats import find_repeats
from lawtags_client.runs.report import render_report, unsure
from lawtags_client.runs.trust import measure_trust
from lawtags_client.runs.verdict import verdict
from lawtags_client.tagging.metrics import TagScore

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

SMALL = parse_recipe(RECIPE)


def page(folder: Path) -> str:
    return render_report(folder, licenses={HOSTILE: 3}, attribution=HOSTILE)


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.addresses: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href", "action")]


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", title=HOSTILE)


def test_what_data_say_is_text_and_nothing_else(hostile: Path) -> None:
    step = {"name": HOSTILE, "rows_in": 4, "rows_out": 3, "seconds": 0.1, "note": HOSTILE}
    dropped = {"id": HOSTILE, "file": HOSTILE, "line": 1, "reason": HOSTILE, "title": HOSTILE}
    changed = {"id": "1", "file": "a", "line": 1, "field": "title", "before": "a", "after": HOSTILE}
    card = {
        "steps": [step],
        "rejected": {HOSTILE: {HOSTILE: 1}},
        "examples": {"changed": {HOSTILE: [changed]}, "dropped": {HOSTILE: [dropped]}},
        "labels": {"parts": {HOSTILE: {"training": 1}}},
        "notes": [HOSTILE],
    }
    (hostile / "curated" / "curation.json").write_text(json.dumps(card))
    text = page(hostile)
    elements = Elements()
    elements.feed(text)
    assert "script" not in elements.names
    assert "&lt;script&gt;" in text
    assert "\x1b" not in text


def test_the_page_opens_without_a_network(hostile: Path) -> None:
    text = page(hostile)
    elements = Elements()
    elements.feed(text)
    # The charts refer to parts of themselves.
    assert all(address and address.startswith("#") for address in elements.addresses)
    assert not {"link", "script", "img", "iframe", "object"} & set(elements.names)
    assert not re.search(r"@import|url\((?!#)", text)


def test_a_pair_without_a_difference_reads_alike_in_table_and_sentences(hostile: Path) -> None:
    path = hostile / "metrics.json"
    metrics = json.loads(path.read_text())
    for row in metrics["differences"]:
        row |= {"low": -0.1, "high": 0.1, "reading": "not shown"}
    path.write_text(json.dumps(metrics))
    text = page(hostile)
    cells = re.findall(r'<td data-label="reading">([^<]*)</td>', text)
    # All pairs by all figures, and the main pairs by micro F1.
    assert cells.count("no difference shown") == len(cells) > len(metrics["differences"]) > 0
    assert ">not shown<" not in text


def test_page_and_card_say_whether_embeddings_were_used(hostile: Path) -> None:
    path = hostile / "metrics.json"
    before = read_metrics(hostile)
    assert "retriever: with" not in page(hostile)
    for said in ("with sentence embeddings by a|b<i>\x1b[2J", "without sentence embeddings: none"):
        path.write_text(json.dumps(before.as_json() | {"embeddings": said}))
        plan = PlanOutput.from_json({"plan": PLAN}).plan
        card = model_card(
            SMALL, plan=plan, model="m", metrics=read_metrics(hostile), licenses={}, lineage=LINEAGE
        )
        for text in (page(hostile), card):
            assert "retriever: with" in text
            assert "\x1b" not in text and "<i>" not in text


def with_probabilities(folder: Path, rows: int = 60) -> Metrics:
    """Give a run a verdict with probabilities: calibrated ones of the tagger, too high ones of TF-IDF."""
    draw = np.random.default_rng(0)
    names = (HOSTILE, *(f"tag-{number}" for number in range(7)))
    odds = draw.normal(-1, 2, (rows, len(names)))
    truth = [
        frozenset(names[place] for place in np.flatnonzero(row))
        for row in draw.random(odds.shape) < 1 / (1 + np.exp(-odds))
    ]
    scores = {"tagger": 1 / (1 + np.exp(-odds)), "tfidf": 1 / (1 + np.exp(-odds - 2))}
    given = {
        system: [frozenset(names[place] for place in np.flatnonzero(row > 0.5)) for row in values]
        for system, values in scores.items()
    }
    kept = {system: SystemProbabilities(values, names, np.arange(rows)) for system, values in scores.items()}
    options = EvaluationSection(bootstrap=100)
    trust = measure_trust(truth, given, kept, options)
    metrics = replace(verdict(truth, given, options), calibration=trust.calibration, coverage=trust.coverage)
    (folder / "metrics.json").write_text(json.dumps(metrics.as_json()))
    return metrics


def test_the_page_says_whether_probabilities_can_be_trusted_and_what_abstaining_gains(hostile: Path) -> None:
    metrics = with_probabilities(hostile)
    text = page(hostile)
    assert "no error shown" in text and "too high" in text
    elements = Elements()
    elements.feed(text)
    assert elements.names.count("figure") == 2
    assert elements.names.count("svg") == 5  # loss, systems, two of reliability, coverage
    for point in (metrics.coverage["tagger"][0], metrics.coverage["tagger"][-1]):
        assert f"{point.precision_interval[0]:.3f} to {point.precision_interval[1]:.3f}" in text
    assert "<script>" not in text and "\x1b" not in text


def test_the_page_of_an_older_verdict_has_neither(hostile: Path) -> None:
    assert "Can the probabilities be trusted" not in page(hostile)
    assert "What abstaining gains" not in page(hostile)


def test_tags_have_intervals_and_those_with_too_few_rows_are_marked(hostile: Path) -> None:
    metrics = with_probabilities(hostile)
    few = TagScore("few", 1, 0.5, 2 / 3, 2, 1, 1, (0.2, 1.0), (0.1, 0.9), (0.2, 0.9))
    metrics.per_tag["tagger"] += (few,)
    (hostile / "metrics.json").write_text(json.dumps(metrics.as_json()))
    rows = re.findall(r'<tr( class="unsure")?><td data-label="tag">([^<]*)</td>', page(hostile))
    marked = {tag for mark, tag in rows if mark}
    assert "few" in marked
    assert "tag-1" in {tag for _, tag in rows} - marked
    assert f"{sum(unsure(tag) for tag in metrics.per_tag['tagger'])} of 9 tags have too few" in page(hostile)


def test_an_older_verdict_shows_precision_and_recall_without_intervals(hostile: Path) -> None:
    metrics = with_probabilities(hostile)
    metrics.per_tag["tagger"] = (
        TagScore("old", 0.25, 0.75, 0.375, 4, 12, 3),
        TagScore("no", 0, 0, 0, 4, 0, 0),
    )
    content = json.loads(json.dumps(metrics.as_json()))
    for row in content["per_tag"]["tagger"]:
        row |= dict.fromkeys(("precision_interval", "recall_interval", "f1_interval"))
    (hostile / "metrics.json").write_text(json.dumps(content))
    rows = re.findall(r'<td data-label="tag">(?:old|no)</td>.*', page(hostile))
    assert re.findall(r'">([^<]*)</td>', rows[0])[1:7] == ["4", "12", "3", "0.25", "0.75", "0.38"]
    assert re.findall(r'">([^<]*)</td>', rows[1])[1:7] == ["4", "0", "0", "-", "0.00", "0.00"]


def test_the_charts_take_their_colors_from_the_page(hostile: Path) -> None:
    with_probabilities(hostile)
    text = page(hostile)
    charts = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert "var(--first, " in charts
    assert set(re.findall(r"var\((--[a-z-]+)", text)) <= set(re.findall(r"(--[a-z-]+):", text))
    # Black is what a chart draws where it was told no color, and it cannot be seen on a dark page.
    assert not re.search(r"(fill|stroke): (#000000|black)", charts)


def test_the_same_run_gives_the_same_page(hostile: Path) -> None:
    assert page(hostile) == page(hostile)


@pytest.mark.parametrize(
    "name",
    ["metrics.json", "plan.json", "customization.json", "curated/curation.json",
     "curated/questions/testing.jsonl", "predictions-tuned.jsonl"],
)  # fmt: skip
def test_a_file_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    folder = make_run(tmp_path / "run")
    (folder / name).unlink()
    with pytest.raises(ConfigurationError, match=re.escape(name)) as caught:
        page(folder)
    assert caught.value.hint


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "metrics.json").write_text('{"systems": ')
    with pytest.raises(DataError, match=r"metrics\.json"):
        page(folder)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("metrics.json", "[]", "it must be an object"),
        ("metrics.json", '{"schema_version": 1}', "test_rows is missing"),
        ("metrics.json", '{"test_rows": 1, "systems": 5}', "systems must be an object"),
        ("metrics.json", '{"test_rows": "many", "systems": {}}', "test_rows must be a whole number"),
        ("plan.json", "null", "it must be an object"),
        ("plan.json", '{"schema_version": 1}', "config is missing"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_without_types_of_python(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    folder = make_run(tmp_path / "run")
    (folder / name).write_text(content)
    with pytest.raises(DataError, match=re.escape(f"{name} cannot be read: {said}")):
        page(folder)


def card(licenses: dict[str, int], **curation: object) -> str:
    recipe = parse_recipe(RECIPE | {"curation": curation})
    metrics = Metrics(test_rows=3, systems={})
    return model_card(
        recipe,
        plan=PlanOutput.from_json({"plan": PLAN}).plan,
        model="tests/tagger@v1",
        metrics=metrics,
        licenses=licenses,
        lineage=LINEAGE,
    )


def test_the_card_names_recipe_data_job_and_their_digests() -> None:
    text = card({LICENSE: 3})
    lineage = text[text.index("## Lineage") : text.index("## Results")]
    for word in ("ab" * 32, "cd" * 32, "ef" * 32, "cust-1", "tests/tagger@lt-1", "questions.jsonl, 4 rows"):
        assert word in lineage


def test_the_cards_header_is_yaml_that_hubs_read() -> None:
    text = card({LICENSE: 3})
    _, header, body = text.split("---\n", 2)
    read = yaml.safe_load(header)
    assert read["base_model"] == "ns/model"
    assert read["library_name"] == "peft"
    assert read["datasets"] == ["lawtags/questions"]
    assert body.lstrip().startswith("# tests/tagger@v1")


@pytest.mark.parametrize(
    "name", ["CC BY-SA 4.0", "cc-by-sa-3.0", "CC BY SA", "Creative Commons Attribution-ShareAlike 4.0"]
)
def test_share_alike_rows_are_attributed(name: str) -> None:
    assert "Questions by users of Stack Exchange" in card({name: 3})
    assert "shared under the same license" in attribution(SMALL, {name: 3, "CC0-1.0": 9})


@pytest.mark.parametrize("name", ["CC0-1.0", "MIT", "not stated"])
def test_other_licences_are_not(name: str) -> None:
    assert "Stack Exchange" not in card({name: 3})


def test_the_recipes_word_on_data_goes_first() -> None:
    recipe = parse_recipe(RECIPE | {"dataset": {"license": "MIT", "attribution": "By us."}})
    assert data_licenses(recipe, [{"license": LICENSE}] * 2) == {"MIT": 2}
    assert attribution(recipe, {"MIT": 2}) == "By us."
    assert data_licenses(SMALL, [{"license": LICENSE}, {}]) == {LICENSE: 1, "not stated": 1}


def test_a_licence_cannot_break_the_cards_tables() -> None:
    text = card({"a | b\n# <script>": 1})
    (row,) = [line for line in text.splitlines() if line.startswith("| a")]
    assert row == "| a \\| b\\u000a# &lt;script> | 1 |"


def test_the_card_says_whether_personal_data_was_looked_for() -> None:
    assert "A detector replaced" in card({})
    assert "were not checked for personal data" in card({}, pii={"entities": []})


def test_page_and_card_show_repeated_splits_and_point_to_them_where_there_are_none(hostile: Path) -> None:
    metrics, plan = read_metrics(hostile), PlanOutput.from_json({"plan": PLAN}).plan
    assert "evaluation.repeats=5" in page(hostile)
    pooled = pool(
        [metrics, metrics, metrics],
        sampling=SplitSampling(0.3, same_test_rows=False, test_rows=3),
        systems=["blend", "encoder", "tfidf"],
        repeated_systems="local",
        varied="split",
        seeds=[1, 2, 3],
        metrics_sha256=sha256_file(hostile / "metrics.json"),
    )
    (hostile / "repeats.json").write_text(json.dumps(pooled.as_json()))
    assert find_repeats(hostile) == pooled
    card = model_card(
        SMALL, plan=plan, model="m", metrics=metrics, licenses={}, lineage=LINEAGE, repeats=pooled
    )
    for text in (page(hostile), card):
        assert "Over 3 splits: blend is best on average" in text
        assert "blend against tfidf: micro F1 +0.000" in text
        assert "not repeated: tagger, tuned, base, retriever" in text
        assert "evaluation.repeats=5" not in text
    for figures in ({}, {"micro_f1": {"values": [], "mean": 0.5, "low": 0.4, "high": 0.6}}):
        damaged = json.loads(json.dumps(pooled.as_json()))
        damaged["systems"]["tfidf"] = {**(damaged["systems"]["tfidf"] if figures else {}), **figures}
        (hostile / "repeats.json").write_text(json.dumps(damaged))
        with pytest.raises(
            DataError, match=r"(?s)read: [^:].*tfidf.*evaluation\.repeats, or remove this file"
        ):
            find_repeats(hostile)
