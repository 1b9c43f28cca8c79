from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_stack.engines.training.batches import epoch_batches, hold_out, split_by_tokens
from lawtags_stack.engines.training.examples import Example, RowEncoder
from lawtags_stack.engines.training.model import load_tokenizer
from lawtags_stack.engines.training.rows import PromptTemplate, TrainingRow, read_rows


@pytest.fixture(scope="session")
def tokenizer(tiny_model: Callable[[str], Path]) -> Any:
    return load_tokenizer(tiny_model("llama"))


def encoder(tokenizer: Any, limit: int = 512, template: str | None = "{prompt} {completion}") -> RowEncoder:
    return RowEncoder(tokenizer, prompt_template=template, max_seq_length=limit)


def one(tokenizer: Any, content: dict[str, Any], **options: Any) -> Example:
    return encoder(tokenizer, **options).encode([TrainingRow("rows.jsonl", 1, content)]).examples[0]


def learnt_text(tokenizer: Any, example: Example) -> str:
    tokens = [token for token, learnt in zip(example.tokens, example.learnt, strict=True) if learnt]
    return str(tokenizer.decode(tokens))


def test_space_belongs_to_the_completion_and_the_text_ends(tokenizer: Any) -> None:
    example = one(tokenizer, {"prompt": "Title: x\nTags:", "completion": "a, b"})
    assert learnt_text(tokenizer, example) == " a, b<eos>"
    prompt = tokenizer("Title: x\nTags:")["input_ids"]
    assert example.tokens[: len(prompt)] == prompt


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(prompt=st.text(min_size=1), answer=st.text(min_size=1))
def test_any_text_is_learnt_whole_and_asked_as_it_is(tokenizer: Any, prompt: str, answer: str) -> None:
    if not answer.strip(" "):
        return
    example = one(tokenizer, {"prompt": prompt, "completion": answer}, limit=100_000)
    start = example.learnt.index(True)
    asked = tokenizer(prompt.strip(" "))["input_ids"]
    assert example.tokens[:start] == asked
    assert all(example.learnt[start:]) and not any(example.learnt[:start])
    whole = tokenizer.decode(example.tokens, skip_special_tokens=False)
    assert whole == f"{prompt.strip(' ')} {answer.strip(' ')}<eos>"


def test_long_rows_lose_the_beginning_of_the_prompt_only(tokenizer: Any) -> None:
    row = {"prompt": "law " * 200 + "Tags:", "completion": "a, b"}
    encoded = encoder(tokenizer, limit=20).encode([TrainingRow("rows.jsonl", 1, row)])
    example = encoded.examples[0]
    assert (encoded.cut, len(example.tokens)) == (1, 20)
    assert learnt_text(tokenizer, example) == " a, b<eos>"
    assert tokenizer.decode(example.tokens).endswith("law Tags: a, b<eos>")


def test_rows_that_lose_a_part_of_their_answer_are_counted(tokenizer: Any) -> None:
    rows = [{"prompt": "law " * 50, "completion": "a"}, {"prompt": "p", "completion": "law " * 50}]
    found = encoder(tokenizer, limit=12).encode([TrainingRow("rows.jsonl", 1, row) for row in rows])
    assert (found.cut, found.answers_cut) == (2, 1)


def test_completion_longer_than_the_limit_is_cut_at_its_end(tokenizer: Any) -> None:
    example = one(tokenizer, {"prompt": "p", "completion": "law " * 50}, limit=8)
    assert len(example.tokens) == 8
    assert example.learnt[0] is False or sum(example.learnt) == 8


def test_chat_rows_learn_every_assistant_turn_with_its_end(tokenizer: Any) -> None:
    messages = [
        {"role": "user", "content": "question one"},
        {"role": "assistant", "content": "answer one"},
        {"role": "user", "content": "question two"},
        {"role": "assistant", "content": "answer two"},
    ]
    example = one(tokenizer, {"messages": messages}, template=None)
    assert learnt_text(tokenizer, example) == "answer one<eos>answer two<eos>"


