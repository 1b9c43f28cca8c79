"""Every parameter of a generation request is carried out, harmless, or refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import BadRequestError
from lawtags_client.types.inference import ChatCompletionRequest, CompletionRequest, EmbeddingRequest
from lawtags_stack.services.nim.openai_requests import parse_chat, parse_completion
from lawtags_stack.services.nim.parameters import check_embedding_parameters

USER = {"role": "user", "content": "law"}


def ask(kind: str, **fields: Any) -> dict[str, Any]:
    """The message that a worker gets for a request."""
    if kind == "chat":
        chat = ChatCompletionRequest.model_validate({"model": "m", "messages": [USER], **fields})
        return parse_chat(chat).message
    completion = CompletionRequest.model_validate({"model": "m", "prompt": "law", **fields})
    return parse_completion(completion).message


@pytest.fixture(params=["chat", "completion"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("holder", [None, "nvext"])
@pytest.mark.parametrize(
    "name, sent, carried",
    [
        ("top_k", 7, 7),
        ("top_k", -1, 0),
        ("top_k", 0, 0),
        ("min_p", 0.25, 0.25),
        ("min_p", 0, 0.0),
        ("repetition_penalty", 1.3, 1.3),
        ("repetition_penalty", 0.5, 0.5),
        ("ignore_eos", True, True),
    ],
)
def test_extensions_of_openais_parameters_reach_the_worker(
    kind: str, holder: str | None, name: str, sent: Any, carried: Any
) -> None:
    fields = {holder: {name: sent}} if holder else {name: sent}
    assert ask(kind, **fields)["sampling"][name] == carried
    assert ask(kind)["sampling"][name] == ask(kind, **{name: None})["sampling"][name]


@pytest.mark.parametrize(
    "fields, named",
    [
        ({"top_k": -2}, "top_k"),
        ({"min_p": 1.01}, "min_p"),
        ({"min_p": -0.1}, "min_p"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"nvext": {"repetition_penalty": -1}}, "repetition_penalty"),
        ({"top_k": 3, "nvext": {"top_k": 4}}, "top_k"),
        ({"min_tokens": 5}, "min_tokens"),
        ({"stop_token_ids": [2]}, "stop_token_ids"),
        ({"include_stop_str_in_output": True}, "include_stop_str_in_output"),
        ({"skip_special_tokens": False}, "skip_special_tokens"),
        ({"length_penalty": 0.8}, "length_penalty"),
        ({"use_beam_search": True}, "use_beam_search"),
        ({"prompt_logprobs": 0}, "prompt_logprobs"),
        ({"bad_words": ["law"]}, "bad_words"),
        ({"allowed_token_ids": [1]}, "allowed_token_ids"),
        ({"truncate_prompt_tokens": -1}, "truncate_prompt_tokens"),
        ({"logit_bias": {"5": -100}}, "logit_bias"),
        ({"echo": True}, "echo"),
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 3, "n": 2}, "best_of"),
        ({"temprature": 0.1}, "temprature"),
        ({"guided_whitespace_pattern": "[ ]"}, "guided_whitespace_pattern"),
        ({"nvext": {"guided_whitespace_pattern": "[ ]"}}, "nvext.guided_whitespace_pattern"),
        ({"nvext": {"max_thinking_tokens": 8}}, "nvext.max_thinking_tokens"),
        ({"structured_outputs": {"regex": "a", "whitespace_pattern": "[ ]"}}, "whitespace_pattern"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"continuous_usage_stats": True}}, "continuous_usage_stats"),
    ],
)
def test_what_would_be_ignored_is_refused_by_name(kind: str, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(BadRequestError, match=named):
        ask(kind, **fields)


@pytest.mark.parametrize(
    "only, fields, named",
    [
        ("chat", {"max_tokens": 5, "max_completion_tokens": 6}, "max_completion_tokens"),
        ("chat", {"reasoning_effort": "high"}, "reasoning_effort"),
        ("chat", {"chat_template": "{{ messages }}"}, "chat_template"),
        ("chat", {"chat_template_kwargs": {"enable_thinking": True}}, "chat_template_kwargs"),
        ("chat", {"add_generation_prompt": False}, "add_generation_prompt"),
        ("chat", {"continue_final_message": True}, "continue_final_message"),
        ("chat", {"functions": [{"name": "f"}]}, "functions"),
        ("chat", {"web_search_options": {}}, "web_search_options"),
        ("completion", {"add_special_tokens": False}, "add_special_tokens"),
        ("completion", {"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ("completion", {"top_logprobs": 3}, "logprobs"),
        ("completion", {"logprobs": 1, "top_logprobs": "3"}, "top_logprobs"),
    ],
)
def test_what_only_one_endpoint_has_is_refused_by_name(only: str, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(BadRequestError, match=named):
        ask(only, **fields)


def test_values_that_ask_for_nothing_are_taken(kind: str) -> None:
    neutral: dict[str, Any] = {
        "n": 2, "best_of": 2, "echo": False, "logit_bias": {}, "min_tokens": 0, "stop_token_ids": [],
        "length_penalty": 1.0, "skip_special_tokens": True, "use_beam_search": False, "suffix": None,
        "user": "u", "metadata": {"a": "b"}, "request_id": "r", "priority": 3, "unheard_of": None,
        "add_special_tokens": kind == "completion",
    }  # fmt: skip
    assert ask(kind, **neutral) == ask(kind, n=2)


@given(name=st.text(min_size=1, max_size=30), value=st.sampled_from([0, 1, "x", False, [], {"a": 1}]))
def test_unknown_parameters_are_never_ignored(name: str, value: Any) -> None:
    known = {*CompletionRequest.model_fields, *ask("completion")["sampling"]}
    if name not in known:
        with pytest.raises(BadRequestError):
            ask("completion", **{name: value})


@pytest.mark.parametrize(
    "fields, named", [({"encoding_format": "int8"}, "encoding_format"), ({"normalize": False}, "normalize")]
)
def test_embedding_parameters_are_never_ignored(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(BadRequestError, match=named):
        check_embedding_parameters(EmbeddingRequest.model_validate({"model": "m", "input": "x", **fields}))


@pytest.mark.parametrize(
    "message, place",
    [
        ({"role": "user", "content": [{"type": "text", "text": None}]}, "content[0].text"),
        ({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text"}]}, "content[1].text"),
        ({"role": "system", "content": [{"type": "text", "text": 5}]}, "content[0].text"),
        ({"role": "assistant", "content": [{"type": "text", "text": ["a"]}]}, "content[0].text"),
        ({"role": "tool", "content": [{"text": "a"}]}, "content[0].type"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}, "image_url"),
        ({"role": "user", "content": [{"type": None, "text": "a"}]}, "content[0].type"),
        ({"role": "user", "content": None}, "content"),
        ({"role": "user"}, "content"),
        ({"content": "a"}, "role"),
    ],
)
def test_malformed_messages_are_refused_by_field(message: dict[str, Any], place: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        ask("chat", messages=[USER, message])
    assert "messages[1]." in caught.value.message
    assert place in caught.value.message


def test_parts_of_text_become_one_text() -> None:
    parts = [{"type": "text", "text": "la"}, {"type": "text", "text": ""}, {"type": "text", "text": "w"}]
    called = [{"id": "i", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    silent = {"role": "assistant", "content": None, "tool_calls": called}
    sent = ask("chat", messages=[{"role": "user", "content": parts}, silent, USER])["messages"]
    assert sent[0]["content"] == "law"
    assert "content" not in sent[1]
