"""What templates may name, where a model is asked, and the forms of checks."""

from __future__ import annotations

from typing import Any

import pytest

from lawtags_client.errors import BadRequestError
from lawtags_stack.services.evaluator import metrics
from lawtags_stack.services.evaluator.model_client import Endpoint
from lawtags_stack.services.evaluator.scoring import Sample, Scorer, results

ROW = {"question": "2+2", "answer": "4", "response": "recorded", "output_text": "old"}


def answered(row: dict[str, Any], text: str) -> Sample:
    response = {"choices": [{"message": {"role": "assistant", "content": text}}], "model": "m"}
    return Sample(row, text, response)


@pytest.mark.parametrize(
    "template, filled",
    [
        ("{{output_text}}", "four"),
        ("{{ sample.output_text }}", "four"),
        ("{{answer}}/{{item.answer}}", "4/4"),
        ("{{ response }}", "recorded"),
        ("{{ sample.response.choices[0].message.content }}", "four"),
        ("{{ item.output_text }}", "old"),
    ],
)
def test_fields_are_named_with_and_without_a_prefix(template: str, filled: str) -> None:
    assert answered(ROW, "four").text(template) == filled


def test_a_recorded_row_brings_its_own_output() -> None:
    sample = Sample.recorded({"output": "four", "reference": "4"})
    assert (
        sample.text("{{output_text}} {{output}} {{sample.output_text}} {{reference}}") == "four four four 4"
    )
    assert Sample.recorded({"output_text": "x"}).text("{{output_text}}") == "x"


@pytest.mark.parametrize(
    "url",
    [
        "http://nim.test/v1",
        "http://nim.test/v1/",
        "http://nim.test",
        "http://nim.test/v1/completions",
        "http://nim.test/v1/completions/",
        "http://nim.test/v1/chat/completions",
    ],
)
def test_the_request_chooses_the_path(url: str) -> None:
    endpoint = Endpoint(url, "m")
    assert endpoint.address({"messages": []}) == "http://nim.test/v1/chat/completions"
    assert endpoint.address({"prompt": "x"}) == "http://nim.test/v1/completions"


def test_other_bases_and_queries_are_kept() -> None:
    endpoint = Endpoint("https://gate.test/openai/a%20b/completions?api-version=1", "m")
    wanted = "https://gate.test/openai/a%20b/chat/completions?api-version=1"
    assert endpoint.address({"messages": []}) == wanted


@pytest.mark.parametrize(
    "check, value",
    [
        (["{{a}}", "absolute difference", "{{b}}", 1], 1.0),
        (["absolute difference", "{{a}}", "{{b}}", "epsilon", 1], 1.0),
        (["absolute difference", "{{a}}", "{{b}}", "epsilon", "0.5"], 0.0),
        (["greater than", "{{b}}", "{{a}}"], 1.0),
        (["{{b}}", "<", "{{a}}"], 0.0),
    ],
)
def test_the_operator_of_a_check_stands_between_or_before_the_sides(check: list[Any], value: float) -> None:
    scorer = Scorer({"n": {"type": "number-check", "params": {"check": check}}})
    assert scorer.row(Sample.recorded({"a": 3, "b": 4})).figures == {"n": {"number-check": value}}


def test_an_epsilon_that_is_not_a_number_is_refused() -> None:
    check = ["1", "absolute difference", "2", "epsilon", "much"]
    scorer = Scorer({"n": {"type": "number-check", "params": {"check": check}}})
    with pytest.raises(BadRequestError, match="epsilon"):
        scorer.row(Sample.recorded({}))


def test_similarity_scores_are_plain_and_bleu_ends_at_one() -> None:
    sample = Sample.recorded({"output": "the law is clear here", "reference": "the law is clear here"})
    configs = {"bleu": {"type": "bleu"}, "em": {"type": "em"}}
    row = Scorer(configs).row(sample)
    plain = results(configs, [row.figures], [row.texts], metrics.bleu, similarity=True)
    assert plain["bleu"]["scores"] == {"bleu_score": {"value": pytest.approx(1.0)}}
    assert plain["em"]["scores"] == {"em": {"value": 1.0}}
    custom = results(configs, [row.figures], [row.texts], metrics.bleu)
    assert custom["bleu"]["scores"]["corpus"]["value"] == pytest.approx(100.0)
    assert custom["bleu"]["scores"]["sentence"]["stats"]["count"] == 1
    assert custom["em"]["scores"]["em"]["stats"]["count"] == 1
