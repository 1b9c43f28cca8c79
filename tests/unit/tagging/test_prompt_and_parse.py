"""Prompts are made one way, cut only in the body, and answers read back as written."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.tagging.parse import answer_regex, parse_tags
from lawtags_client.tagging.prompt import Order, PromptBuilder, PromptStyle, estimate_tokens
from lawtags_client.tagging.question import Question, read_questions
from lawtags_client.tagging.vocabulary import Vocabulary, normalize_tag

TAG = st.from_regex(r"\A[a-z0-9.]?[a-z][a-z0-9+#.-]{0,15}[a-z0-9+#]\Z").filter(
    lambda tag: normalize_tag(tag) == tag and "+++" not in tag
)
TAGS = st.lists(TAG, min_size=1, max_size=5, unique=True)


def vocabulary_of(*tags: str) -> Vocabulary:
    return Vocabulary(tuple(tags), tuple(range(len(tags), 0, -1)), len(tags))


def words(text: str) -> int:
    return len(text.split())


@given(
    TAGS,
    st.sampled_from(["random", "sorted", "frequency"]),
    st.text(max_size=8),
    st.sampled_from([", ", "; "]),
)
def test_an_answer_reads_back_as_written(tags: list[str], order: Order, key: str, separator: str) -> None:
    vocabulary = vocabulary_of(*tags, "another-tag")
    builder = PromptBuilder(PromptStyle(order=order, separator=separator), estimate_tokens)
    answer = builder.completion(tags, key=key, vocabulary=vocabulary)
    for text in (answer, f" {answer}", f" {answer}\n", f"Tags: {answer}<|im_end|>"):
        parsed = parse_tags(text, vocabulary)
        assert set(parsed.tags) == set(tags)
        assert parsed.kind == "tags"
        assert parsed.unknown == ()
    assert set(parse_tags(answer).tags) == set(tags)
    assert re.fullmatch(answer_regex(vocabulary, separator), f" {answer}")
    assert re.fullmatch(answer_regex(vocabulary, separator), answer)


@given(st.text(max_size=300), st.none() | st.lists(TAG, max_size=4, unique=True), st.integers(-1, 7))
def test_parsing_takes_any_text(text: str, tags: list[str] | None, limit: int) -> None:
    vocabulary = None if tags is None else vocabulary_of(*tags)
    parsed = parse_tags(text, vocabulary, limit)
    assert len(parsed.tags) <= max(0, limit)
    assert len(set(parsed.tags)) == len(parsed.tags)
    if vocabulary is not None:
        assert all(tag in vocabulary for tag in parsed.tags)
        assert not any(tag in vocabulary for tag in parsed.unknown)


@given(st.text())
def test_normal_form_is_stable(text: str) -> None:
    once = normalize_tag(text)
    assert normalize_tag(once) == once
    assert not re.search(r"[\s,;]", once)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("Contract Law, COPYRIGHT.", ("contract-law", "copyright")),
        ("- contract-law\n- copyright", ("contract-law", "copyright")),
        ("1. contract-law\n2) copyright", ("contract-law", "copyright")),
        ('{"tags": ["contract-law", "copyright"]}', ("contract-law", "copyright")),
        ('{"tags": "contract-law, copyright"}', ("contract-law", "copyright")),
        ('```json\n["copyright"]\n```', ("copyright",)),
        ("'contract-law', \"copyright\"", ("contract-law", "copyright")),
        ("#copyright, [contract-law]", ("copyright", "contract-law")),
        ("Sure, the tags for this question are: copyright", ("copyright",)),
        ("tags : <copyright,contract-law>", ("copyright", "contract-law")),
        ("copyright\nTitle: Another one\nTags: contract-law", ("copyright",)),
        ("copyright, copyright, copyright", ("copyright",)),
        ("^^^^^\ntags:\ncopyright\nlaw", ("copyright",)),
        ("c#, .net", ("c#", ".net")),
    ],
)
def test_the_ways_models_write_tags_are_understood(text: str, tags: tuple[str, ...]) -> None:
    vocabulary = vocabulary_of("copyright", "contract-law", "c#", ".net")
    assert parse_tags(text, vocabulary).tags == tags


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "empty"),
        (" \n , ", "empty"),
        ("<|im_end|>", "empty"),
        ("punishment, behavior", "unknown"),
        ("I would say that this question is mostly about the limits of ownership.", "prose"),
    ],
)
def test_answers_without_usable_tags_say_what_they_are(text: str, kind: str) -> None:
    parsed = parse_tags(text, vocabulary_of("copyright"))
    assert parsed.kind == kind
    assert parsed.tags == ()


def test_the_answer_regex_allows_no_foreign_tag_and_no_sixth() -> None:
    vocabulary = vocabulary_of("us", "us-law", "c++")
    pattern = answer_regex(vocabulary)
    assert re.fullmatch(pattern, " us-law, us, c++")
    assert not re.fullmatch(pattern, "uk")
    assert not re.fullmatch(pattern, ", ".join(["us"] * 6))
    assert "\\-" not in pattern


def test_a_prompt_has_only_the_lines_it_needs() -> None:
    plain = PromptBuilder(PromptStyle(), words)
    assert plain.build("Can I\n sell it?").text == "Title: Can I sell it?\nTags:"
    assert plain.build("A", "b  c\nd", ("x",)).text == "Title: A\nQuestion: b c d\nTags:"
    rich = PromptBuilder(PromptStyle(task="Tag it.", shortlist=2), words)
    prompt = rich.build("A", "b", ("x", "y", "z"))
    assert prompt.text == "Tag it.\nTitle: A\nQuestion: b\nCandidate tags: x, y\nTags:"
    assert not prompt.cut
    assert not prompt.over_limit


@given(st.lists(st.text("abc", min_size=1, max_size=5), max_size=60), st.integers(1, 40), st.integers(0, 3))
def test_only_the_body_is_cut_and_no_word_more_than_needed(
    body: list[str], limit: int, shortlist: int
) -> None:
    style = PromptStyle(task="Tag it.", shortlist=shortlist, max_tokens=limit)
    prompt = PromptBuilder(style, words).build("one two three", " ".join(body), ("x", "y", "z"))
    assert prompt.tokens == words(prompt.text)
    lines = prompt.text.split("\n")
    assert lines[:2] == ["Tag it.", "Title: one two three"]
    assert lines[-1] == "Tags:"
    kept = [line for line in lines if line.startswith("Question: ")]
    shown = kept[0].removeprefix("Question: ").split() if kept else []
    assert shown == body[: len(shown)]
    assert prompt.cut == (len(shown) < len(body))
    if prompt.cut:
        assert prompt.tokens + (1 if shown else 2) > limit
    assert prompt.over_limit == (prompt.tokens > limit)
    if prompt.over_limit:
        assert not shown


def test_a_long_title_stays_whole_and_is_flagged() -> None:
    title = "word " * 50
    prompt = PromptBuilder(PromptStyle(max_tokens=10), words).build(title, "body")
    assert prompt.text == f"Title: {title.strip()}\nTags:"
    assert prompt.cut
    assert prompt.over_limit


def test_random_order_depends_on_the_key_alone() -> None:
    builder = PromptBuilder(PromptStyle(), words)
    tags = ("a1", "b2", "c3", "d4")
    assert builder.completion(tags, key="k") == builder.completion(reversed(tags), key="k")
    assert len({builder.completion(tags, key=str(number)) for number in range(40)}) > 10


def test_order_by_frequency_follows_the_vocabulary() -> None:
    builder = PromptBuilder(PromptStyle(order="frequency"), words)
    vocabulary = vocabulary_of("often", "rare")
    assert builder.completion(("new", "rare", "often"), key="", vocabulary=vocabulary) == "often, rare, new"
    with pytest.raises(ConfigurationError):
        builder.completion(("a",), key="")


@pytest.mark.parametrize(
    "wrong", [{"order": "best"}, {"shortlist": -1}, {"max_tokens": 0}, {"separator": " "}, {"separator": ""}]
)
def test_a_style_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        PromptStyle(**wrong)  # type: ignore[arg-type]


def test_the_vocabulary_counts_each_row_once_and_orders_by_frequency() -> None:
    rows = [
        Question(id="1", title="t", body=None, tags=("b", "a", "a")),
        Question(id="2", title="t", body=None, tags=("c", "b")),
    ]
    vocabulary = Vocabulary.from_questions(rows)
    assert vocabulary.tags == ("b", "a", "c")
    assert vocabulary.counts == (2, 1, 1)
    assert vocabulary.prior().tolist() == [1.0, 0.5, 0.5]
    assert vocabulary.index("a") == 1
    assert "z" not in vocabulary
    assert Vocabulary.from_questions(rows, min_count=2).tags == ("b",)


def test_rows_become_questions_with_tags_in_normal_form() -> None:
    question = Question.from_row({"id": 7, "title": "T", "tags": ["Contract Law", "contract-law", " "]})
    assert question == Question(id="7", title="T", body=None, tags=("contract-law",))


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('{"title": "T"}', "id"),
        ('{"id": "1"}', "title"),
        ('{"id": "1", "title": "T", "body": 3}', "body"),
        ('{"id": "1", "title": "T", "tags": "a, b"}', "tags"),
        ('{"id": "1", "tit', None),
        ("[]", None),
    ],
)
def test_a_wrong_row_is_named_by_file_line_and_field(tmp_path, line: str, field: str | None) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"id": "0", "title": "fine"}\n\n' + line + "\n")
    with pytest.raises(DataError) as caught:
        read_questions(path)
    assert (caught.value.path, caught.value.line, caught.value.field) == (str(path), 3, field)