def test_answer_behind_a_space_is_learnt_as_it_will_be_asked_for(tokenizer: Any) -> None:
    tokenizer = copy.copy(tokenizer)
    tokenizer.chat_template = (
        "{% for turn in messages %}{{ turn.role }}: {{ turn.content }};{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    encoder = RowEncoder(tokenizer, prompt_template=None, max_seq_length=64)
    turns = ["a lease", "landlord", "a photo", "copyright"]
    roles = ["user", "assistant"] * 2
    messages = [{"role": role, "content": text} for role, text in zip(roles, turns, strict=True)]
    example = encoder.encode([TrainingRow("f", 1, {"messages": messages})]).examples[0]
    assert tokenizer.decode(example.tokens) == tokenizer.apply_chat_template(messages, tokenize=False)
    learnt = [token for token, wanted in zip(example.tokens, example.learnt, strict=True) if wanted]
    assert tokenizer.decode(learnt) == "landlord;copyright;"
    asked = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    prompt = tokenizer(asked)["input_ids"]
    assert example.tokens[: len(prompt)] == prompt and not any(example.learnt[: len(prompt)])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"prompt": "x"}, "rows.jsonl:1: field 'completion': the field is missing; the row has: prompt"),
        ({"prompt": "x", "completion": ["a"]}, "field 'completion': the field is a JSON list"),
        ({"prompt": "x", "completion": "  "}, "field 'completion': the answer is empty"),
        ({"messages": "hello"}, "field 'messages'"),
        ({"messages": [{"role": "user", "content": "x"}]}, "no assistant message"),
    ],
)
def test_rows_that_cannot_be_learnt_are_named(tokenizer: Any, content: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl:1") as caught:
        one(tokenizer, content)
    assert said in str(caught.value)


@pytest.mark.parametrize("template", ["{prompt}", "no fields", "{prompt} {", "{} {completion}"])
def test_templates_that_are_none_are_refused(template: str) -> None:
    with pytest.raises(ConfigurationError, match="prompt template"):
        PromptTemplate(template)


def test_templates_take_any_fields() -> None:
    row = TrainingRow("f", 1, {"q": " why? ", "c": "because", "a": "so"})
    assert PromptTemplate("Q: {q} ({c})\nA: {a}!").render(row) == ("Q: why? (because)\nA:", " so!")


@pytest.mark.parametrize(
    ("content", "line"),
    [(b'{"a": 1}\n{"a": \n', 2), (b'{"a": 1}\n\n\xff\xfe\n', 3), (b"[1]\n", 1)],
)
def test_bad_lines_are_named(tmp_path: Path, content: bytes, line: int) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(read_rows(tmp_path, ["rows.jsonl"]))
    assert (caught.value.path, caught.value.line) == ("rows.jsonl", line)


def test_files_are_read_one_after_the_other_and_arrays_too(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps([{"n": 3}]))
    (tmp_path / "a.jsonl").write_text('{"n": 1}\n\n{"n": 2}')
    rows = list(read_rows(tmp_path, ["a.jsonl", "b.json"]))
    assert [(row.content["n"], row.line) for row in rows] == [(1, 1), (2, 3), (3, 1)]


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=200),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 9),
)
def test_every_epoch_sees_every_row_once_in_batches_within_the_limit(
    lengths: list[int], batch_size: int, seed: int
) -> None:
    examples = [Example([0] * length, [True] * length) for length in lengths]
    batches = epoch_batches(examples, batch_size=batch_size, seed=seed, epoch=1)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch_size)
    assert batches == epoch_batches(examples, batch_size=batch_size, seed=seed, epoch=1)
    for batch in batches:
        parts = split_by_tokens(batch, examples, 64)
        assert sorted(index for part in parts for index in part) == sorted(batch)
        assert all(len(part) * max(lengths[index] for index in part) <= 64 for part in parts)


@given(count=st.integers(0, 500))
def test_a_tenth_is_held_out(count: int) -> None:
    kept, held = hold_out(count, seed=1)
    assert sorted(kept + held) == list(range(count))
    assert len(kept) == -(-count * 9 // 10)
