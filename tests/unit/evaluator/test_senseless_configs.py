"""Configs that no evaluation can carry out are refused before there is a job, with the field at fault."""

from __future__ import annotations

from typing import Any

import pytest

from lawtags_client.errors import UnprocessableError
from lawtags_stack.services.evaluator.spec import read_spec

ROWS: dict[str, Any] = {"type": "rows", "rows": [{"output": "1", "reference": "1"}]}
MODEL: dict[str, Any] = {"type": "model", "model": "a/b", "dataset": "a/d"}
ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "{{ item.q }}"}]}
SCORE = {"type": "int", "parser": {"type": "regex", "pattern": r"(\d+)"}}


def scored(kind: str, **params: Any) -> dict[str, Any]:
    metric = {"type": kind, "params": params}
    return {"type": "custom", "tasks": {"t": {"type": "data", "metrics": {"m": metric}}}}


def asking(**template: Any) -> dict[str, Any]:
    task = {"type": "chat-completion", "params": {"template": {**ASKED, **template}}}
    return {"type": "custom", "tasks": {"t": task}}


def judged(**params: Any) -> dict[str, Any]:
    return scored("llm-judge", **{"model": "a/b", "template": ASKED, "scores": {"s": SCORE}, **params})


def refused(config: dict[str, Any], target: dict[str, Any], place: str) -> str:
    with pytest.raises(UnprocessableError) as caught:
        read_spec(config, target)
    assert place in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    ("kind", "params", "field"),
    [
        ("string-check", {"check": ["a", "matches", "b"]}, "check"),
        ("string-check", {"check": ["a", "<=", "b"]}, "check"),
        ("string-check", {"check": ["a", "{{ item.op }}", "b"]}, "check"),
        ("string-check", {"check": ["a", "contains", "b", "c"]}, "check"),
        ("string-check", {"check": ["a", "contains", "b"], "ignore_case": True}, "ignore_case"),
        ("number-check", {"check": ["1", "endswith", "2"]}, "check"),
        ("number-check", {"check": ["1", "absolute difference", "2", "epsilon", "wide"]}, "epsilon"),
        ("number-check", {"check": ["1", "absolute difference", "2", "-0.5"]}, "epsilon"),
        ("number-check", {"check": ["1", "absolute difference", "2"], "epsilon": True}, "epsilon"),
        ("number-check", {"check": ["1", ">=", "2"], "epsilon": 0.5}, "epsilon"),
        ("f1", {"references": ["{{ item.a }}"]}, "references"),
        ("rouge", {"ground_truth": ["a"]}, "ground_truth"),
        ("bleu", {"references": []}, "references"),
        ("tool-calling", {"tool_calls_ground_truth": 3}, "tool_calls_ground_truth"),
    ],
)
def test_metrics(kind: str, params: dict[str, Any], field: str) -> None:
    assert field in refused(scored(kind, **params), ROWS, "config.tasks.t.metrics.m.params")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", -7),
        ("max_tokens", 0),
        ("max_tokens", True),
        ("max_tokens", "many"),
        ("max_completion_tokens", 2.5),
        ("temperature", -0.1),
        ("temperature", "hot"),
        ("top_p", 1.5),
        ("n", 4),
        ("seed", "x"),
        ("stop", [1]),
        ("stream", True),
        ("messages", []),
        ("messages", [{"content": "x"}]),
        ("messages", "text"),
        ("tools", {"name": "f"}),
        ("tools", ["f"]),
        ("tools", [{"type": "function"}]),
        ("tools", [{"type": "function", "function": {"parameters": {}}}]),
        ("tools", "get_weather"),
        ("tool_choice", "always"),
        ("response_format", "json"),
    ],
)
def test_requests(field: str, value: Any) -> None:
    refused(asking(**{field: value}), MODEL, f"config.tasks.t.params.template.{field}")
    judge = judged(template={**ASKED, field: value})
    refused(judge, ROWS, f"config.tasks.t.metrics.m.params.template.{field}")


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_new_tokens": 8}, "max_new_tokens"),
        ({"parallelism": 0}, "parallelism"),
        ({"limit_samples": 0}, "limit_samples"),
        ({"request_timeout": -5}, "request_timeout"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 7}, "top_p"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"extra": {"num_fewshot": 5}}, "extra.num_fewshot"),
        ({"extra": {"top_k": "x"}}, "extra.top_k"),
    ],
)
def test_parameters(params: dict[str, Any], field: str) -> None:
    refused({**asking(), "params": params}, MODEL, f"config.params.{field}")


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"model": ""}, "model"),
        ({"model": {}}, "model"),
        ({"model": {"api_endpoint": {"url": "http://a.test/v1"}}}, "model"),
        ({"template": {}}, "template"),
        ({"template": {"temperature": 0.0}}, "template"),
        ({"scores": {}}, "scores"),
        ({"scores": {"s": {**SCORE, "type": "grade"}}}, "scores.s.type"),
        ({"scores": {"s": {"parser": {"type": "json", "pattern": "(a)"}}}}, "scores.s.parser.type"),
        ({"scores": {"s": {"parser": {"pattern": r"\d"}}}}, "scores.s.parser.pattern"),
        ({"scores": {"s": {"parser": {"pattern": "([a-z)"}}}}, "scores.s.parser.pattern"),
        ({"max_tokens": 5}, "max_tokens"),
    ],
)
def test_judges(params: dict[str, Any], field: str) -> None:
    refused(judged(**params), ROWS, f"config.tasks.t.metrics.m.params.{field}")


def test_what_would_be_left_undone() -> None:
    refused(asking(), {"type": "model", "model": "a/b"}, "config.tasks.t.dataset")
    task = {"type": "data", "params": {"template": ASKED}}
    refused({"type": "custom", "tasks": {"t": task}}, ROWS, "config.tasks.t.params.template")
    groups = {"all": {"groups": {"some": {"tasks": ["t", "absent"]}}}}
    refused({**scored("em"), "groups": groups}, ROWS, "config.groups.all.groups.some.tasks")


def test_sensible_configs_stay() -> None:
    templates = {
        "messages": ["{{ item.message | tojson }}", {"role": "user", "content": None}],
        "max_tokens": "{{ item.most }}",
        "tools": "{{ item.tools | tojson }}",
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "temperature": 0,
        "unknown_of_this_server": [1],
    }
    limits = {"max_tokens": 5, "temperature": 0, "stop": ["x"], "extra": {"top_k": 20}}
    found = read_spec({**asking(**templates), "params": limits}, MODEL).config.params
    assert found is not None
    assert found.sampling() == {"max_tokens": 5, "temperature": 0, "stop": ["x"], "top_k": 20}
    for check in (["a", "equals", 3], ["not contains", "a", "b"]):
        read_spec(scored("string-check", check=check), ROWS)
    for check in (["1", "absolute difference", "2", "epsilon", "0.5"], [">", "1", "2"]):
        read_spec(scored("number-check", check=check), ROWS)
    # As data-flywheel sends it.
    judge = {"api_endpoint": {"url": "http://a.test/v1", "model_id": "m"}}
    read_spec(scored("tool-calling", model=judge), ROWS)
    for model in ("a/b@v1", {"name": "m"}, {"url": "http://a.test", "model_id": "m"}):
        read_spec(judged(model=model), ROWS)
