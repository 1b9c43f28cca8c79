"""Reading calls from answers, also piece by piece, and holding answers to them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import make_tokenizer

from lawtags_stack.chat.call_format import HERMES, CallFormat
from lawtags_stack.chat.call_grammar import ToolChoice, call_grammar
from lawtags_stack.chat.call_reader import CallReader

BARE = CallFormat(lead="", middle='", "parameters": ', between=None, tail="")
LISTED = CallFormat(lead="CALLS[", between=", ", tail="]")
SPACED = replace(HERMES, lead="<tool_call>\n", tail="\n</tool_call>", between="\n</tool_call>\n<tool_call>\n")
FORMS = [HERMES, BARE, LISTED, SPACED]
NAMES = ("find_statute", "cite")
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "find_statute",
            "parameters": {
                "type": "object",
                "properties": {"title": {"type": "string"}, "year": {"type": "integer"}},
                "required": ["title"],
            },
        },
    },
    {"type": "function", "function": {"name": "cite"}},
]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
arguments = st.dictionaries(st.text(max_size=8), values, max_size=3)


def call(name: str, given: dict[str, Any]) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": given}}


@settings(max_examples=50, deadline=None)
@given(
    form=st.sampled_from(FORMS),
    sent=st.lists(st.tuples(st.sampled_from(NAMES), arguments), min_size=1, max_size=3),
)
def test_what_is_spelled_is_read_back(form: CallFormat, sent: list[tuple[str, dict[str, Any]]]) -> None:
    sent = sent if form.between is not None else sent[:1]
    text, found = form.read(form.spelled([call(*each) for each in sent]), NAMES)
    assert text == ""
    assert [(each.name, json.loads(each.arguments)) for each in found] == sent


@settings(max_examples=50, deadline=None)
@given(
    form=st.sampled_from(FORMS), text=st.text(), sent=arguments, cuts=st.lists(st.integers(1, 7), max_size=30)
)
def test_pieces_of_an_answer_add_up_to_its_text(
    form: CallFormat, text: str, sent: dict[str, Any], cuts: list[int]
) -> None:
    for whole in (text, f"{text}\n{form.spelled([call('cite', sent)])}", form.spelled([call("other", sent)])):
        reader = CallReader(form, NAMES)
        shown, place = "", 0
        for cut in cuts:
            shown += reader.grow(0, whole[place : place + cut])
            place += cut
        rest, content, calls = reader.finish(0, whole)
        assert (shown + rest).strip() == content.strip()
        assert content == whole or calls


@pytest.mark.parametrize(
    "answer",
    [
        '<tool_call>{"name": "find_statute", "arguments": {"title": ',
        '<tool_call>{"name": "unknown", "arguments": {}}</tool_call>',
        '<tool_call>{"name": "cite", "arguments": [1]}</tool_call>',
        "<tool_call></tool_call>",
        "<tool_call>" + '{"a":' * 5000,
        "a lease {as it were}",
    ],
)
def test_what_is_not_a_call_of_an_offered_tool_stays_text(answer: str) -> None:
    assert HERMES.read(answer, NAMES) == (answer, [])


def test_an_answer_that_ends_within_its_second_call_keeps_the_first() -> None:
    whole = HERMES.spelled([call("cite", {"n": 1}), call("cite", {"n": 2})])
    text, found = HERMES.read(whole[: -len("}}</tool_call>")], NAMES)
    assert (text, [each.arguments for each in found]) == ("", ['{"n": 1}'])


@pytest.fixture(scope="module")
def accepts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    llguidance = pytest.importorskip("llguidance")
    from llguidance.hf import from_tokenizer
    from transformers import AutoTokenizer

    folder: Path = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    wrapped = from_tokenizer(tokenizer)

    def check(grammar: str, text: str) -> bool:
        matcher = llguidance.LLMatcher(wrapped, llguidance.LLMatcher.grammar_from_lark(grammar), log_level=0)
        assert not matcher.is_error(), matcher.get_error()
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        return all(matcher.consume_token(token) for token in tokens) and matcher.is_accepting()

    return check


RIGHT = call("find_statute", {"title": "lease", "year": 1988})
WRONG = call("find_statute", {"title": 3})


@pytest.mark.parametrize("form", FORMS)
def test_calls_are_held_to_the_choice_and_the_schemas(accepts: Any, form: CallFormat) -> None:
    right, wrong = form.spelled([RIGHT]), form.spelled([WRONG])
    other, two = form.spelled([call("cite", {"a": [1]})]), form.spelled([RIGHT, RIGHT])
    required = call_grammar(TOOLS, ToolChoice("required"), form)
    assert accepts(required, right) and accepts(required, other)
    assert not accepts(required, wrong) and not accepts(required, "text")
    assert not accepts(required, form.spelled([call("unknown", {})]))
    named = call_grammar(TOOLS, ToolChoice("required", "cite"), form)
    assert accepts(named, other) and not accepts(named, right)
    assert accepts(required, two) is (form.between is not None)
    assert not accepts(call_grammar(TOOLS, ToolChoice("required", parallel=False), form), two)
    auto = call_grammar(TOOLS, ToolChoice(), form)
    assert accepts(auto, "no tool is needed <tool") and accepts(auto, right)
    if form.lead:
        assert (
            accepts(auto, f"I look. {right}") and not accepts(auto, wrong) and not accepts(auto, right + "x")
        )
    none = call_grammar(TOOLS, ToolChoice("none"), form)
    assert accepts(none, "no tool is needed <tool") and not accepts(none, f"I look. {right}")


def test_arguments_may_be_left_open(accepts: Any) -> None:
    grammar = call_grammar(TOOLS, ToolChoice(), HERMES, open_arguments=True)
    assert accepts(grammar, HERMES.spelled([WRONG]))
    assert not accepts(grammar, HERMES.spelled([call("unknown", {})]))
