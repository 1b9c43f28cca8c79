from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import BadRequestError
from lawtags_stack.services.evaluator import metrics
from lawtags_stack.services.evaluator.rows import clean_rows, parse_rows
from lawtags_stack.services.evaluator.templates import render


@pytest.mark.parametrize(
    "left, operator, right, holds",
    [
        ("a", "equals", "a", True),
        ("a", "not equals", "a", False),
        ("abc", "contains", "b", True),
        ("abc", "not contains", "b", False),
        ("abc", "startswith", "ab", True),
        ("abc", "endswith", "ab", False),
    ],
)
def test_string_check(left: str, operator: str, right: str, holds: bool) -> None:
    assert metrics.string_check(left, operator, right) == {"string-check": float(holds)}


@pytest.mark.parametrize(
    "left, operator, right, holds",
    [
        ("1", "==", "1.0", 1),
        ("2", "less than", "1", 0),
        ("1", "absolute difference", "1.4", 1),
        ("3", ">=", "3", 1),
    ],
)
def test_number_check(left: str, operator: str, right: str, holds: int) -> None:
    assert metrics.number_check(left, operator, right, epsilon=0.5) == {"number-check": float(holds)}


def test_a_word_is_no_number_and_counts_apart() -> None:
    scores = metrics.summarize([metrics.number_check("x", "==", "1"), metrics.number_check("1", "==", "1")])
    assert scores["number-check"]["value"] == 1
    assert scores["number-check"]["stats"]["nan_count"] == 1


@pytest.mark.parametrize("check", [metrics.string_check, metrics.number_check])
def test_unknown_operators_are_refused(check: object) -> None:
    with pytest.raises(BadRequestError, match="like"):
        check("1", "like", "1")  # type: ignore[operator]


def test_f1_and_em_compare_as_squad_does() -> None:
    assert metrics.exact_match("The Cat!", "cat") == {"em": 1.0}
    assert metrics.token_f1("a cat sat", "the cat ran") == {"f1": 0.5}
    assert metrics.token_f1("", "") == {"f1": 1.0}


def test_bleu_of_equal_texts_is_a_hundred() -> None:
    sentences, corpus = metrics.bleu(["the law of the land is old"], [["x", "the law of the land is old"]])
    assert sentences == [pytest.approx(100)]
    assert corpus == pytest.approx(100)


def test_rouge_needs_no_packages_that_take_seconds_to_import() -> None:
    code = (
        "import sys; from lawtags_stack.services.evaluator import metrics\n"
        "found = metrics.rouge('the leases were signed', 'the lease was signed')\n"
        "heavy = {'torch', 'scipy', 'sklearn', 'pandas', 'transformers'} & set(sys.modules)\n"
        "print(sorted(heavy), round(found['rouge_1_score'], 2))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "0.75"]


def test_rouge_of_equal_texts_is_one() -> None:
    assert set(metrics.rouge("law of the land", "law of the land").values()) == {1.0}


def test_a_judge_s_score_that_is_not_found_is_nan() -> None:
    wanted = {"a": {"type": "int", "parser": {"pattern": r"(\d)"}}, "b": {"parser": {"pattern": "z(.)"}}}
    found = metrics.judge_scores("grade 4", wanted)
    assert found["a"] == 4
    assert math.isnan(found["b"])


def test_tool_calls_are_compared_by_name_and_by_arguments() -> None:
    call = {"function": {"name": "f", "arguments": '{"x": 1}'}}
    response = {"choices": [{"message": {"tool_calls": [call]}}]}
    same = [{"function": {"name": "f", "arguments": {"x": 1}}}]
    other = [{"function": {"name": "f", "arguments": {"x": 2}}}]
    assert set(metrics.tool_calls(response, same).values()) == {1.0}
    assert metrics.tool_calls(response, other)["function_name_accuracy"] == 1
    assert metrics.tool_calls(response, other)["function_name_and_args_accuracy"] == 0


@given(st.lists(st.floats(-1e6, 1e6), min_size=2))
def test_statistics_agree_with_the_standard_library(values: list[float]) -> None:
    import statistics

    stats = metrics.summarize([{"x": value} for value in values])["x"]["stats"]
    assert stats["mean"] == pytest.approx(statistics.fmean(values), abs=1e-6)
    assert stats["variance"] == pytest.approx(statistics.variance(values), rel=1e-6, abs=1e-6)


def test_templates_give_text_and_json() -> None:
    values = {"item": {"p": "[1]", "m": [{"role": "user", "content": "ü"}]}, "p": "x"}
    assert render("{{item.p}} {{p}}", values) == "[1] x"
    assert render("{{item.p}}", values) == "[1]"
    assert render({"m": "{{ item.m | tojson }}", "n": 3}, values) == {"m": values["item"]["m"], "n": 3}  # type: ignore[index]


@pytest.mark.parametrize(
    "template", ["{{ item.__class__ }}", "{{ missing }}", "{% for", "{{ item.update({}) }}"]
)
def test_templates_cannot_leave_the_sandbox(template: str) -> None:
    with pytest.raises(BadRequestError, match="template"):
        render(template, {"item": {}})


def test_columns_are_named_as_templates_name_them() -> None:
    assert clean_rows([{"A b": 1, "a-b": 2, "a_b": 3}]) == [{"a_b": 1, "a_b_1": 2, "a_b_2": 3}]


@pytest.mark.parametrize(
    "path, content",
    [
        ("a.json", b'[{"x": "1"}, {"x": "2"}]'),
        ("a.jsonl", b'\xef\xbb\xbf{"x": "1"}\n\n{"x": "2"}\n'),
        ("a.json", b'{"x": "1"}\n{"x": "2"}'),
        ("a.csv", b"x\r\n1\r\n2\r\n"),
    ],
)
def test_row_files_of_all_formats(path: str, content: bytes) -> None:
    assert parse_rows(path, content) == [{"x": "1"}, {"x": "2"}]


@pytest.mark.parametrize("content", [b"\xff", b"[1]", b"{"])
def test_files_that_hold_no_rows_are_refused(content: bytes) -> None:
    with pytest.raises(BadRequestError, match="expected format"):
        parse_rows("a.json", content)


def test_a_row_that_is_not_json_is_named_by_file_line_and_column() -> None:
    with pytest.raises(BadRequestError, match=r"expected format: a\.jsonl:2:7: is not valid JSON"):
        parse_rows("a.jsonl", b'{"x": "1"}\n{"x": y}\n')
