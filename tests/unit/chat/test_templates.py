"""Rows with tools through chat templates of several families, and what a template does not show."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from tiny_models import CHAT_TEMPLATE, make_tokenizer

from lawtags_client.errors import DataError
from lawtags_stack.chat.call_format import HERMES
from lawtags_stack.chat.messages import plain_messages, plain_tools
from lawtags_stack.chat.template import ChatTemplate
from lawtags_stack.engines.training.examples import RowEncoder
from lawtags_stack.engines.training.model import load_tokenizer
from lawtags_stack.engines.training.rows import TrainingRow

END = "<eos>\n"
OPEN = "{% if add_generation_prompt %}<|assistant|>{% endif %}"
# Each is made after what a family of models does, in as few words as show it.
MARKED = (
    "{% if tools %}<|system|>{% for tool in tools %}{{ tool | tojson }}{% endfor %}<eos>\n{% endif %}"
    "{% for m in messages %}<|{{ 'user' if m.role == 'tool' else m.role }}|>"
    "{% if m.role == 'tool' %}<tool_response>{{ m.content }}</tool_response>"
    "{% else %}{{ m.content }}{% endif %}"
    "{% for call in m.tool_calls or [] %}{{ '\\n' if m.content or not loop.first }}<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</tool_call>'
    "{% endfor %}<eos>\n{% endfor %}" + OPEN
)
BARE = (
    "{% for m in messages %}"
    "{% if m.tool_calls %}{% if m.tool_calls | length > 1 %}{{ raise_exception('one call only') }}{% endif %}"
    '<|assistant|>{"name": "{{ m.tool_calls[0].function.name }}", "parameters": '
    "{{ m.tool_calls[0].function.arguments | tojson }}}<eos>\n"
    "{% else %}<|{{ m.role }}|>{% if tools and loop.first %}{% for t in tools %}{{ t | tojson }}{% endfor %}"
    "{% endif %}{{ m.content }}<eos>\n{% endif %}{% endfor %}" + OPEN
)
TAGGED = MARKED.replace(
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}',
    "<function={{ call.function.name }}>{{ call.function.arguments.values() | list }}</function>",
)
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + CHAT_TEMPLATE
)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "find_statute",
            "description": "Find a statute.",
            "parameters": {"type": "object", "properties": {"title": {"type": "string"}}},
        },
    }
]
CALL = {
    "type": "function",
    "function": {"name": "find_statute", "arguments": {"title": "lease “act”", "n": 2}},
}
ROW = {
    "messages": [
        {"role": "user", "content": "Which act is it?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "x", "content": "Housing Act"},
        {"role": "assistant", "content": "The Housing Act."},
    ],
    "tools": TOOLS,
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer(folder)
    return load_tokenizer(folder)


def with_template(tokenizer: Any, template: str) -> Any:
    tokenizer = copy.copy(tokenizer)
    tokenizer.chat_template = template
    return tokenizer


def learnt(tokenizer: Any, row: dict[str, Any]) -> tuple[str, str]:
    """What is learnt of a row, and what is not."""
    encoder = RowEncoder(tokenizer, prompt_template=None, max_seq_length=4096)
    example = encoder.encode([TrainingRow("training/a.jsonl", 7, row)]).examples[0]
    parts = {True: [], False: []}  # type: dict[bool, list[int]]
    for token, wanted in zip(example.tokens, example.learnt, strict=True):
        parts[wanted].append(token)
    return tokenizer.decode(parts[True]), tokenizer.decode(parts[False])


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, NO_SYSTEM, MARKED, BARE, TAGGED])
def test_a_model_learns_the_call_that_a_row_holds(plain: Any, template: str) -> None:
    tokenizer = with_template(plain, template)
    answer, prompt = learnt(tokenizer, ROW)
    form = ChatTemplate(tokenizer).calls
    texts, calls = form.read(answer.split("<eos>")[0], {"find_statute"})
    assert texts == ""
    assert [call.name for call in calls] == ["find_statute"]
    assert json.loads(calls[0].arguments) == CALL["function"]["arguments"]  # type: ignore[index]
    assert answer.endswith("The Housing Act.<eos>")
    for shown in ("find_statute", "Find a statute.", '"title"', "Which act is it?", "Housing Act"):
        assert shown in prompt


def test_templates_keep_their_own_form_of_calls(plain: Any) -> None:
    marked = ChatTemplate(with_template(plain, MARKED)).native_calls
    assert marked is not None
    assert (marked.lead, marked.tail) == ("<tool_call>\n", "\n</tool_call>")
    assert marked.between == "\n</tool_call>\n<tool_call>\n"
    bare = ChatTemplate(with_template(plain, BARE)).native_calls
    assert bare is not None
    assert (bare.lead, bare.middle, bare.between, bare.tail) == ("", '", "parameters": ', None, "")
    for template in (CHAT_TEMPLATE, NO_SYSTEM, TAGGED):
        chats = ChatTemplate(with_template(plain, template))
        assert chats.native_calls is None
        assert chats.calls is HERMES


def test_two_calls_and_their_results_are_learnt_and_shown(plain: Any) -> None:
    other = {"function": {"name": "find_statute", "arguments": '{"title": "deed"}'}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Both?"},
        {"role": "assistant", "content": "I look.", "tool_calls": [CALL, other]},
        {"role": "tool", "content": "first"},
        {"role": "tool", "content": "second"},
        {"role": "assistant", "content": "Done."},
    ]
    for template in (CHAT_TEMPLATE, MARKED):
        tokenizer = with_template(plain, template)
        answer, prompt = learnt(tokenizer, {"messages": messages, "tools": TOOLS})
        text, calls = ChatTemplate(tokenizer).calls.read(answer.split("<eos>")[0], {"find_statute"})
        assert (text, len(calls)) == ("I look.", 2)
        assert json.loads(calls[1].arguments) == {"title": "deed"}
        assert "first" in prompt and "second" in prompt and "Be brief." in prompt


SILENT_TOOLS = MARKED.replace("{{ m.content }}</tool_response>", "</tool_response>")
LAST_ONLY = CHAT_TEMPLATE.replace("in messages %}", "in messages[-2:] %}")
NO_REASONING = CHAT_TEMPLATE.replace("message['content']", "message['content'].split('</think>')[-1]")
CALLS_WITHOUT_TEXT = MARKED.replace(
    "{% else %}{{ m.content }}{% endif %}", "{% elif not m.tool_calls %}{{ m.content }}{% endif %}"
)


@pytest.mark.parametrize(
    ("template", "messages", "field"),
    [
        (
            LAST_ONLY,
            [("system", "Only cite acts."), ("user", "Which?"), ("assistant", "That one.")],
            "messages[0].content",
        ),
        (
            CHAT_TEMPLATE.replace("{% for", "{% for message in [] %}{% endfor %}{% for").replace(
                "{{ message['content'] }}",
                "{% if message['role'] != 'user' %}{{ message['content'] }}{% endif %}",
            ),
            [("user", "a"), ("assistant", "an answer with a in it")],
            "messages[0].content",
        ),
        (
            NO_REASONING,
            [("user", "Why?"), ("assistant", "<think>because of the lease</think>So.")],
            "messages[1].content",
        ),
    ],
)
def test_what_a_template_does_not_show_fails_with_file_row_and_field(
    plain: Any, template: str, messages: list[tuple[str, str]], field: str
) -> None:
    row = {"messages": [{"role": role, "content": content} for role, content in messages]}
    with pytest.raises(DataError, match=r"training/a\.jsonl:7") as caught:
        learnt(with_template(plain, template), row)
    assert caught.value.field == field


def test_text_beside_a_call_is_not_lost_either(plain: Any) -> None:
    messages = [
        {"role": "user", "content": "Which?"},
        {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL]},
    ]
    with pytest.raises(DataError) as caught:
        learnt(with_template(plain, CALLS_WITHOUT_TEXT), {"messages": messages, "tools": TOOLS})
    assert caught.value.field == "messages[1].content"


def test_a_template_that_hides_results_is_not_trusted_with_tools(plain: Any) -> None:
    assert ChatTemplate(with_template(plain, SILENT_TOOLS)).native_calls is None
    assert "Housing Act" in learnt(with_template(plain, SILENT_TOOLS), ROW)[1]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"tools": "find_statute"}, "tools"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0].type",
        ),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant"}]}, "messages[1].content"),
        (
            {
                "messages": [
                    {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}
                ]
            },
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": {}}}]}]},
            "messages[0].tool_calls[0].function.name",
        ),
    ],
)
def test_rows_of_another_form_are_named(plain: Any, change: dict[str, Any], field: str) -> None:
    with pytest.raises(DataError, match=r"training/a\.jsonl:7") as caught:
        learnt(plain, {**ROW, **change})
    assert caught.value.field == field


def test_older_and_shorter_forms_mean_the_same() -> None:
    older = [
        {"role": "assistant", "function_call": {"name": "f", "arguments": '{"a": 1}'}},
        {"role": "function", "name": "f", "content": [{"type": "text", "text": "r"}]},
    ]
    messages = plain_messages(older)
    assert messages[0]["tool_calls"][0]["function"] == {"name": "f", "arguments": {"a": 1}}
    assert messages[1]["role"] == "tool"
    assert messages[1]["content"] == "r"
    assert messages[1]["tool_call_id"] == messages[0]["tool_calls"][0]["id"]
    assert plain_tools([{"name": "f"}]) == [{"type": "function", "function": {"name": "f"}}]
